"""Values that stand for others: without meaning, or moved in time."""

from __future__ import annotations

import re
from datetime import date, timedelta

# PS3.5 6.2: a value of each VR that is valid and says nothing.
_DUMMIES = {
    "AS": b"000Y", "DA": b"19000101", "DS": b"0", "DT": b"19000101000000", "IS": b"0",
    "TM": b"000000", "PN": b"REMOVED", "UR": b"about:blank",
}  # fmt: skip
_TEXT = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT"})
_DAY = re.compile(rb"(\d{4})(\d\d)?(\d\d)?")
_OLD_DAY = re.compile(rb"(\d{4})\.(\d\d)\.(\d\d)")  # ACR-NEMA 300


def dummy(vr: str, value: bytes) -> bytes:
    """Return a value that says nothing; binary ones have the length of the one replaced."""
    if vr in _DUMMIES:
        return _DUMMIES[vr]
    return b"REMOVED" if vr in _TEXT else bytes(len(value))


def shifted(value: bytes, days: int) -> bytes | None:
    """Return a DA or DT value so many days later, as exact as it was; None if it is no date.

    A date without day or month is counted from its first.
    """
    parts = [_moved(part.strip(b" \0"), days) for part in value.split(b"\\")]
    found = [part for part in parts if part is not None]
    return b"\\".join(found) if len(found) == len(parts) else None


def _moved(part: bytes, days: int) -> bytes | None:
    if not part:
        return b""
    old = _OLD_DAY.fullmatch(part)
    match = old or _DAY.match(part)
    if match is None:
        return None
    year, month, day = match.groups()
    try:
        moved = date(int(year), int(month or 1), int(day or 1)) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    text = f"{moved.year:04}{moved.month:02}{moved.day:02}".encode("ascii")
    exact = 8 if day else 6 if month else 4
    return text[:exact] + part[match.end() :]

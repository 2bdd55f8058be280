"""Patient fields of audit events: sealed under the key of a month, for the audit officer alone.

Source: docs/formats/audit-v1.md, "Patient fields". Whoever writes an event
needs only public keys. A month is erased for good by destroying its file: the
private half exists nowhere else, and there it is wrapped for the officer.

SECURITY: no process of the node can open what it sealed.
"""

from __future__ import annotations

import base64
import json
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.crypto.document import Document, Stanza, parse
from node.crypto.keyfile import sync_directory
from node.crypto.suites import SUITES
from node.errors import DamagedError, UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from node.crypto.recipient import Identity, Recipient

MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
KIND = "audit-month"
_FIELDS = ("month", "suite", "officer")
_APPROVED = {"p256", "rsa-oaep-3072", "mlkem768"}  # officers who stay within FIPS get such months


def month_of(at: float) -> str:
    """Return the month of a time in seconds since the epoch: ``2026-01`` (UTC)."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


class MonthSealer:
    """Seals patient fields; makes the key of a month when it is first needed.

    :param folder: of the months; made when needed.
    :param officer: who opens.
    """

    def __init__(self, folder: Path, officer: Recipient) -> None:
        self._folder = folder
        self._officer = officer
        self._current: tuple[str, tuple[str, bytes] | None] = ("", None)  # of one month

    def seal(self, at: float, fields: Mapping[str, str]) -> str:
        """Return fields as text that only the officer reads, or "" for an erased month.

        :param at: when it happened, seconds since the epoch.
        :raises OSError: the key of the month cannot be kept.
        :raises UnreadableError: the file of the month is damaged.
        """
        month = month_of(at)
        known, key = self._current  # from any thread
        if known != month:
            key = _public(self._folder, month) or self._make(month)
            self._current = month, key
        if key is None:
            return ""
        suite, public = key
        plain = json.dumps(dict(fields), ensure_ascii=False, separators=(",", ":")).encode()
        closed = SUITES[suite].wrap(public, plain, _info(month))
        return f"{month}:{base64.b64encode(closed).decode('ascii')}"

    def _make(self, month: str) -> tuple[str, bytes] | None:
        """Make the key of a month, unless another process does so first or it was erased."""
        if _erased(self._folder, month).exists():
            return None
        suite = "p256" if self._officer.suite in _APPROVED else "x25519"
        secret = SUITES[suite].generate()
        public = SUITES[suite].public(secret)
        fields = {"month": month, "suite": suite, "officer": self._officer.id}
        wrapped = self._officer.wrap(secret, month.encode("ascii"))
        stanzas = Stanza(("public",), public), Stanza(("secret",), wrapped)
        data = Document(KIND, fields, stanzas).render()
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _give(self._folder)
        partial = self._folder / f".{month}.{os.urandom(8).hex()}"
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o400)
            _give(partial)
            os.link(partial, _path(self._folder, month))
            sync_directory(self._folder)
        except FileExistsError:
            pass
        finally:
            partial.unlink(missing_ok=True)
        return _public(self._folder, month)


class MonthOpener:
    """Opens patient fields.

    :param officer: their identity.
    """

    def __init__(self, folder: Path, officer: Identity) -> None:
        self._folder = folder
        self._officer = officer
        self._known: dict[str, tuple[str, bytes] | None] = {}

    def open(self, text: str) -> dict[str, str] | None:
        """Return the fields, or None if their month was erased.

        :raises DamagedError: they are not as they were sealed, or not for this officer.
        :raises UnreadableError: the file of the month is damaged.
        """
        month, _, closed = text.partition(":")
        if not MONTH.fullmatch(month):
            raise DamagedError("a patient field of the audit log has an unknown form")
        if month not in self._known:
            self._known[month] = self._load(month)
        key = self._known[month]
        if key is None:
            return None
        suite, secret = key
        try:
            plain = SUITES[suite].unwrap(secret, base64.b64decode(closed), _info(month))
            return {str(name): str(value) for name, value in json.loads(plain).items()}
        except (ValueError, AttributeError):
            raise DamagedError("a patient field of the audit log has an unknown form") from None

    def _load(self, month: str) -> tuple[str, bytes] | None:
        document = _read(self._folder, month)
        if document is None:
            return None
        wrapped = document.stanzas[1].body
        return document.fields["suite"], self._officer.unwrap(wrapped, month.encode("ascii"))


def months(folder: Path) -> list[tuple[str, bool]]:
    """Return the months that there are, the oldest first, and whether each was erased."""
    there = {path.stem: False for path in folder.glob("*.month")}
    gone = {path.stem: True for path in folder.glob("*.erased")}
    return sorted((there | gone).items())


def erase(folder: Path, month: str, now: float) -> None:
    """Destroy the key of a month: what it sealed is unreadable from now on, for everybody.

    :raises UsageError: it is no month that has passed, or there is no key of it.
    """
    if not MONTH.fullmatch(month):
        raise UsageError(f'"{month}" is no month', hint='write it like "2026-01"')
    if month >= month_of(now):
        raise UsageError(f"{month} has not passed yet")
    path = _path(folder, month)
    if not path.exists():
        raise UsageError(f"there is no key of {month}", hint="see 'nodectl audit months'")
    _erased(folder, month).touch(mode=0o400)
    sync_directory(folder)
    path.unlink()
    sync_directory(folder)


def _give(path: Path) -> None:
    """Let what root made belong to whom its folder belongs."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _path(folder: Path, month: str) -> Path:
    return folder / f"{month}.month"


def _erased(folder: Path, month: str) -> Path:
    return folder / f"{month}.erased"


def _public(folder: Path, month: str) -> tuple[str, bytes] | None:
    document = _read(folder, month)
    return None if document is None else (document.fields["suite"], document.stanzas[0].body)


def _read(folder: Path, month: str) -> Document | None:
    try:
        data = _path(folder, month).read_bytes()
    except FileNotFoundError:
        return None
    document = parse(data, KIND, _FIELDS)
    words = [stanza.words for stanza in document.stanzas]
    suite = document.fields["suite"]
    if words != [("public",), ("secret",)] or suite not in SUITES:
        raise UnreadableError(f"the key of {month} in the audit log is damaged")
    return document


def _info(month: str) -> bytes:
    return b"sealnode/v1/audit-patient" + month.encode("ascii")

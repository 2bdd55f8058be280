"""A share as a DICOM object: Raw Data Storage, with the share in one private element.

Raw Data (PS3.3 A.37) is what the standard has for data that only its maker
reads; no viewer shows it and no archive recompresses it. Why not another
class: docs/decisions/0300-share-objects.md. The object names no patient; its
identifiers come from random or keyed bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.dicom.elements import Encoding, element_bytes
from node.dicom.reader import EXPLICIT_LE, IMPLEMENTATION_UID, check_uid, read, write_part10
from node.errors import UnreadableError

if TYPE_CHECKING:
    from node.dicom.elements import Buffer
    from node.dicom.reader import DicomObject

RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"  # PS3.4 B.5: Raw Data Storage
CREATOR = "SEALNODE SHARE"

_GROUP = 0x5345  # odd, so private (PS3.5 7.8); "SE"
_BLOCK = 0x10  # where we put the block; others may move it
_SHARE = 0x10  # element of the block
_CONTEXT = b"sealnode/v1/share-name"
_UUID = "2.25."  # PS3.5 B.2
SET_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Names:
    """The identifiers of a share object. None of them is the shared object's own.

    :param number: of the share, from 1.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    number: int


def names(origin: bytes, number: int, *, series: bytes = b"", study: bytes = b"") -> Names:
    """Return identifiers for one share, always the same for the same arguments.

    :param origin: what the shares of one object have in common, such as the
        id of their set: random, or made with a key.
    :param series: the same for objects that shall lie in one series; by default ``origin``.
    :param study: the same for objects that shall lie in one study; by default ``series``.
    """
    series = series or origin
    return Names(
        study_uid=_uid(b"study", study or series),
        series_uid=_uid(b"series", series),
        sop_uid=_uid(b"instance", origin + bytes((number,))),
        number=number,
    )


def uid_of(sixteen: bytes) -> str:
    """Return the UID that 16 bytes are, PS3.5 B.2."""
    return check_uid(f"{_UUID}{int.from_bytes(sixteen)}")


def instance_uid(set_id: bytes, number: int) -> str:
    """Return the SOP Instance UID of a share, from which :func:`set_of` tells its set.

    :param set_id: 16 bytes that end with a zero.
    """
    return uid_of(set_id[:-1] + bytes((number,)))


def set_of(sop_uid: str) -> tuple[bytes, int] | None:
    """Return set id and number of what may be a share by its SOP Instance UID; else None."""
    digits = sop_uid.removeprefix(_UUID)
    if digits == sop_uid or not digits.isdecimal() or int(digits) >> 8 * SET_ID_BYTES:
        return None
    raw = int(digits).to_bytes(SET_ID_BYTES)
    return raw[:-1] + b"\0", raw[-1]


def wrap(share: bytes | memoryview, called: Names, made_at: float) -> bytes:
    """Return a Part 10 file that carries a share.

    :param share: any bytes of even length.
    :param made_at: seconds since the epoch of Unix; the object's dates.
    """
    now = datetime.fromtimestamp(made_at, UTC)
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    # Who the patient is must be told apart by archives: one for each study, of no one.
    patient = hashlib.sha256(called.study_uid.encode("ascii")).hexdigest()[:16].upper()
    values = [
        (0x00080016, "UI", RAW_DATA),
        (0x00080018, "UI", called.sop_uid),
        (0x00080020, "DA", date),
        (0x00080023, "DA", date),
        (0x00080030, "TM", time),
        (0x00080033, "TM", time),
        (0x00080050, "SH", ""),
        (0x00080060, "CS", "OT"),
        (0x00080070, "LO", "Sealnode"),
        (0x00080090, "PN", ""),
        (0x00089123, "UI", IMPLEMENTATION_UID),  # Creator-Version UID
        (0x00100010, "PN", "SEALNODE^SHARE"),
        (0x00100020, "LO", f"SHARE{patient}"),
        (0x00100030, "DA", ""),
        (0x00100040, "CS", ""),
        (0x0020000D, "UI", called.study_uid),
        (0x0020000E, "UI", called.series_uid),
        (0x00200010, "SH", "1"),
        (0x00200011, "IS", "1"),
        (0x00200013, "IS", str(called.number)),
        (0x00200060, "CS", ""),  # Laterality, type 2C
        (0x00400555, "SQ", ""),  # Acquisition Context Sequence, type 2
        (_GROUP << 16 | _BLOCK, "LO", CREATOR),
    ]
    elements = [
        *((tag, vr, text.encode("ascii")) for tag, vr, text in values),
        (_GROUP << 16 | _BLOCK << 8 | _SHARE, "OB", bytes(share)),
    ]
    dataset = b"".join(
        element_bytes(tag, vr, value, Encoding.EXPLICIT_LE) for tag, vr, value in elements
    )
    return write_part10(RAW_DATA, called.sop_uid, EXPLICIT_LE, dataset)


def carries(obj: DicomObject) -> bool:
    """Return whether an object is a share of ours."""
    return obj.text("SOPClassUID") == RAW_DATA and _find(obj) is not None


def unwrap(data: Buffer) -> bytes:
    """Return the share that a Part 10 file carries, whatever syntax an archive gave it.

    :raises UnreadableError: it is no DICOM file, or carries none.
    """
    share = _find(read(data))
    if share is None:
        raise UnreadableError("the object carries no share", code="no_share")
    return share


def _find(obj: DicomObject) -> bytes | None:
    for block in range(0x10, 0x100):  # PS3.5 7.8.1: archives may move private blocks
        owner = obj.raw(_GROUP << 16 | block)
        if owner is not None and bytes(owner).strip(b" \0") == CREATOR.encode("ascii"):
            found = obj.raw(_GROUP << 16 | block << 8 | _SHARE)
            return None if found is None else bytes(found)
    return None


def _uid(kind: bytes, origin: bytes) -> str:
    digest = hashlib.sha256(_CONTEXT + b"/" + kind + b"\0" + origin).digest()
    return uid_of(digest[:16])

"""How sealed payloads stand in the header, and what each of them is for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from node.types import Binding

if TYPE_CHECKING:
    from node.dicom.reader import DicomObject

RECORD, HEADER = b"record", b"header"  # purposes of a seal (docs/formats/payload-v1.md)
_LENGTH = struct.Struct("<I")


def header_binding(obj: DicomObject) -> Binding:
    """Return what a seal in the header alone is bound to."""
    return Binding(obj.text("SOPClassUID"), obj.text("SOPInstanceUID"))


def frame(payload: bytes) -> bytes:
    """Return a payload with its length before it: an OB value may be padded."""
    return _LENGTH.pack(len(payload)) + payload


def unframe(value: bytes | None) -> bytes:
    """Return the payload of a framed value; ``b""`` if there is none."""
    if value is None or len(value) < _LENGTH.size:
        return b""
    (length,) = _LENGTH.unpack_from(value)
    return value[_LENGTH.size : _LENGTH.size + length]

"""A remark in an object that a person will read: Image Comments (0020,4000), PS3.3 C.7.6.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.dicom import reader
from node.dicom.elements import element_bytes
from node.dicom.headers import assemble

if TYPE_CHECKING:
    from node.dicom.reader import DicomObject

IMAGE_COMMENTS = 0x00204000
MAX_TEXT = 10240  # characters of an LT: PS3.5 6.2


def remark(file: bytes, text: str) -> bytes:
    """Return a Part 10 file with a remark before its comments; all else stays as it is.

    :param text: ASCII, which every character set holds.
    :raises UnreadableError: it cannot be parsed.
    :raises UnsealableError: its elements are out of order.
    """
    obj = reader.read(file)
    there = (obj.raw(IMAGE_COMMENTS) or b"").rstrip(b" \0")
    value = (text.encode("ascii") + (b"\r\n" + there if there else b""))[:MAX_TEXT]
    element = element_bytes(IMAGE_COMMENTS, "LT", value + b" " * (len(value) % 2), obj.encoding)
    dataset = _put(obj, element)
    uids = obj.text("SOPClassUID"), obj.text("SOPInstanceUID")
    syntax = obj.transfer_syntax_uid
    return reader.write_part10(*uids, syntax, reader.wire(dataset, syntax))


def _put(obj: DicomObject, element: bytes) -> bytes:
    below, above = assemble(obj, {IMAGE_COMMENTS: element})
    pixels = obj.index.get(reader.PIXEL_DATA)
    middle = bytes(obj.data[pixels.start : pixels.end]) if pixels else b""
    return below + middle + above

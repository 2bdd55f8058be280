"""Encrypted Attributes Sequence (0400,0500): the standard's own carrier of what was taken out.

PS3.3 C.12.1.1.4, PS3.15 E.1.1: one item for each envelope; inside, in the
transfer syntax that it names, a data set with the elements as they were, in
the one item of a Modified Attributes Sequence (0400,0550).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.dicom.elements import ITEM, Encoding, element_bytes, header, items, walk
from node.dicom.reader import EXPLICIT_LE, DicomObject
from node.dicom.recode import recode
from node.errors import SealnodeError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ENCRYPTED_ATTRIBUTES = 0x04000500
CONTENT_SYNTAX, CONTENT = 0x04000510, 0x04000520
MODIFIED_ATTRIBUTES = 0x04000550

_INSIDE = Encoding.EXPLICIT_LE


def attributes(obj: DicomObject, tags: Iterable[int]) -> bytes:
    """Return a data set with some elements of an object as they are, to be encrypted."""
    found = [obj.index[tag] for tag in sorted(tags) if tag in obj.index]
    raw = b"".join(obj.data[element.start : element.end] for element in found)
    if obj.encoding is not _INSIDE:
        raw = recode(raw, obj.encoding, _INSIDE)
    item = header(ITEM, "", len(raw), _INSIDE) + raw
    return header(MODIFIED_ATTRIBUTES, "SQ", len(item), _INSIDE) + item


def sequence(envelope: bytes, encoding: Encoding) -> bytes:
    """Return the Encrypted Attributes Sequence that carries an envelope."""
    syntax = EXPLICIT_LE.encode("ascii") + b"\0"
    content = element_bytes(CONTENT_SYNTAX, "UI", syntax, encoding)
    content += element_bytes(CONTENT, "OB", envelope, encoding)
    item = header(ITEM, "", len(content), encoding) + content
    return header(ENCRYPTED_ATTRIBUTES, "SQ", len(item), encoding) + item


def opened(obj: DicomObject, opener: Callable[[bytes], bytes]) -> DicomObject | None:
    """Return the original elements from the first envelope that opens; None if none does."""
    element = obj.index.get(ENCRYPTED_ATTRIBUTES)
    if element is None:
        return None
    inner = Encoding.IMPLICIT_LE if element.vr == "UN" else obj.encoding  # PS3.5 6.2.2
    try:
        places = items(obj.data, element, inner)
        for start, stop in places:
            for child in walk(obj.data, inner, start, stop):
                if child.tag == CONTENT:
                    found = _read(obj.data[child.value : child.stop], opener)
                    if found is not None:
                        return found
    except UnreadableError:
        return None
    return None


def _read(envelope: bytes, opener: Callable[[bytes], bytes]) -> DicomObject | None:
    try:
        data = opener(envelope)
        outer = walk(data, _INSIDE)
        (start, stop), *_ = items(data, outer[0], _INSIDE)
        elements = walk(data, _INSIDE, start, stop)
    except (SealnodeError, IndexError, ValueError):
        return None
    index = {element.tag: element for element in elements}
    return DicomObject(data, 0, b"", EXPLICIT_LE, _INSIDE, elements, index)

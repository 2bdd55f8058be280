"""Which attributes of two headers differ in meaning, not just in how they are written.

A PACS may write sequences with other lengths, change the value representation
between implicit and explicit or the byte order, pad differently, drop group
lengths: none of that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag

from node.dicom import identity, undo
from node.dicom.elements import Encoding, items, walk
from node.dicom.headers import OFFSET_TABLES
from node.dicom.reader import PIXEL_DATA, implicit_vr
from node.dicom.recode import MAX_DEPTH, WORD_SIZES, turned
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from node.dicom.elements import Buffer, Element
    from node.dicom.reader import DicomObject
    from node.types import Attribute

TRAILING_PADDING = 0xFFFCFFFC
_BINARY = frozenset(WORD_SIZES) | {"OB", "UN"}
_UNTOLD = frozenset({"", "UN"})
_NOT_COMPARED = frozenset({PIXEL_DATA, TRAILING_PADDING, *OFFSET_TABLES})


def differences(
    original: DicomObject, found: DicomObject, ignored: Collection[int] = ()
) -> tuple[str, ...]:
    """Return the keywords (or tags) of top-level attributes that differ, ascending.

    Pixel Data, group lengths and ``ignored`` tags are not compared.
    """
    ours = _comparable(original.elements)
    theirs = _comparable(found.elements)
    return tuple(
        _name(tag)
        for tag in sorted((ours.keys() | theirs.keys()) - set(ignored) - _NOT_COMPARED)
        if tag not in ours
        or tag not in theirs
        or not _same(
            (original.data, ours[tag], original.encoding),
            (found.data, theirs[tag], found.encoding),
            0,
        )
    )


def known_differences(
    obj: DicomObject, attributes: Sequence[Attribute], undo_data: bytes
) -> tuple[str, ...]:
    """Return keywords of attributes of the original that differ, but for what sealing changed.

    :raises UnreadableError: the undo data are damaged.
    """
    now = {attribute.tag: attribute.value.rstrip(b" \0") for attribute in identity.collect(obj)}
    ours = undo.unpack(undo_data).elements
    return tuple(
        keyword
        for attribute, (keyword, _) in zip(attributes, identity.readable(attributes), strict=True)
        if attribute.tag not in ours and now.get(attribute.tag) != attribute.value.rstrip(b" \0")
    )


def _comparable(elements: tuple[Element, ...]) -> dict[int, Element]:
    return {element.tag: element for element in elements if element.tag & 0xFFFF}


def _same(
    ours: tuple[Buffer, Element, Encoding], theirs: tuple[Buffer, Element, Encoding], depth: int
) -> bool:
    vr = _vr(ours[1], theirs[1])
    if vr == "SQ" or ours[1].undefined or theirs[1].undefined:
        if depth >= MAX_DEPTH:
            return _raw(*ours) == _raw(*theirs)
        try:
            return _same_items(ours, theirs, depth)
        except UnreadableError:
            return _raw(*ours) == _raw(*theirs)
    return _leaf(*ours, vr) == _leaf(*theirs, vr)


def _same_items(
    ours: tuple[Buffer, Element, Encoding], theirs: tuple[Buffer, Element, Encoding], depth: int
) -> bool:
    our_items, our_encoding = _items(*ours)
    their_items, their_encoding = _items(*theirs)
    if len(our_items) != len(their_items):
        return False
    for (a, b), (c, d) in zip(our_items, their_items, strict=True):
        first = _comparable(walk(ours[0], our_encoding, a, b))
        second = _comparable(walk(theirs[0], their_encoding, c, d))
        if first.keys() != second.keys():
            return False
        for tag, element in first.items():
            one, other = (ours[0], element, our_encoding), (theirs[0], second[tag], their_encoding)
            if not _same(one, other, depth + 1):
                return False
    return True


def _items(
    data: Buffer, element: Element, encoding: Encoding
) -> tuple[list[tuple[int, int]], Encoding]:
    inner = Encoding.IMPLICIT_LE if element.vr == "UN" else encoding  # PS3.5 6.2.2
    return items(data, element, inner), inner


def _vr(ours: Element, theirs: Element) -> str:
    """The VR that one side states, else the dictionary's."""
    for element in (ours, theirs):
        if element.vr not in _UNTOLD:
            return element.vr
    return implicit_vr(ours.tag)


def _raw(data: Buffer, element: Element, _encoding: Encoding) -> bytes:
    return data[element.value : element.stop]


def _leaf(data: Buffer, element: Element, encoding: Encoding, vr: str) -> bytes:
    """The value in little endian; text without padding."""
    value = data[element.value : element.stop]
    if vr not in _BINARY:
        return value.rstrip(b" \0")
    # UN is little endian whatever the syntax says (PS3.5 6.2.2 note 2).
    return turned(value, vr) if encoding.order == ">" and element.vr != "UN" else value


def _name(tag: int) -> str:
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"

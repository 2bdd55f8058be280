"""What a device that changes pixels owes the header, and the way back.

PS3.3 C.7.6.1.1.2 and C.12.1: Image Type says DERIVED, Derivation Description
and Contributing Equipment say what was done; what the changed pixels make
untrue (signatures, icon, extremes) goes or is made true. The SOP Instance UID
stays: the change is not expected to affect professional interpretation
(C.12.4.1.1). All of it is spliced into the raw bytes in the object's own
encoding, and everything else stays byte for byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.dicom import declaration
from node.dicom.elements import SEQUENCE_END, element_bytes, header
from node.dicom.headers import (
    assemble,
    changed,
    fill,
    is_undefined,
    offset_tables,
    offset_tags,
    pack_header,
    parse_header,
    pixel_head,
    pixel_span,
)
from node.dicom.reader import (
    NATIVE_SYNTAXES,
    PIXEL_DATA,
    encoding_of,
    wire,
    with_syntax,
    write_part10,
)
from node.dicom.recode import recode
from node.dicom.undo import Undo, Was, pack, unpack
from node.errors import UnsealableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.dicom.declaration import Work
    from node.dicom.pixels import Pixels, Stored
    from node.dicom.reader import DicomObject

PRIVATE_GROUP = 0x5EA1
PRIVATE_CREATOR = b"SEALNODE"
HEADER_COPY, SEALED_RECORD, KEY_HINT, QUALITY, ATTACHMENTS, METHOD = 1, 2, 3, 4, 5, 8
_PRIVATE_VRS = {
    HEADER_COPY: "OB", SEALED_RECORD: "OB", KEY_HINT: "LO", QUALITY: "ST", METHOD: "LO",
    ATTACHMENTS: "OB",
}  # fmt: skip

ROWS = 0x00280010  # always kept: whoever has the record knows how many there were
SMALLEST, LARGEST = 0x00280106, 0x00280107
MAC_PARAMETERS = 0x4FFE0001
ICON_IMAGE = 0x00880200
DIGITAL_SIGNATURES = 0xFFFAFFFA

MAX_RAW = 256  # bytes; undo data leave a longer element to the header copy
MAX_RAW_MASKED = 64  # the same where many elements are touched


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of each touched element.

    :param elements: by tag: the new element, None for one that goes. The
        extremes have a placeholder until the marked samples are known.
    :param group_lengths: the groups whose length element must follow.
    """

    elements: dict[int, bytes | None]
    group_lengths: tuple[int, ...]

    @property
    def touched(self) -> tuple[int, ...]:
        """The tags that differ from the original, ascending."""
        return tuple(sorted((*self.elements, *(group << 16 for group in self.group_lengths))))


def plan(
    obj: DicomObject,
    work: Work,
    *,
    image: bool,
    masked: Mapping[int, bytes | None] | None = None,
) -> Changes:
    """Return what marking changes in the header of an object.

    :param image: whether its pixels are marked. If not, only the private
        block is added, so that nothing that may be signed changes.
    :param masked: what becomes of elements that say who it is about; nothing
        of theirs finds its way into the others.
    :raises UnsealableError: the object has our private block already (code
        ``already_sealed``), its elements are not in order (``order``), or its
        private group is full (``private_group``).
    """
    if not obj.ordered:
        raise UnsealableError("the elements are not in order", code="order")
    if private_block(obj) is not None:
        raise UnsealableError("the object carries a seal already", code="already_sealed")
    _free_block(obj)
    elements: dict[int, bytes | None] = dict(masked or {})
    if image:
        elements |= declaration.of_image(changed(obj, elements) if masked else obj, work)
        for tag in (ICON_IMAGE, DIGITAL_SIGNATURES, SMALLEST, LARGEST):
            if tag in obj.index:
                elements[tag] = None
        if DIGITAL_SIGNATURES in elements and MAC_PARAMETERS in obj.index:
            elements[MAC_PARAMETERS] = None
    return with_elements(Changes({}, ()), obj, elements)


def with_elements(
    changes: Changes, obj: DicomObject, elements: Mapping[int, bytes | None]
) -> Changes:
    """Return changes with more of them, and the group lengths that must follow."""
    new = {**changes.elements, **elements}
    groups = {tag >> 16 for tag in new} | {PRIVATE_GROUP}
    lengths = (g for g in groups if g << 16 in obj.index and g << 16 not in new)
    return Changes(new, tuple(sorted(lengths)))


def dress(
    obj: DicomObject,
    changes: Changes,
    stored: Stored | None,
    *,
    private: Mapping[int, bytes],
    extremes: tuple[int, int] | None = None,
) -> bytes:
    """Return the data set (not deflated) with its header changed and its pixels replaced.

    :param stored: the new pixels; None leaves those that are there.
    :param private: values for our private block by element byte:
        ``HEADER_COPY``, ``SEALED_RECORD``, ``KEY_HINT``, ``QUALITY``,
        ``ATTACHMENTS``, ``METHOD``.
    :param extremes: the smallest and the largest marked sample, written where
        the object had such values.
    """
    encoding = obj.encoding
    new = dict(changes.elements)
    for tag, value in zip((SMALLEST, LARGEST), extremes or (), strict=False):
        if tag in new and extremes is not None:
            new[tag] = _extreme(obj, tag, value)
    if stored is not None:
        new |= dict.fromkeys(offset_tags(obj))
    new |= _block(obj, private)
    new |= _group_lengths(obj, changes.group_lengths, new)
    before, after = assemble(obj, new)
    element = obj.index.get(PIXEL_DATA)
    if element is None:
        return before + after
    if stored is None:
        return b"".join((before, obj.data[element.start : element.end], after))
    if stored.transfer_syntax_uid not in NATIVE_SYNTAXES:
        tail = header(SEQUENCE_END, "", 0, encoding)
    elif element.undefined:
        tail = b"\0" * (len(stored.value) % 2)
    else:
        tail = obj.data[pixel_span(obj)[1] : element.stop]
    length = len(stored.value) + len(tail)
    head = pixel_head(obj, stored.transfer_syntax_uid, length)
    return b"".join((before, head, stored.value, tail, after))


def undo(obj: DicomObject, changes: Changes, *, raw: int | None) -> bytes:
    """Return what turns the changed header of ``obj`` back; the same in every run.

    :param raw: the longest element to be in here if the whole header rides in
        the object, too; private ones are then not. None if it does not.
    """
    pixel = obj.index.get(PIXEL_DATA)
    elements: dict[int, bytes | Was] = {}
    for tag in changes.touched:
        element = obj.index.get(tag)
        most = None if tag == ROWS else raw
        if element is None:
            elements[tag] = Was.ABSENT
        elif most is not None and (tag >> 16 & 1 or element.end - element.start > most):
            elements[tag] = Was.IN_COPY
        else:
            elements[tag] = obj.data[element.start : element.end]
    head = obj.data[pixel.start : pixel.value] if pixel else b""
    return pack(Undo(obj.transfer_syntax_uid, head, elements))


def undress(obj: DicomObject, undo_data: bytes, original: DicomObject | None = None) -> bytes:
    """Return the header (see :mod:`node.dicom.headers`) that a marked object had before.

    If the object is now written in another encoding, so is the header: the
    same elements, not the same bytes.

    :param original: what the header copy says, or the Encrypted Attributes, if
        there are any; needed only where the undo data refer to them.
    :raises UnreadableError: the undo data are damaged (code ``undo``).
    :raises UnsealableError: the elements are not in order (code ``order``).
    """
    before_marking = unpack(undo_data)
    syntax, head = before_marking.transfer_syntax_uid, before_marking.head
    encoding = encoding_of(syntax)
    anew = encoding is not obj.encoding
    changes: dict[int, bytes | None] = dict.fromkeys((*offset_tags(obj), *_own_tags(obj)))
    for tag, was in before_marking.elements.items():
        element = original.index.get(tag) if original and was is Was.IN_COPY else None
        if original and element:
            kept = original.data[element.start : element.end]
            same = original.encoding is encoding
            changes[tag] = kept if same else recode(kept, original.encoding, encoding)
        else:
            changes[tag] = None if isinstance(was, Was) else was
        raw = changes[tag]
        if anew and raw is not None:
            changes[tag] = recode(raw, encoding, obj.encoding)
    before, after = assemble(obj, changes)
    pixel = obj.index.get(PIXEL_DATA)
    if anew and pixel is not None:
        syntax = obj.transfer_syntax_uid
        head = obj.data[pixel.start : pixel.value]
    if not head or pixel is None:
        return pack_header(syntax, before, b"", b"", after)
    if is_undefined(head):
        inside = header(SEQUENCE_END, "", 0, obj.encoding)
    elif pixel.undefined:
        inside = b""
    else:
        inside = obj.data[pixel_span(obj)[1] : pixel.end]
    return pack_header(syntax, before, head, inside, after)


def rebuild(
    original: bytes,
    pixels: Pixels | None,
    file: bytes = b"",
    parsed: DicomObject | None = None,
) -> bytes:
    """Return the Part 10 file of an original header and restored pixels.

    :param original: a header (see :mod:`node.dicom.headers`).
    :param pixels: the restored ones, in whatever syntax they were found; they
        are written in the original's. None for an object sealed in the header
        alone: use :func:`refill` for that.
    :param file: preamble and meta information of the original file; without
        it they are made anew.
    :param parsed: what ``original`` is a header of, if that is at hand.
    """
    obj = parsed or parse_header(original)
    value = b"" if pixels is None else pixels.written_like(obj).value
    return _file(obj, fill(original, value), file)


def refill(original: bytes, found: DicomObject, file: bytes = b"") -> bytes:
    """Return the Part 10 file of an original header and the pixels of ``found`` as they stand."""
    value = b""
    if PIXEL_DATA in found.index:
        start, stop = pixel_span(found)
        value = found.data[start:stop]
    return _file(parse_header(original), fill(original, value, offset_tables(found)), file)


def is_marked(obj: DicomObject) -> bool:
    """Whether the object says that it carries a seal: has our private block."""
    return private_block(obj) is not None


def private_block(obj: DicomObject) -> int | None:
    """Return the block number of our private elements, None if there are none."""
    for number in range(0x10, 0x100):
        creator = obj.raw(PRIVATE_GROUP << 16 | number)
        if creator is not None and creator.strip(b" \0") == PRIVATE_CREATOR:
            return number
    return None


def private_value(obj: DicomObject, byte: int) -> bytes | None:
    """Return a value of our private block, padding included; None if it is absent."""
    block = private_block(obj)
    return None if block is None else obj.raw(PRIVATE_GROUP << 16 | block << 8 | byte)


def _block(obj: DicomObject, private: Mapping[int, bytes]) -> dict[int, bytes | None]:
    block = _free_block(obj)
    first = PRIVATE_GROUP << 16
    elements: dict[int, bytes | None] = {
        first | block: element_bytes(first | block, "LO", PRIVATE_CREATOR, obj.encoding)
    }
    for byte, value in private.items():
        tag = first | block << 8 | byte
        elements[tag] = element_bytes(tag, _PRIVATE_VRS[byte], value, obj.encoding)
    return elements


def _own_tags(obj: DicomObject) -> list[int]:
    """Our private elements and their creator."""
    block = private_block(obj)
    if block is None:
        return []
    low = PRIVATE_GROUP << 16 | block << 8
    return [PRIVATE_GROUP << 16 | block, *(tag for tag in obj.index if low <= tag <= low | 0xFF)]


def _file(obj: DicomObject, dataset: bytes, file: bytes) -> bytes:
    syntax = obj.transfer_syntax_uid
    if file:
        return with_syntax(file, syntax) + wire(dataset, syntax)
    uids = obj.text("SOPClassUID"), obj.text("SOPInstanceUID")
    return write_part10(*uids, syntax, wire(dataset, syntax))


def _free_block(obj: DicomObject) -> int:
    """The first block of our group that nobody reserved (PS3.5 7.8.1)."""
    for number in range(0x10, 0x100):
        if PRIVATE_GROUP << 16 | number not in obj.index:
            return number
    raise UnsealableError("every private block of our group is taken", code="private_group")


def _extreme(obj: DicomObject, tag: int, value: int) -> bytes:
    vr = "SS" if value < 0 or obj.ints("PixelRepresentation") == (1,) else "US"
    order = obj.encoding.order
    return element_bytes(tag, vr, struct.pack(order + "H", value & 0xFFFF), obj.encoding)


def _group_lengths(
    obj: DicomObject, groups: tuple[int, ...], new: Mapping[int, bytes | None]
) -> dict[int, bytes | None]:
    """Group length elements (PS3.5 7.2) that are true of the changed groups."""
    lengths: dict[int, bytes | None] = {}
    for group in groups:
        sizes = {e.tag: e.end - e.start for e in obj.elements if e.tag >> 16 == group}
        sizes |= {tag: len(raw or b"") for tag, raw in new.items() if tag >> 16 == group}
        total = sum(size for tag, size in sizes.items() if tag & 0xFFFF)
        value = struct.pack(obj.encoding.order + "I", total)
        lengths[group << 16] = element_bytes(group << 16, "UL", value, obj.encoding)
    return lengths

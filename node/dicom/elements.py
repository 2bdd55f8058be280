"""A bounded walk over the raw bytes of a data set (PS3.5 section 7).

Nothing is decoded and nothing is copied: an :class:`Element` says where its
bytes lie, so that whoever changes one element leaves every other byte as it
was. No memory is ever allocated by a length that the data only claims.

What cannot be walked raises :class:`~node.errors.UnreadableError` with one of
these codes: ``truncated`` (a length runs past the end), ``vr`` (no value
representation where one must be), ``sequence`` (items or delimiters missing or
misplaced), ``depth``, ``too_many``, ``group`` (command or file meta elements
inside a data set).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import TYPE_CHECKING, Literal, NamedTuple

from node.errors import UnreadableError

if TYPE_CHECKING:
    from mmap import mmap

    Buffer = bytes | mmap

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
MAX_DEPTH = 64  # sequences of undefined length inside another; real objects have below 10
MAX_ELEMENTS = 100_000  # at the top level
MAX_STEPS = 2_000_000  # item and element headers inside sequences of undefined length

# PS3.5 table 7.1-2: these have a 16-bit length, every other one a 32-bit length.
SHORT_VRS = {
    bytes(vr): vr.decode()
    for (vr,) in struct.iter_unpack("2s", b"AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS")
}
LONG_VRS = {
    bytes(vr): vr.decode() for (vr,) in struct.iter_unpack("2s", b"OBODOFOLOVOWSQSVUCUNURUTUV")
}


class Encoding(Enum):
    """How a data set is written (PS3.5 annex A)."""

    IMPLICIT_LE = "implicit VR little endian"
    EXPLICIT_LE = "explicit VR little endian"
    EXPLICIT_BE = "explicit VR big endian"

    @property
    def explicit(self) -> bool:
        """Whether each element names its value representation."""
        return self is not Encoding.IMPLICIT_LE

    @property
    def order(self) -> Literal["<", ">"]:
        """The byte order, as ``struct`` and numpy write it."""
        return ">" if self is Encoding.EXPLICIT_BE else "<"


class Element(NamedTuple):
    """Where one element lies: ``data[start:end]`` is all of it.

    :param vr: two letters; ``""`` in implicit VR.
    :param value: offset of the first value byte.
    :param stop: offset after the last value byte.
    :param end: offset of the next element. For a value of undefined length
        this lies beyond the sequence delimiter.
    """

    tag: int
    vr: str
    start: int
    value: int
    stop: int
    end: int

    @property
    def undefined(self) -> bool:
        """Whether the value has an undefined length, ended by a delimiter."""
        return self.end != self.stop


@dataclass(frozen=True, slots=True)
class _Layout:
    """The compiled header layouts of one byte order."""

    explicit: Struct  # group, element, VR, 16-bit length
    implicit: Struct  # group, element, 32-bit length
    length: Struct  # the 32-bit length of the long form


_LAYOUTS = {order: _Layout(Struct(f"{order}HH2sH"), Struct(f"{order}HHI"), Struct(f"{order}I"))
            for order in "<>"}  # fmt: skip


def walk(  # noqa: C901, PLR0912 - one hot loop: a call per element doubles its time
    data: Buffer, encoding: Encoding, start: int = 0, stop: int | None = None
) -> tuple[Element, ...]:
    """Return the elements of ``data[start:stop]``, without those inside sequences.

    Bytes after the last element that are all zero are left alone: they begin
    where the last element ends.

    :raises UnreadableError: the bytes are no data set; see the module.
    """
    stop = len(data) if stop is None else stop
    explicit = encoding.explicit
    layout = _LAYOUTS[encoding.order]
    head = layout.explicit.unpack_from
    plain = layout.implicit.unpack_from
    long = layout.length.unpack_from
    short_vrs = SHORT_VRS
    found: list[Element] = []
    add, new = found.append, tuple.__new__  # as Element() does it, without its call
    at = start
    last = stop - 8
    while at <= last:
        if explicit:
            group, number, code, length = head(data, at)
            vr = short_vrs.get(code)
            if vr is not None:
                value = at + 8
            else:
                if not group and _only_zeros(data, at, stop):
                    break
                vr = _long_vr(code)
                if at + 12 > stop:
                    raise _truncated(at)
                (length,) = long(data, at + 8)
                value = at + 12
        else:
            group, number, length = plain(data, at)
            if not group and _only_zeros(data, at, stop):
                break
            vr = ""
            value = at + 8
        if length == UNDEFINED:
            inner = Encoding.IMPLICIT_LE if vr == "UN" else encoding  # PS3.5 6.2.2 note 4
            end_of_value = _past_items(data, value, stop, inner)
            end = end_of_value + 8
        else:
            end_of_value = end = value + length
            if end > stop:
                raise _truncated(at)
        add(new(Element, (group << 16 | number, vr, at, value, end_of_value, end)))
        at = end
        if len(found) > MAX_ELEMENTS:
            raise UnreadableError("the data set has too many elements", code="too_many")
    if at < stop and not _only_zeros(data, at, stop):
        raise _truncated(at)
    return tuple(found)


def leading(data: Buffer, group: int, start: int) -> tuple[Element, ...]:
    """Return the explicit VR little endian elements of one group that begin at ``start``.

    If a group length element comes first and an element ends where it says,
    the group ends there too; a wrong one is passed over.

    :raises UnreadableError: an element is cut off or has no VR.
    """
    layout = _LAYOUTS["<"]
    found: list[Element] = []
    at, stop, claimed = start, len(data), -1
    while at + 8 <= stop and at != claimed:
        current, number, length = layout.implicit.unpack_from(data, at)
        if current != group:
            break
        value, length, vr = _explicit(data, at, stop, layout)
        if length > stop - value:
            raise _truncated(at)
        if not found and number == 0 and length == layout.length.size:
            claimed = value + length + layout.length.unpack_from(data, value)[0]
        end = value + length
        found.append(Element(current << 16 | number, vr, at, value, end, end))
        at = end
    return tuple(found)


def items(data: Buffer, element: Element, encoding: Encoding) -> list[tuple[int, int]]:
    """Return where the content of each item of a sequence lies, as (start, stop).

    :raises UnreadableError: the value is no sequence of items.
    """
    layout = _LAYOUTS[encoding.order]
    found = []
    at, stop = element.value, element.stop
    while at < stop:
        if at + 8 > stop:
            raise _truncated(at)
        group, number, length = layout.implicit.unpack_from(data, at)
        tag = group << 16 | number
        if tag == SEQUENCE_END:  # tolerated at the end of a defined length
            break
        if tag != ITEM:
            raise UnreadableError("a sequence holds something else than items", code="sequence")
        if length == UNDEFINED:
            end = _past_elements(data, at + 8, stop, encoding)
            found.append((at + 8, end))
            at = end + 8
        else:
            if at + 8 + length > stop:
                raise _truncated(at)
            found.append((at + 8, at + 8 + length))
            at += 8 + length
    return found


def header(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    """Return the bytes that announce a value; ``length`` may be ``UNDEFINED``."""
    layout = _LAYOUTS[encoding.order]
    group, number = tag >> 16, tag & 0xFFFF
    if not encoding.explicit or tag >> 16 == ITEM >> 16:
        return layout.implicit.pack(group, number, length)
    code = vr.encode()
    if code in SHORT_VRS:
        return layout.explicit.pack(group, number, code, length)
    return layout.explicit.pack(group, number, code, 0) + layout.length.pack(length)


def element_bytes(tag: int, vr: str, value: bytes, encoding: Encoding) -> bytes:
    """Return a whole element; an odd value is padded as its VR demands (PS3.5 6.2)."""
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    return header(tag, vr, len(value), encoding) + value


def _past_items(data: Buffer, at: int, stop: int, encoding: Encoding) -> int:
    """Return the offset of the delimiter that ends the sequence begun at ``at``."""
    return _past(data, at, stop, [encoding])


def _past_elements(data: Buffer, at: int, stop: int, encoding: Encoding) -> int:
    """Return the offset of the delimiter that ends the item begun at ``at``."""
    return _past(data, at, stop, [encoding, encoding])


def _past(data: Buffer, at: int, stop: int, scopes: list[Encoding]) -> int:
    """Walk until the innermost of the given scopes is closed; return its delimiter's offset.

    ``scopes`` alternates between sequences (odd length: items follow) and
    items (even length: elements follow), each with the encoding it is in.
    """
    bottom = len(scopes)
    for _ in range(MAX_STEPS):
        if at + 8 > stop:
            raise UnreadableError("a sequence is never closed", code="sequence")
        in_sequence = len(scopes) % 2
        tag, value, length, inner = _header_at(data, at, stop, scopes[-1])
        if tag == (SEQUENCE_END if in_sequence else ITEM_END):
            if len(scopes) == bottom:
                return at
            scopes.pop()
            at = value
            continue
        if (tag == ITEM) != in_sequence or (tag >> 16 == ITEM >> 16 and tag != ITEM):
            raise UnreadableError("items and elements are mixed up", code="sequence")
        if length == UNDEFINED:
            scopes.append(inner)
            if len(scopes) > 2 * (MAX_DEPTH + 1):
                raise UnreadableError("sequences are nested too deep", code="depth")
            at = value
        else:
            at = value + length
            if at > stop:
                raise _truncated(value)
    raise UnreadableError("a sequence has too many items", code="too_many")


def _header_at(
    data: Buffer, at: int, stop: int, encoding: Encoding
) -> tuple[int, int, int, Encoding]:
    """Return (tag, value offset, length, encoding inside) of the element or item at ``at``."""
    layout = _LAYOUTS[encoding.order]
    group, number, length = layout.implicit.unpack_from(data, at)
    tag = group << 16 | number
    if not encoding.explicit or group == ITEM >> 16:
        return tag, at + 8, length, encoding
    value, length, vr = _explicit(data, at, stop, layout)
    return tag, value, length, Encoding.IMPLICIT_LE if vr == "UN" else encoding


def _explicit(data: Buffer, at: int, stop: int, layout: _Layout) -> tuple[int, int, str]:
    """Return (value offset, length, VR) of the explicit VR element at ``at``."""
    _, _, code, length = layout.explicit.unpack_from(data, at)
    if code in SHORT_VRS:
        return at + 8, length, SHORT_VRS[code]
    vr = _long_vr(code)
    if at + 12 > stop:
        raise _truncated(at)
    (length,) = layout.length.unpack_from(data, at + 8)
    return at + 12, length, vr


def _long_vr(code: bytes) -> str:
    vr = LONG_VRS.get(code)
    if vr is None:
        # A VR of a later edition has the 32-bit form (PS3.5 6.2, 7.1.2).
        if not (code.isalpha() and code.isupper()):
            raise UnreadableError("an element has no value representation", code="vr")
        vr = code.decode("ascii")
    return vr


def _only_zeros(data: Buffer, at: int, stop: int) -> bool:
    return not data[at : min(at + 64, stop)].strip(b"\0") and not data[at:stop].strip(b"\0")


def _truncated(at: int) -> UnreadableError:
    return UnreadableError(f"the data ends inside the element at byte {at}", code="truncated")

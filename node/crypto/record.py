"""The record: the patient, the proof and the way back, as few bytes as can be.

Every byte costs image quality, since records ride in the pixels. Source:
docs/formats/payload-v1.md, section 6. SECURITY: what passes through here is
the patient; no value may appear in an error.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from node.crypto.payload import encode_uid
from node.errors import UnreadableError, UnsealableError
from node.types import Attribute, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.types import Binding

VERSION = 1
COARSE, ATTACHED = 2, 3  # where a record holds a coarse copy; where it holds attachments
MAX_TEXT = 16 * 1024 * 1024  # bytes once inflated

_UNDO, _FILE, _LOGO, _ROBUST, _DEFLATED = 0x01, 0x02, 0x04, 0x08, 0x10
_COARSE, _ATTACHED = 0x20, 0x40
_FLAGS = _UNDO | _FILE | _LOGO | _ROBUST | _DEFLATED | _COARSE | _ATTACHED
_HASH = 32  # bytes of SHA-256
_MAX_VARINT = 5  # bytes, enough for 32 bits
_MAX_TAG = 0xFFFFFFFF
_VRS = (  # PS3.5 6.2; a code is the place in this list, from 1
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT",
    "OB", "OD", "OF", "OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST",
    "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV",
)  # fmt: skip

# Part of the format: never edit. Two made-up records, and pieces of UIDs, names and file meta
# information that many devices write, the likeliest last.
DICTIONARY: Final = (
    b"\x02\x00\x00\x00UL\x04\x00\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01\x02\x00\x02\x00UI"
    b"\x1a\x00\x02\x00\x03\x00UI\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00\x02\x00\x12\x00UI"
    b"\x1c\x001.2.276.0.7230010.3.0.3.6.\x02\x00\x13\x00SH\x10\x00OFFIS_DCMTK_36\x02\x00\x16\x00AE"
    b"DERIVED\\SECONDARY ORIGINAL\\PRIMARY\\AXIAL "
    b"1.3.46.670589.1.2.392.200036.9116.1.2.826.0.1.3680043.=\x1b$B\x1b(B\x1b$)C"
    b"\x16\xa0\x80 \x05\x0820200101\x10\x1a\x0e120000.000000  \x14\x000\x0b\x08HOSPITAL"
    b"\x10\x13\x00\xa0\x1f\x0b\x05CHEST\x18\x13\x00\x08\x13\x00 \x13\x00\xa0\xdf\x1f\x13\n"
    b"ANONYMOUS^\x10\x0b\x0800000000\x01\x0b\x00\x0f\x05\x0819500101\x10\x04\x02F \xc0\x1f\x0b\x00"
    b"\x10\x02\x04050Y\x10\x06\x041.7 \x10\x06\x0270\xd0_\x0c\x00\x8d\x80?\x1c\x12"
    b"1.3.12.2.1107.5.2.\x01\x1c\x161.2.840.113619.2.55.3.\x02\x14\x021 "
    b"\x0c\xa0\x80 \x05\x0820250101\x10\x1a\x06090000 \x14\x00@\x13\x00\x80\xff\x1f\x13\x00\x10\x0b"
    b"\x00\x10\x05\x0819700101\x10\x04\x02M \xd0\x1f\x02\x04040Y\xfd\xdf?"
    b"\x1c\x181.2.840.10008.5.1.4.1.1.\x01\x1c\x00\x02\x14\x00"
)


def encode(record: Record, binding: Binding) -> bytes:
    """Return the bytes of a record that will be sealed under ``binding``.

    :raises UnsealableError: tags do not ascend strictly, a VR is none of
        PS3.5 6.2, or the text passes 16 MiB: no record can hold it.
    :raises ValueError: a hash is not 32 bytes long.
    :raises UnreadableError: the binding holds a UID that no object may have.
    """
    if len(record.pixels_sha256) != _HASH or len(record.object_sha256) != _HASH:
        raise ValueError("a record needs two SHA-256 of 32 bytes")
    sections = (_UNDO, record.undo), (_FILE, record.file)
    packed = (
        (_LOGO, record.logo),
        (_ROBUST, record.robust),
        (_COARSE, record.coarse),
        (_ATTACHED, record.attached),
    )
    flags = sum(flag for flag, part in sections + packed if part)
    text = _encode_attributes(record.attributes) + _sections(sections)
    if len(text) > MAX_TEXT:
        raise UnsealableError("the record would pass 16 MiB", code="record_too_large")
    deflated = _deflate(text, _dictionary(binding))
    if len(deflated) < len(text):
        flags |= _DEFLATED
        text = deflated
    head = bytes((_version(flags), flags)) + record.pixels_sha256 + record.object_sha256
    return head + _sections(packed) + text


def decode(data: bytes, binding: Binding) -> Record:
    """Read a record that was sealed under ``binding``.

    :raises UnreadableError: it is no record of version 1 to 3, to the last bit.
    """
    head = _Reader(data)
    version, flags = head.take(1)[0], head.take(1)[0]
    if version != _version(flags) or flags & ~_FLAGS:
        raise UnreadableError(
            f"record of version {version}, flags {flags:#04x} is not known here",
            hint="it may have been sealed by a newer release",
        )
    pixels_sha256, object_sha256 = head.take(_HASH), head.take(_HASH)
    logo = head.section() if flags & _LOGO else b""
    robust = head.section() if flags & _ROBUST else b""
    coarse = head.section() if flags & _COARSE else b""
    attached = head.section() if flags & _ATTACHED else b""
    rest = head.rest()
    text = _Reader(_inflate(rest, _dictionary(binding)) if flags & _DEFLATED else rest)
    attributes = tuple(_decode_attributes(text))
    undo = text.section() if flags & _UNDO else b""
    file = text.section() if flags & _FILE else b""
    if text.rest():
        raise UnreadableError("a record is followed by other bytes")
    return Record(
        attributes, pixels_sha256, object_sha256, undo, logo, file, robust, coarse, attached
    )


def _version(flags: int) -> int:
    """Return the version of a record: the first that knows what it holds."""
    if flags & _ATTACHED:
        return ATTACHED
    return COARSE if flags & _COARSE else VERSION


def _encode_attributes(attributes: Iterable[Attribute]) -> bytes:
    out = bytearray()
    count = 0
    previous = -1
    for attribute in attributes:
        if not previous < attribute.tag <= _MAX_TAG:
            raise UnsealableError("a tag comes twice or out of order", code="record_order")
        if attribute.vr not in _VRS:
            raise UnsealableError("a VR is none of PS3.5 6.2", code="record_vr")
        out += _varint(attribute.tag - max(previous, 0))
        out.append(_VRS.index(attribute.vr) + 1)
        out += _varint(len(attribute.value)) + attribute.value
        previous = attribute.tag
        count += 1
    return _varint(count) + bytes(out)


def _sections(parts: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(_varint(len(part)) + part for _, part in parts if part)


def _decode_attributes(text: _Reader) -> list[Attribute]:
    found: list[Attribute] = []
    tag = 0
    for index in range(text.varint()):
        step = text.varint()
        if index and not step:
            raise UnreadableError("a record names a tag twice")
        tag += step
        if tag > _MAX_TAG:
            raise UnreadableError("a record holds an impossible tag")
        code = text.take(1)[0]
        if not 1 <= code <= len(_VRS):
            raise UnreadableError("a record holds an unknown value representation")
        found.append(Attribute(tag, _VRS[code - 1], text.take(text.varint())))
    return found


@dataclass(slots=True)
class _Reader:
    """Takes bytes off the front; refuses to go past the end."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise UnreadableError("a record ends too early")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def varint(self) -> int:
        value = 0
        for index in range(_MAX_VARINT):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follows
                if (index and not byte) or value > _MAX_TAG:
                    break
                return value
        raise UnreadableError("a record holds a number that is not in its shortest form")

    def section(self) -> bytes:
        length = self.varint()
        if not length:
            raise UnreadableError("a record holds an empty section")
        return self.take(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _dictionary(binding: Binding) -> bytes:
    return DICTIONARY + encode_uid(binding.sop_instance_uid)


def _deflate(text: bytes, dictionary: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return packer.compress(text) + packer.flush()


def _inflate(packed: bytes, dictionary: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15, dictionary)
    try:
        text = unpacker.decompress(packed, MAX_TEXT + 1)
    except zlib.error:
        raise UnreadableError("the deflated part of a record is broken") from None
    if not unpacker.eof or unpacker.unused_data or len(text) > MAX_TEXT:
        raise UnreadableError("the deflated part of a record does not end where it should")
    if len(packed) >= len(text):
        raise UnreadableError("a record is deflated without need")
    return text

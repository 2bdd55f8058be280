"""DICOM Digital Signatures: what is signed, byte by byte, and the sequences that say so.

PS3.3 C.12.1.1.3, PS3.15 annex C. Signatures of the data set are dealt with,
not those inside items of sequences. Nothing here knows a key.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.dicom.elements import (
    ITEM,
    SEQUENCE_END,
    Encoding,
    element_bytes,
    header,
    items,
    walk,
)
from node.dicom.headers import assemble
from node.dicom.reader import (
    NATIVE_SYNTAXES,
    PIXEL_DATA,
    read_dataset,
)
from node.dicom.recode import recode
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from node.dicom.elements import Buffer, Element
    from node.dicom.reader import DicomObject

SIGNATURES, MACS = 0xFFFAFFFA, 0x4FFE0001
LENGTHS = (0x4FFE0000, 0xFFFA0000)  # of their groups
MAC_ID, MAC_SYNTAX, MAC_ALGORITHM, SIGNED = 0x04000005, 0x04000010, 0x04000015, 0x04000020
UID, AT, TYPE, CERTIFICATE, SIGNATURE = 0x04000100, 0x04000105, 0x04000110, 0x04000115, 0x04000120
STAMP_TYPE, STAMP = 0x04000305, 0x04000310
X509 = b"X509_1993_SIG"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
MAX_SIGNATURES = 16  # that are looked at in one object

_UNSIGNED_PARTS = {CERTIFICATE, SIGNATURE, STAMP_TYPE, STAMP}  # C.12.1.1.3.1.1
_GROUPS = {0x0018, 0x0020, 0x0028, 0x0040, 0x0054, 0x0070, 0x5200, 0x5400}

_CHANGING = {  # archives write these: numbers of related objects, study and order
    0x00200010, 0x00401001, 0x00400275, 0x00400555, 0x00402016, 0x00402017,
    *range(0x00201200, 0x0020120A), *range(0x00400241, 0x00400281),
}  # fmt: skip
_COMMON = {
    0x00080008, 0x00080012, 0x00080013, 0x00080016, 0x00080018, 0x0008001A, 0x00080022,
    0x00080023, 0x0008002A, 0x00080032, 0x00080033, 0x00080060, 0x00080070, 0x00080080,
    0x00080081, 0x00081010, 0x00081040, 0x00081041, 0x00081090, 0x00081115, 0x00081140,
    0x00082111, 0x00082112, 0x00089215, 0x00420010, 0x00420011, 0x00420012, 0x00880200,
}  # fmt: skip
_OVERLAYS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True, slots=True)
class Signature:
    """One item of the Digital Signatures Sequence, with its MAC parameters.

    :param algorithm: ``SHA256`` and the like, as it stands in the object.
    :param certificate: as it stands in the object; b"" if it is none of X.509.
    :param tags: of the elements that are signed.
    """

    algorithm: str
    certificate: bytes
    signature: bytes
    tags: tuple[int, ...]
    syntax: str
    part: bytes

    def stream(self, obj: DicomObject) -> Iterator[bytes]:
        """Yield the bytes that are signed.

        :raises UnreadableError: they cannot be had of the object.
        """
        same = obj.transfer_syntax_uid in NATIVE_SYNTAXES
        if self.syntax != EXPLICIT_LE and (same or self.syntax != obj.transfer_syntax_uid):
            raise UnreadableError("signed in another transfer syntax", code="mac_syntax")
        yield from signed_bytes(obj, self.tags)
        yield self.part


def signed_tags(obj: DicomObject) -> tuple[int, ...]:
    """Return the tags that this node signs: what the Creator RSA profile demands (PS3.15 C.2).

    All of equipment, acquisition, image, pixels, overlays and content; neither
    the patient nor the order, which archives correct, nor private elements,
    which they drop.
    """
    return tuple(element.tag for element in obj.elements if _signs(element))


def signed_bytes(obj: DicomObject, tags: Iterable[int]) -> Iterator[bytes]:
    """Yield elements as they are signed: in explicit VR little endian.

    :raises UnreadableError: an element cannot be written so.
    """
    for tag in tags:
        element = obj.index.get(tag)
        if element is None:
            continue
        if obj.encoding is Encoding.EXPLICIT_LE:
            yield from _unmeasured(obj.data, (element,))
        else:
            raw = recode(obj.data[element.start : element.end], obj.encoding, Encoding.EXPLICIT_LE)
            if obj.vr(element) == "SS":  # where it is US or SS, as Pixel Representation says
                raw = raw[:4] + b"SS" + raw[6:]
            yield from _unmeasured(raw, walk(raw, Encoding.EXPLICIT_LE))


def signatures(obj: DicomObject) -> list[Signature]:
    """Return the signatures of a data set.

    :raises UnreadableError: they are not as PS3.3 C.12.1 has them.
    """
    macs: dict[bytes, dict[int, bytes]] = {}
    for start, stop in _items(obj, MACS):
        parts = _values(obj, start, stop)
        macs[parts.get(MAC_ID, b"")] = parts
    found = []
    for start, stop in _items(obj, SIGNATURES)[:MAX_SIGNATURES]:
        parts = _values(obj, start, stop)
        mac = macs.get(parts.get(MAC_ID, b""), {})
        known = parts.get(TYPE, b"").strip(b" \0") == X509
        found.append(
            Signature(
                _text(mac.get(MAC_ALGORITHM, b"")),
                parts.get(CERTIFICATE, b"") if known else b"",
                parts.get(SIGNATURE, b""),
                _tags(obj, mac.get(SIGNED, b"")),
                _text(mac.get(MAC_SYNTAX, b"")),
                b"".join(_signed_part(obj, start, stop)),
            )
        )
    return found


def part_of(number: int, uid: str, at: float, certificate: bytes) -> bytes:
    """Return the item of a new signature but for the signature, in explicit VR little endian.

    :param at: when it was made, in seconds since the epoch.
    """
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    said = (
        (MAC_ID, "US", struct.pack("<H", number)),
        (UID, "UI", uid.encode("ascii")),
        (AT, "DT", moment.encode("ascii")),
        (TYPE, "CS", X509),
        (CERTIFICATE, "OB", certificate),
    )
    return b"".join(element_bytes(tag, vr, value, Encoding.EXPLICIT_LE) for tag, vr, value in said)


def signed_part(part: bytes) -> bytes:
    """Return what is signed of such an item."""
    found = (e for e in walk(part, Encoding.EXPLICIT_LE) if e.tag not in _UNSIGNED_PARTS)
    return b"".join(_unmeasured(part, found))


def free_number(obj: DicomObject) -> int:
    """Return a MAC ID Number that no signature of the object has."""
    taken = {
        _values(obj, start, stop).get(MAC_ID, b"")
        for tag in (MACS, SIGNATURES)
        for start, stop in _items(obj, tag)
    }
    order = obj.encoding.order
    return next(
        number for number in range(0x10000) if struct.pack(order + "H", number) not in taken
    )


def with_signature(
    obj: DicomObject, number: int, tags: tuple[int, ...], part: bytes, signature: bytes
) -> bytes:
    """Return the data set with one more signature, after those that it has.

    :param part: as :func:`part_of` returns it.
    """
    syntax = obj.transfer_syntax_uid if obj.transfer_syntax_uid not in NATIVE_SYNTAXES else ""
    codes = b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in tags)
    mac = b"".join(
        element_bytes(tag, vr, value, Encoding.EXPLICIT_LE)
        for tag, vr, value in (
            (MAC_ID, "US", struct.pack("<H", number)),
            (MAC_SYNTAX, "UI", (syntax or EXPLICIT_LE).encode("ascii")),
            (MAC_ALGORITHM, "CS", b"SHA256"),
            (SIGNED, "AT", codes),
        )
    )
    whole = part + element_bytes(SIGNATURE, "OB", signature, Encoding.EXPLICIT_LE)
    changes: dict[int, bytes | None] = {tag: None for tag in LENGTHS if tag in obj.index}
    changes |= {MACS: _longer(obj, MACS, mac), SIGNATURES: _longer(obj, SIGNATURES, whole)}
    before, after = assemble(obj, changes)
    element = obj.index.get(PIXEL_DATA)
    pixels = b"" if element is None else obj.data[element.start : element.end]
    return b"".join((before, pixels, after))


def replaced(obj: DicomObject, *, keep: bool) -> dict[int, bytes | None]:
    """Return what becomes of the elements of signatures before one is added.

    :param keep: the signatures that there are stay, since nothing that they sign changes.
    """
    elements: dict[int, bytes | None] = dict.fromkeys((MACS, SIGNATURES))
    elements |= {tag: None for tag in LENGTHS if tag in obj.index}
    for tag in (MACS, SIGNATURES):
        if keep and tag in obj.index:
            element = obj.index[tag]
            elements[tag] = obj.data[element.start : element.end]
    return elements


def parsed(dataset: bytes, syntax: str) -> DicomObject:
    """Return the object of a data set that is not deflated.

    :raises UnreadableError: it is none.
    """
    return read_dataset(dataset, syntax)


def _signs(element: Element) -> bool:
    tag = element.tag
    group = tag >> 16
    if not tag & 0xFFFF or tag in _CHANGING or (element.undefined and element.vr == "UN"):
        return False
    return group in _GROUPS or group in _OVERLAYS or tag in _COMMON or tag == PIXEL_DATA


def _unmeasured(data: Buffer, elements: Iterable[Element], depth: int = 0) -> Iterator[bytes]:
    """Yield elements of explicit VR little endian data as they are signed.

    Sequences, items and fragments go without their lengths and without item
    delimiters, but each sequence ends in its own delimiter.
    """
    if depth > 64:  # noqa: PLR2004 - as deep as elements.walk goes
        raise UnreadableError("sequences are nested too deep", code="depth")
    for element in elements:
        if element.vr != "SQ" and not element.undefined:
            yield data[element.start : element.end]
            continue
        if element.vr == "UN":
            raise UnreadableError("a sequence of unknown kind is signed", code="mac_un")
        yield data[element.start : element.start + 8]  # tag, VR, reserved; not the length
        for start, stop in items(data, element, Encoding.EXPLICIT_LE):
            yield _tag(ITEM)
            if element.vr == "SQ":
                inner = walk(data, Encoding.EXPLICIT_LE, start, stop)
                yield from _unmeasured(data, (e for e in inner if e.tag & 0xFFFF), depth + 1)
            else:  # a fragment of encapsulated pixels
                yield data[start:stop]
        yield _tag(SEQUENCE_END)


def _tag(tag: int) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _signed_part(obj: DicomObject, start: int, stop: int) -> Iterator[bytes]:
    raw = obj.data[start:stop]
    if obj.encoding is not Encoding.EXPLICIT_LE:
        raw = recode(raw, obj.encoding, Encoding.EXPLICIT_LE)
    yield signed_part(raw)


def _items(obj: DicomObject, tag: int) -> list[tuple[int, int]]:
    element = obj.index.get(tag)
    return [] if element is None else items(obj.data, element, obj.encoding)


def _values(obj: DicomObject, start: int, stop: int) -> dict[int, bytes]:
    found = walk(obj.data, obj.encoding, start, stop)
    return {element.tag: bytes(obj.data[element.value : element.stop]) for element in found}


def _text(value: bytes) -> str:
    return value.strip(b" \0").decode("ascii", "replace")


def _tags(obj: DicomObject, value: bytes) -> tuple[int, ...]:
    if len(value) % 4:
        raise UnreadableError("the list of signed elements is damaged", code="mac_tags")
    pairs = struct.iter_unpack(obj.encoding.order + "HH", value)
    return tuple(group << 16 | number for group, number in pairs)


def _longer(obj: DicomObject, tag: int, item: bytes) -> bytes:
    """Return a sequence with one more item, given in explicit VR little endian."""
    encoding = obj.encoding
    own = item if encoding is Encoding.EXPLICIT_LE else recode(item, Encoding.EXPLICIT_LE, encoding)
    content = [obj.data[start:stop] for start, stop in _items(obj, tag)] + [own]
    value = b"".join(header(ITEM, "", len(one), encoding) + one for one in content)
    return header(tag, "SQ", len(value), encoding) + value

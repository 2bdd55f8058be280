"""C-FIND in terms of QIDO-RS: keys become filters, matches in JSON become identifiers.

SECURITY: both hold patient data; none is logged or raised.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from node.dicom import reader
from node.dicom.elements import element_bytes

if TYPE_CHECKING:
    from node.dicom.elements import Encoding
    from node.dicom.reader import DicomObject

CHARACTER_SET, LEVEL, RETRIEVE_AET = 0x00080005, 0x00080052, 0x00080054
STUDY, SERIES = 0x0020000D, 0x0020000E
UTF_8 = b"ISO_IR 192"
TEXTS = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())  # noqa: SIM905 - reads best
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
MAX_VALUE = 65534  # bytes: a length of 16 bits, even
NAME_PARTS = ("Alphabetic", "Ideographic", "Phonetic")  # PS3.18 F.2.2


@dataclass(frozen=True, slots=True)
class Asked:
    """What an identifier asks for.

    :param studies: UIDs of studies that it names; none for any. ``series`` likewise.
    :param filters: other values to match, by tag in hexadecimal digits.
    :param keys: tags and VRs of what is to be returned.
    """

    level: str
    studies: tuple[str, ...]
    series: tuple[str, ...]
    filters: dict[str, str] = field(default_factory=dict)
    keys: tuple[tuple[int, str], ...] = ()

    @property
    def fields(self) -> list[str]:
        """What is to be returned, as QIDO-RS names it."""
        return [f"{tag:08X}" for tag, _vr in self.keys if tag not in {LEVEL, RETRIEVE_AET}]


def understood(identifier: DicomObject) -> Asked:
    """Return what an identifier asks for; sequences and private keys match anything."""
    level = identifier.text("QueryRetrieveLevel")
    studies = identifier.texts("StudyInstanceUID") if level in {"SERIES", "IMAGE"} else ()
    series = identifier.texts("SeriesInstanceUID") if level == "IMAGE" and studies else ()
    paths = {STUDY: studies, SERIES: series}  # these become parts of the address
    filters, keys = {}, []
    for element in identifier.elements:
        tag, vr = element.tag, identifier.vr(element)
        if tag == CHARACTER_SET or tag >> 16 & 1 or not tag & 0xFFFF:
            continue
        keys.append((tag, vr))
        if tag in {LEVEL, RETRIEVE_AET} or paths.get(tag):
            continue
        if value := _value(identifier, tag, vr):
            filters[f"{tag:08X}"] = value
    return Asked(level, studies, series, filters, tuple(keys))


def answered(asked: Asked, match: dict[str, Any], aet: str, transfer_syntax_uid: str) -> bytes:
    """Return a match as an identifier with the keys that were asked for.

    :param aet: for Retrieve AE Title.
    """
    encoding = reader.encoding_of(transfer_syntax_uid)
    values = {LEVEL: asked.level.encode("ascii"), RETRIEVE_AET: aet.encode("ascii")}
    vrs = dict(asked.keys) | {LEVEL: "CS", RETRIEVE_AET: "AE"}
    for tag, vr in asked.keys:
        if tag not in values:
            values[tag] = _encoded(match.get(f"{tag:08X}"), vr, encoding)
    if not all(values[tag].isascii() for tag in values if vrs[tag] in TEXTS):
        values[CHARACTER_SET], vrs[CHARACTER_SET] = UTF_8, "CS"
    return b"".join(element_bytes(tag, vrs[tag], values[tag], encoding) for tag in sorted(values))


def _value(identifier: DicomObject, tag: int, vr: str) -> str:
    """Return what a key must match; ``""`` for anything."""
    raw = identifier.raw(tag)
    if not raw:
        return ""
    if vr in TEXTS:
        texts = identifier.texts_of(tag)
        return ("," if vr == "UI" else "\\").join(texts)
    code = NUMBERS.get(vr)
    if code is None or len(raw) % struct.calcsize(code):
        return ""
    order = identifier.encoding.order
    return "\\".join(str(number) for (number,) in struct.iter_unpack(order + code, raw))


def _encoded(element: object, vr: str, encoding: Encoding) -> bytes:
    """Return the value of an attribute in JSON; empty where it is none of its VR, or too long."""
    values = element.get("Value") if isinstance(element, dict) else None
    if not isinstance(values, list):
        return b""
    if vr in NUMBERS:
        return _packed(values, encoding.order + NUMBERS[vr])
    if vr not in TEXTS:
        return b""
    joined = "\\".join(_text(value) for value in values).encode("utf-8", "replace")
    return joined if len(joined) <= MAX_VALUE else b""


def _packed(values: list[Any], code: str) -> bytes:
    try:
        return b"".join(struct.pack(code, value) for value in values)[:MAX_VALUE]
    except (struct.error, OverflowError):
        return b""


def _text(value: object) -> str:
    if isinstance(value, dict):  # a person's name
        parts = [part if isinstance(part := value.get(name), str) else "" for name in NAME_PARTS]
        value = "=".join(parts).rstrip("=")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return "".join(c for c in str(value) if c.isprintable() or c in "\t\r\n\f")

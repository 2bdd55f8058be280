"""Which attributes say who and what an object is about, and how to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag

from node.dicom.charset import decode
from node.dicom.reader import tag_of
from node.types import Attribute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.dicom.reader import DicomObject

MAX_VALUE = 256  # bytes of one value; PN allows 3 x 64 characters
MAX_TOTAL = 1024  # bytes of all values: room for ALWAYS and more; what stands last goes first

ALWAYS = ("SpecificCharacterSet", "PatientName", "PatientID")
IF_ROOM = (
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "PatientAge",
    "OtherPatientIDs",
    "InstitutionName",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientAddress",
)


def collect(obj: DicomObject) -> tuple[Attribute, ...]:
    """Return the identifying and study attributes as received, by ascending tag.

    A value longer than ``MAX_VALUE`` bytes is cut; once ``MAX_TOTAL`` bytes are
    reached, the rest of ``IF_ROOM`` is left out. All of them are text, so that
    their bytes are the same in either byte order.
    """
    found: list[Attribute] = []
    total = 0
    for keyword in ALWAYS + IF_ROOM:
        element = obj.element(keyword)
        if element is None or element.undefined:
            continue
        value = obj.data[element.value : min(element.stop, element.value + MAX_VALUE)]
        if total + len(value) > MAX_TOTAL:
            break
        total += len(value)
        found.append(Attribute(element.tag, obj.vr(element), value))
    return tuple(sorted(found, key=lambda attribute: attribute.tag))


def readable(attributes: Iterable[Attribute]) -> list[tuple[str, str]]:
    """Return (keyword, text) of each attribute, decoded by the character set among them."""
    attributes = tuple(attributes)
    sets = tag_of("SpecificCharacterSet")
    character_set = next((a.value for a in attributes if a.tag == sets), b"")
    return [
        (
            keyword_for_tag(attribute.tag)
            or f"({attribute.tag >> 16:04X},{attribute.tag & 0xFFFF:04X})",
            decode(attribute.value, character_set).strip(" \0"),
        )
        for attribute in attributes
    ]

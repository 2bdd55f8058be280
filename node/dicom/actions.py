"""What PS3.15 table E.1-1 wants done with each attribute, under a profile.

The table is data: ``annex_e.tsv``. What it leaves open is decided here, on the
side of taking too much out: everything comes back with the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR, keyword_for_tag

if TYPE_CHECKING:
    from node.types import Profile

GRAPHIC_ANNOTATIONS = 0x00700001
REPEATING = (0x50, 0x60)  # PS3.5 7.6: curves and overlays

# Class, syntax and dictionary UIDs are no one's identity (PS3.15 E.1.1, action U).
NO_INSTANCE = frozenset(
    {
        "CodingSchemeUID", "ContextGroupExtensionCreatorUID", "ContextUID", "CreatorVersionUID",
        "MappingResourceUID", "PrivateInformationCreatorUID", "SOPClassesInStudy",
        "SOPClassesSupported",
    }
)  # fmt: skip
# Free text that devices write, or that names codes, not people.
TECHNICAL = frozenset(
    {
        "AlgorithmParameters", "CodingSchemeExternalID", "CodingSchemeName",
        "CodingSchemeResponsibleOrganization", "CodingSchemeURL", "ExtendedCodeMeaning",
        "ImageDisplayFormat", "LongCodeValue", "OECFColumnNames", "SpectralSensitivity",
        "SpatialFrequencyResponseColumnNames", "URNCodeValue",
    }
)  # fmt: skip
# Their items are codes of people, places or recordings: nothing inside may stay.
CODED = frozenset({0x00080082, 0x00401101})
WHOLE = frozenset({0x00340001, 0x0040B020})


class Act(Enum):
    """What becomes of one attribute."""

    KEEP = "keep"  #: as it is; what lies inside a sequence is looked at
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"  #: a value without meaning; inside a sequence, item by item
    CODE = "code"  #: a sequence of one code without meaning
    MAP = "map"  #: UIDs to those that stand for them
    SHIFT = "shift"  #: dates by the days of the patient


# Where the table would break an IOD: a presentation state must say when it was made, a hanging
# protocol must have the sequence, and no study may have an empty list of references.
EXCEPTIONS = {
    0x00081110: Act.REMOVE,
    0x0040100A: Act.EMPTY,
    0x00700082: Act.DUMMY,
    0x00700083: Act.DUMMY,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    :param action: such as ``"X/Z"``: the first that keeps the object whole.
    :param options: words for the options that retain or clean it.
    """

    action: str
    options: frozenset[str]


@cache
def table() -> dict[str, Row]:
    """Return the rows by tag, as eight digits; ``x`` stands for any."""
    text = files("node.dicom").joinpath("annex_e.tsv").read_text("ascii")
    lines = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {tag: Row(action, frozenset(options.split())) for tag, action, options, _ in lines}


@lru_cache(maxsize=8192)
def act(tag: int, vr: str, profile: Profile) -> Act:
    """Return what becomes of an attribute that is not private.

    :param vr: as stated, else the dictionary's.
    """
    if tag >> 24 in REPEATING:
        return Act.REMOVE
    row = table().get(f"{tag:08X}")
    if row is not None:
        return _listed(row, tag, vr, profile)
    try:
        dictionary_VR(tag)
    except KeyError:
        return Act.REMOVE
    return _unlisted(tag, vr, profile)


def kept_descriptor(tag: int, text: str, profile: Profile) -> bool:
    """Return whether a descriptor says only what the profile lists as harmless."""
    row = table().get(f"{tag:08X}")
    if row is None or "descriptors" not in row.options:
        return False
    values = [value.strip(" \0").upper() for value in text.split("\\")]
    return all(any(fnmatchcase(v, p.upper()) for p in profile.descriptors) for v in values)


def is_instance_uid(tag: int) -> bool:
    """Return whether the UIDs of an attribute name instances, not classes, syntaxes or codes."""
    keyword = keyword_for_tag(tag)
    return not (keyword in NO_INSTANCE or "SOPClass" in keyword or "TransferSyntax" in keyword)


def _listed(row: Row, tag: int, vr: str, profile: Profile) -> Act:
    if row.options & profile.retained:
        return Act.KEEP
    if "dates" in row.options and profile.dates == "shift" and vr in {"DA", "DT", "TM"}:
        return Act.SHIFT
    return EXCEPTIONS.get(tag) or _basic(row, tag, vr, profile)


def _basic(row: Row, tag: int, vr: str, profile: Profile) -> Act:
    if tag == GRAPHIC_ANNOTATIONS and not profile.graphics:
        return Act.REMOVE
    if vr == "SQ":
        return _sequence(row, tag)
    if "U" in row.action:
        return Act.MAP
    return {"X": Act.REMOVE, "Z": Act.EMPTY, "X/Z": Act.EMPTY}.get(row.action, Act.DUMMY)


def _sequence(row: Row, tag: int) -> Act:
    if row.action == "X" or tag in WHOLE:
        return Act.REMOVE
    if tag in CODED:
        return Act.CODE
    if "U" in row.action or "D" in row.action or "content" in row.options:
        return Act.DUMMY
    return Act.EMPTY


def _unlisted(tag: int, vr: str, profile: Profile) -> Act:
    if vr == "UI":
        return Act.MAP if is_instance_uid(tag) else Act.KEEP
    keyword = keyword_for_tag(tag)
    if vr in {"DA", "DT", "TM"}:
        return {"keep": Act.KEEP, "shift": Act.SHIFT}.get(profile.dates, Act.DUMMY)
    if vr == "PN" or (vr in {"LT", "ST", "UC", "UT"} and keyword not in TECHNICAL):
        return Act.DUMMY
    if vr == "UR" and keyword not in TECHNICAL:
        return Act.REMOVE
    return Act.KEEP

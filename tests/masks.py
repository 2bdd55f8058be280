"""Objects with a canary in each attribute of PS3.15 table E.1-1, at several depths."""

from __future__ import annotations

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.dicom.actions import table
from node.dicom.reader import PIXEL_DATA

CANARY = "Zqx{:05}"
WRAPPERS = (0x00081115, 0x00082218, 0x0040A043)  # sequences that the table does not list
BINARY = {"SQ", "OW", "US", "UL", "FL", "FD", "SS", "SL", "AT"}
SPECIAL = {0x00080018, 0x00420011, 0x00280301}  # the instance itself, and what is refused


def canaries() -> tuple[Dataset, dict[str, int]]:
    """A data set with a canary in each listed attribute, and the tags of these by canary."""
    flat, planted = Dataset(), {}
    for number, digits in enumerate(sorted(table())):
        if "x" in digits or digits < "0008":
            continue
        tag = int(digits, 16)
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "LO"  # of a later edition
        if tag in SPECIAL or tag == PIXEL_DATA:
            continue
        value = canary(number, vr)
        if vr == "SQ":
            inside = Dataset()
            inside.CodeMeaning = CANARY.format(number)
            flat.add_new(tag, vr, Sequence([inside]))
            if tag in KEPT_SEQUENCES:
                continue
        elif value is None:
            continue
        else:
            flat.add_new(tag, vr, value)
        planted[value or CANARY.format(number)] = tag
    return flat, planted


# Sequences whose items stay, cleaned: the code in them is no one's identity.
KEPT_SEQUENCES = {
    0x00081072, 0x00081111, 0x00081140, 0x00082112, 0x0040A073, 0x0040A730, 0x00400555, 0x00400610,
}  # fmt: skip


def canary(number: int, vr: str) -> str | bytes | None:
    """A value of a VR that occurs nowhere else; None where there is none."""
    if vr in {"DA", "DT", "TM"}:
        day = f"{1700 + number // 300}{number % 12 + 1:02}{number % 25 + 1:02}"
        return {"DA": day, "DT": day + "113322", "TM": f"1133{number % 60:02}.{number:06}"}[vr]
    if vr == "UI":
        return f"1.2.3.999.{number}"
    if vr == "AS":
        return f"{number % 900 + 50:03}D"
    if vr in {"DS", "IS"}:
        return f"97{number:05}"
    if vr in {"OB", "UN", "OB or OW"}:
        return CANARY.format(number).encode()
    return None if vr in BINARY else CANARY.format(number)


def nested(ds: Dataset, depth: int) -> Dataset:
    """The data set as the only item of so many sequences."""
    for tag in WRAPPERS[:depth]:
        outer = Dataset()
        outer.add_new(tag, "SQ", Sequence([ds]))
        ds = outer
    return ds

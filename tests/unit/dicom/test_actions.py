from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from node.dicom.actions import table

PEER = "dicomanonymizer"  # its table was generated from the standard by others


def test_every_row_has_an_action_and_options_that_are_known():
    actions = {row.action for row in table().values()}
    options = {option for row in table().values() for option in row.options}

    assert actions == {"D", "Z", "X", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}
    assert options == {
        "uids", "device", "institution", "characteristics", "dates", "descriptors", "graphics",
        "content",
    }  # fmt: skip


def test_the_table_is_the_one_that_others_read_in_the_standard():
    found = importlib.util.find_spec(PEER)
    if found is None or found.origin is None:
        pytest.skip("pip install --no-deps dicom-anonymizer gives a second table to compare with")
    folder = Path(found.origin).parent / "dicom_anonymization_databases"
    theirs: dict[str, object] = {}
    exec(max(folder.glob("dicomfields_*.py")).read_text(), theirs)  # lists of tuples
    named = {
        "".join(f"{part:04X}" for part in tag): name.removesuffix("_TAGS")
        for name, tags in theirs.items()
        if name.endswith("_TAGS") and name != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }
    listed = {
        tag: row.action.replace("*", "_STAR").replace("/", "_")
        for tag, row in table().items()
        if "x" not in tag
    }

    assert len(named) > 600
    assert listed == named

"""The schema's own laws."""

from __future__ import annotations

from dataclasses import fields

import pytest

from node.config import schema
from node.config.settings import NodeSettings, Timeouts
from node.config.values import MistakeError

TABLES = [kind for name, kind in vars(schema).items() if name.endswith("Table")]


@pytest.mark.parametrize("kind", [*TABLES, NodeSettings, Timeouts])
def test_every_option_has_a_line_of_documentation_and_a_default_or_example_that_reads(kind):
    for item in fields(kind):
        about = item.metadata
        assert len(about["doc"]) > 5
        assert "\n" not in about["doc"]
        shown = [value for value in (about["default"], about["example"]) if value is not None]
        assert shown
        for value in shown:
            about["read"](value)


def test_a_table_reports_all_its_mistakes_and_keeps_what_is_sound():
    read = schema.table(schema.SourceTable)

    with pytest.raises(MistakeError) as caught:
        read({"aet": "CT1", "adresses": "x", "tls_name": 3})

    assert caught.value.found == [
        ("adresses", 'unknown key (did you mean "addresses"?)'),
        ("addresses", "is missing"),
        ("tls_name", "must be text in quotes, not the number 3"),
    ]
    assert caught.value.sound == {"aet": "CT1"}


def test_settings_can_be_made_without_a_file():
    assert NodeSettings().port == 11112
    assert NodeSettings(port=104).timeouts == Timeouts()

"""Files that are written can be read, and say every option."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from dataclasses import fields

import pytest

from node.config import check, describe, schema
from node.config.load import load
from node.config.settings import NodeSettings, Timeouts

TABLES = (
    NodeSettings,
    Timeouts,
    schema.SourceTable,
    schema.DestinationTable,
    schema.TlsTable,
    schema.RouteTable,
)


def uncommented(text: str) -> str:
    """Return the text with every commented option set as it is shown."""
    return re.sub(r"^#(\S+ = |\[)", r"\1", text, flags=re.MULTILINE)


def test_the_example_is_a_configuration_whose_tests_hold(tmp_path):
    for name, text in describe.examples().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    check.approve(load(tmp_path))


def test_the_example_shows_every_option_with_its_default():
    shown = {
        key: value
        for text in describe.examples().values()
        for key, value in re.findall(r"^#?(\w+) = (.*)$", text, flags=re.MULTILINE)
    }
    for table in TABLES:
        for item in fields(table):
            if item.name != "timeouts":
                assert item.name in shown
                assert item.metadata["doc"][-1] not in ".!"


def test_what_is_commented_out_is_the_default_and_may_be_uncommented():
    text = describe.node_toml({}, {}, {})
    node = tomllib.loads(uncommented(text))["node"]

    assert schema.table(NodeSettings)(node) == NodeSettings()


def test_what_was_chosen_is_set_and_the_rest_is_not():
    text = describe.node_toml({"port": 104}, {}, {})

    assert tomllib.loads(text)["node"] == {"port": 104, "timeouts": {}}


@pytest.mark.parametrize(
    "value", ['a"b\\c', "ä", 3, True, ["x", 1], {"a": "b", "c": ["d"]}, {}, []]
)
def test_values_survive_being_written_and_read(value):
    assert tomllib.loads(f"x = {describe.toml(value)}")["x"] == value


def test_a_value_without_a_form_is_refused():
    with pytest.raises(TypeError):
        describe.toml(dt.date(2026, 1, 1))

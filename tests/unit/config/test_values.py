"""Readers of single values: what they take, and what they say of the rest."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from node.config import values as read
from node.config.values import MistakeError

DURATION = read.duration("1s", "1d")
SIZE = read.size("1KiB", "1GiB")


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        (DURATION, "30s", 30.0),
        (DURATION, "1.5 h", 5400.0),
        (DURATION, "1d", 86400.0),
        (read.duration("1ms", "1s"), "500ms", 0.5),
        (SIZE, "128KiB", 131072),
        (SIZE, "1.5MiB", 1572864),
        (read.integer(1, 10), 10, 10),
        (read.number(0, 1), 1, 1.0),
        (read.modality, "CT", "CT"),
        (read.modality, "default", "default"),
        (read.share, "2.5%", 0.025),
        (read.share, "100 %", 1.0),
        (read.flag, False, False),
        (read.ae_title, "CT 1", "CT 1"),
        (read.host, "pacs.example.org", "pacs.example.org"),
        (read.host, "::1", "::1"),
        (read.host, "0.0.0.0", "0.0.0.0"),
        (read.network, "10.0.0.0/8", "10.0.0.0/8"),
        (read.network, "10.0.0.1", "10.0.0.1/32"),
        (read.network, "fd00::/8", "fd00::/8"),
        (read.path, "tls/node.pem", Path("tls/node.pem")),
        (read.name, "pacs-main.2_b", "pacs-main.2_b"),
        (read.optional_name, "", ""),
        (read.choice("a", "b"), "b", "b"),
        (read.some(read.name), "one", ("one",)),
        (read.some(read.name), ["one", "two"], ("one", "two")),
        (read.facts, {"Rows": 512, "source": "ct*"}, {"Rows": ("512",), "source": ("ct*",)}),
        (read.facts, {"address": ["::1"]}, {"address": ("::1/128",)}),
        (read.given, {"Modality": ["CT", "PT"]}, {"Modality": ("CT", "PT")}),
    ],
)
def test_a_good_value_is_read(reader, value, expected):
    assert reader(value) == expected


@pytest.mark.parametrize(
    ("reader", "value", "message"),
    [
        (DURATION, 30, "must be text with a unit in quotes"),
        (DURATION, "30", "must be a number with a unit"),
        (DURATION, "30S", "must be a number with a unit"),
        (DURATION, "2d", 'must be from "1s" to "1d", not "2d"'),
        (DURATION, "-1s", "must be a number with a unit"),
        (SIZE, "128KB", "KiB, MiB, GiB or TiB"),
        (SIZE, "0B", 'must be from "1KiB" to "1GiB"'),
        (SIZE, "9" * 400 + "B", "must be a number with a unit"),
        (SIZE, "999999999999999TiB", 'must be from "1KiB" to "1GiB"'),
        (read.share, "101%", 'must be from "0%" to "100%"'),
        (read.share, "0.02", 'must be from "0%" to "100%"'),
        (read.share, 2, "must be text in quotes, not the number 2"),
        (read.integer(1, 10), 11, "must be from 1 to 10, not 11"),
        (read.integer(1, 10), True, "must be a whole number, not true or false"),
        (read.integer(1, 10), "1", "must be a whole number, not text"),
        (read.integer(1, 10), 1.0, "must be a whole number, not the number 1.0"),
        (read.flag, 1, "must be true or false, not the number 1"),
        (read.flag, "true", "must be true or false, not text"),
        (read.ae_title, "SEVENTEEN-LETTERS", "must be an AE title"),
        (read.ae_title, " CT", "must be an AE title"),
        (read.ae_title, "C\\T", "must be an AE title"),
        (read.ae_title, "CÄ", "must be an AE title"),
        (read.ae_title, "", "is empty"),
        (read.host, "pacs:104 x", "must be a host name"),
        (read.host, "http://pacs", "must be a host name"),
        (read.network, "10.0.1.5/24", 'did you mean "10.0.1.0/24"?'),
        (read.network, "pacs", "must be an address or a network"),
        (read.path, "a\nb", "holds control characters"),
        (read.path, "x" * 1025, "too long"),
        (read.name, "../x", "must be 1 to 64 of letters"),
        (read.name, "a b", "must be 1 to 64 of letters"),
        (read.text, ["x"], "must be text in quotes, not a list"),
        (read.text, {}, "must be text in quotes, not a table"),
        (read.text, dt.date(2026, 1, 1), "must be text in quotes, not a date or time"),
        (read.choice("seal", "hold"), "seel", 'did you mean "seal"?'),
        (read.choice("keep", later=("x",)), "x", '"x" is not in this version; use "keep"'),
        (read.some(read.name), [], "is an empty list"),
        (read.some(read.name), ["a", "a"], "names the same value twice"),
        (read.facts, [], "must be a table, not a list"),
        (read.facts, {"Modalty": "CT"}, 'did you mean "Modality"?'),
        (read.facts, {"modality": "CT"}, 'did you mean "Modality"?'),
        (read.facts, {"PatientName": "x"}, "routes never see the patient"),
        (read.facts, {"AccessionNumber": "x"}, "routes never see the patient"),
        (read.facts, {"Rows": 1.5}, "must be text in quotes, not the number 1.5"),
        (read.given, {"Modality": "C*"}, "must be a plain value"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(reader, value, message):
    with pytest.raises(MistakeError) as caught:
        reader(value)

    assert message in str(caught.value)


def test_all_mistakes_of_a_table_of_facts_are_found_at_once():
    with pytest.raises(MistakeError) as caught:
        read.facts({"Modalty": "CT", "address": ["x", "10.0.0.1/8"], "source": []})

    assert [key for key, _ in caught.value.found] == [
        "Modalty",
        "address[1]",
        "address[2]",
        "source",
    ]


def test_the_nearest_name_is_found_whatever_its_case():
    assert read.nearest("MODALITY", ["Modality", "Rows"]) == ' (did you mean "Modality"?)'
    assert read.nearest("zzz", ["Modality", "Rows"]) == ""

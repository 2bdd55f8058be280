"""``nodectl explain``: the very decision that the node would make."""

from __future__ import annotations

import json

import pytest
from pydicom.data import get_testdata_file

CT = get_testdata_file("CT_small.dcm")
MORE = """
[[route]]
name = "mr"
match = { Modality = "MR" }
action = "hold"
"""


@pytest.fixture
def routed(site):
    (site / "routes.d" / "05-mr.toml").write_text(MORE)
    return site


def test_every_rule_tried_is_shown_with_its_reason(nodectl, routed):
    ended = nodectl("--config", routed, "explain", CT, "--source", "demo")

    assert ended.status == 0
    assert ended.stdout == (
        '   mr: Modality is "CT", not "MR"\n'
        '-> default: source is "demo"\n'
        "seal, by route default, to pacs-main\n"
        "its pixels can be marked without loss\n"
    )


def test_without_a_source_no_route_that_asks_for_one_matches(nodectl, routed):
    ended = nodectl("--config", routed, "explain", CT)

    assert "   default: source is absent\n" in ended.stdout
    assert ended.stdout.endswith("no route matches: it would be held until a person decides\n")


def test_json_holds_the_decision_and_nothing_of_the_patient(nodectl, routed):
    ended = nodectl("--config", routed, "explain", CT, "--source", "demo", "--json")

    facts = json.loads(ended.stdout)
    assert facts["route"] == "default"
    assert facts["action"] == "seal"
    assert facts["to"] == ["pacs-main"]
    assert facts["sealable"] is True
    assert facts["attributes"]["Modality"] == "CT"
    assert facts["tried"][0] == {
        "route": "mr", "matched": False, "reason": 'Modality is "CT", not "MR"'
    }  # fmt: skip
    assert "CompressedSamples" not in ended.stdout


def test_what_cannot_be_sealed_is_said_with_what_the_route_does_then(nodectl, routed):
    ended = nodectl(
        "--config", routed, "explain", get_testdata_file("reportsi.dcm"), "--source", "demo"
    )

    assert ended.status == 0
    assert ended.stdout.splitlines()[-1] == (
        "its pixels cannot be marked (the object has no pixels): it is held until a person decides"
    )


def test_the_facts_of_the_association_may_be_given_one_by_one(nodectl, routed):
    routes = routed / "routes.d" / "05-mr.toml"
    routes.write_text(MORE.replace('Modality = "MR"', 'calling_aet = "X", address = "10.0.0.0/8"'))

    ended = nodectl(
        "--config", routed, "explain", CT, "--calling-aet", "X", "--address", "10.1.2.3"
    )

    assert '-> mr: calling_aet is "X" and address is "10.1.2.3"\n' in ended.stdout
    assert "hold, by route mr\n" in ended.stdout


def test_a_file_that_is_no_dicom_exits_4(nodectl, routed):
    ended = nodectl("--config", routed, "explain", routed / "node.toml")

    assert ended.status == 4
    assert ended.stderr.startswith(f"nodectl: error: {routed / 'node.toml'}: no DICOM file")


def test_a_file_that_is_not_there_exits_4(nodectl, routed):
    assert nodectl("--config", routed, "explain", routed / "none.dcm").status == 4


def test_a_source_that_is_not_listed_exits_2(nodectl, routed):
    ended = nodectl("--config", routed, "explain", CT, "--source", "dmeo")

    assert ended.status == 2
    assert 'there is no source "dmeo" (did you mean "demo"?)' in ended.stderr


def test_a_route_that_divides_says_into_how_many_shares(nodectl, site):
    route = site / "routes.d" / "10-default.toml"
    shares = 'shares = { k = 2, n = 2, to = ["pacs-main", "cloud"] }'
    route.write_text(route.read_text().replace('to = ["pacs-main"]\n', f"{shares}\n", 1))
    with (site / "node.toml").open("a") as file:
        file.write('[destination.cloud]\naet = "C"\nhost = "cloud"\nport = 104\n')
    said = nodectl("--config", site, "explain", CT, "--source", "demo").stdout
    assert (
        "seal, by route default, in 2 shares, 2 of which give it back, to pacs-main, cloud\n"
        in said
    )

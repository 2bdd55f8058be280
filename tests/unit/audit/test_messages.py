"""Events become audit messages that fit the schema of PS3.15 A.5.1."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from node.audit.messages import FORMS, Writer
from node.audit.reading import Told
from node.types import Event

SCHEMA = Path(__file__).with_name("audit-message.rng")
FACTS = {
    "entry": 1, "route": "ct", "to": "pacs", "destination": "pacs", "address": "10.0.0.1",
    "patient": "2026-01:AAAA", "reason": "",
}  # fmt: skip
HOSTILE = "EVIL\x00\x1b\n<&\"'>\ud800"
WRITER = Writer("SEALNODE", "host", "north")


def written(name, actor="CT1", facts=FACTS, **event):
    told = Told(7, 1_767_312_000.25, Event(name, "OBJECT", actor, facts=facts, **event))
    return list(WRITER.messages(told))


def all_of_them():
    names = [*FORMS, "entry_discarded", "audit_month_erased", "audit_held", "witness_lost"]
    found = [xml for name in names for xml in written(name)]
    found += [xml for name in names for xml in written(name, actor=HOSTILE, facts={"a": HOSTILE})]
    found += [xml for name in names for xml in written(name, actor="local:anna", facts={})]
    found += [xml for name in FORMS for xml in written(name, outcome="refused")]
    return found


@pytest.mark.peers
def test_every_message_fits_the_schema(tmp_path):
    if shutil.which("xmllint") is None:
        pytest.skip("xmllint is not installed")
    paths = []
    for number, xml in enumerate(all_of_them()):
        paths.append(tmp_path / f"{number}.xml")
        paths[-1].write_bytes(xml)
    ended = subprocess.run(
        ["xmllint", "--noout", "--relaxng", SCHEMA, *paths], capture_output=True, check=False
    )
    said = ended.stderr.decode()
    assert ended.returncode == 0, said[:2000]
    assert said.count(" validates") == len(paths)


def test_codes_are_those_of_the_standard():
    codes = {
        name: ET.fromstring(written(name)[0]).find("EventIdentification/EventID").get("csd-code")
        for name in FORMS
    }
    assert codes["node_started"] == "110100"
    assert codes["entry_sealed"] == "110102"
    assert codes["instance_accepted"] == codes["delivery_sent"] == "110104"
    assert codes["original_restored"] == "110106"
    assert codes["query_forwarded"] == "110112"
    assert codes["peer_rejected"] == codes["keys_changed"] == "110113"


def test_each_message_is_about_one_object_and_no_patient_is_in_clear():
    several = written("objects_retrieved", facts={"objects": "A,B,C", "count": 3})
    patients = [
        [
            item.get("ParticipantObjectID")
            for item in ET.fromstring(xml).iter("ParticipantObjectIdentification")
            if item.get("ParticipantObjectTypeCodeRole") == "1"
        ]
        for xml in several
    ]
    assert patients == [["A"], ["B"], ["C"]]
    assert not written("entry_forgotten")
    assert not written("instance_seen")


def test_what_a_peer_calls_itself_cannot_break_a_message():
    for xml in written("peer_rejected", actor=HOSTILE, facts={"address": HOSTILE}):
        root = ET.fromstring(xml)
        assert root.find("ActiveParticipant").get("UserID").startswith("EVIL???<&")

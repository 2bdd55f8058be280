"""Routing: the first match wins, and what matches nothing is held."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.dicom import reader
from node.routing import decide, destination_of, matches_address, matches_text, source_of
from node.types import ROUTING_KEYWORDS, Action, Destination, Instance, Peer, Route, Source, Tried

PEER = Peer("CT1", "SEALNODE", "10.0.1.7", "ct1")


def instance(peer: Peer = PEER, **attributes: str | tuple[str, ...]) -> Instance:
    return Instance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3",
        study_instance_uid="",
        series_instance_uid="",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        blob="",
        size=0,
        attributes=attributes,
        peer=peer,
    )


def route(name: str, action: Action = Action.SEAL, **match: tuple[str, ...]) -> Route:
    return Route(name, match, action, to=("pacs",))


def test_the_first_route_that_matches_wins():
    routes = [route("mr", Modality=("MR",)), route("ct", Modality=("CT",)), route("all")]

    decision = decide(routes, instance(Modality="CT"))

    assert decision.route is routes[1]
    assert decision.action is Action.SEAL


def test_the_trace_names_every_route_that_was_looked_at_and_why():
    routes = [
        route("mr", Modality=("MR", "MG")),
        route("view", ViewPosition=("CC",)),
        route("ct", source=("ct*",), Modality=("CT",)),
        route("never", Modality=("CT",)),
    ]

    assert decide(routes, instance(Modality="CT")).trace == (
        Tried("mr", matched=False, reason='Modality is "CT", not "MR" or "MG"'),
        Tried("view", matched=False, reason="ViewPosition is absent"),
        Tried("ct", matched=True, reason='source is "ct1" and Modality is "CT"'),
    )


def test_what_matches_nothing_is_held_with_its_trace():
    decision = decide([route("mr", Modality=("MR",))], instance(Modality="CT"))

    assert decision.route is None
    assert decision.action is Action.HOLD
    assert [tried.matched for tried in decision.trace] == [False]


def test_no_routes_at_all_hold_everything():
    assert decide([], instance()).action is Action.HOLD


def test_a_route_without_conditions_matches_everything():
    assert decide([route("all")], instance()).trace == (
        Tried("all", matched=True, reason="it matches everything"),
    )


def test_every_key_of_a_match_must_hold():
    routes = [route("ct", Modality=("CT",), StationName=("A",))]

    assert decide(routes, instance(Modality="CT", StationName="B")).route is None
    assert decide(routes, instance(Modality="CT", StationName="A")).route is routes[0]


def test_any_value_of_a_multi_valued_attribute_may_match():
    routes = [route("derived", ImageType=("DERIVED",))]

    assert decide(routes, instance(ImageType=("ORIGINAL", "PRIMARY"))).route is None
    assert decide(routes, instance(ImageType=("DERIVED", "PRIMARY"))).route is routes[0]


@pytest.mark.parametrize(
    "match",
    [
        {"source": ("ct1",)},
        {"calling_aet": ("CT?",)},
        {"called_aet": ("SEAL*",)},
        {"address": ("10.0.1.0/24",)},
        {"address": ("192.168.0.0/16", "10.0.1.7/32")},
        {"SOPClassUID": ("1.2.840.10008.5.1.4.1.1.2",)},
        {"TransferSyntaxUID": ("1.2.840.10008.1.2*",)},
    ],
)
def test_facts_of_the_association_can_be_matched(match):
    assert decide([route("it", **match)], instance()).route is not None
    other = replace(instance(), peer=Peer("X", "X", "11.0.0.1", "x"), sop_class_uid="1")
    assert decide([route("it", **match)], replace(other, transfer_syntax_uid="1")).route is None


def test_an_empty_value_counts_as_absent():
    decision = decide([route("any", Modality=("*",))], instance(Modality=""))

    assert decision.trace[0].reason == "Modality is absent"


@pytest.mark.parametrize(
    ("pattern", "value", "matched"),
    [
        ("CT", "CT", True),
        ("CT", "ct", False),
        ("CT", "CT1", False),
        ("CT*", "CT", True),
        ("*T", "CT", True),
        ("C?", "CT", True),
        ("C?", "C", False),
        ("*a*b*", "xxaxxbxx", True),
        ("*a*b*", "xxbxxaxx", False),
        ("[CT]", "C", False),
        ("[CT]", "[CT]", True),
        (".*", "anything", False),
        ("*", "", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_patterns_know_star_and_question_mark_and_nothing_else(pattern, value, matched):
    assert matches_text(pattern, value) is matched


def test_a_hostile_pattern_takes_no_exponential_time():
    assert not matches_text("*a" * 40 + "b", "a" * 5000)


@pytest.mark.parametrize(
    ("network", "address", "matched"),
    [
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("::1/128", "::1", True),
        ("::/0", "10.0.0.1", False),
        ("10.0.0.0/8", "no address", False),
    ],
)
def test_addresses_match_networks(network, address, matched):
    assert matches_address(network, address) is matched


SOURCES = [
    Source("ct1", "CT1", ("10.0.1.0/24",)),
    Source("ct2", "CT1", ("10.0.2.0/24", "fd00::/8")),
    Source("mr", "MR", ("10.0.0.0/8",), tls_name="mr.example.org"),
]


@pytest.mark.parametrize(
    ("aet", "address", "names", "expected"),
    [
        ("CT1", "10.0.1.9", (), "ct1"),
        ("CT1", "10.0.2.9", (), "ct2"),
        ("CT1", "fd00::9", ("any",), "ct2"),
        ("CT1", "10.0.3.9", (), None),
        ("CT9", "10.0.1.9", (), None),
        ("MR", "10.0.1.9", ("mr.example.org",), "mr"),
        ("MR", "10.0.1.9", ("ct.example.org",), None),
        ("MR", "10.0.1.9", (), None),
        ("", "", (), None),
    ],
)
def test_a_peer_is_a_source_by_title_address_and_certificate(aet, address, names, expected):
    found = source_of(SOURCES, Peer(aet, "SEALNODE", address), names)

    assert (found.name if found else None) == expected


@pytest.mark.parametrize(
    ("aet", "address", "expected"),
    [
        ("PACS", "10.0.3.7", "named"),
        ("PACS", "10.0.4.7", "listed"),
        ("PACS", "::ffff:10.0.3.7", "named"),
        ("PACS", "10.0.3.8", None),
        ("QUIET", "10.0.3.7", None),
        ("OTHER", "10.0.3.7", None),
    ],
)
def test_a_peer_is_a_destination_that_reports_by_title_and_address(aet, address, expected):
    destinations = [
        Destination("quiet", "QUIET", "pacs", 104),
        Destination("named", "PACS", "pacs", 104, commitment=True),
        Destination("listed", "PACS", "x", 104, commitment=True, calls_from=("10.0.4.0/24",)),
    ]
    hosts = {"pacs": ("10.0.3.7", "fd00::7")}
    found = destination_of(destinations, Peer(aet, "SEALNODE", address), hosts.__getitem__)
    assert (found.name if found else None) == expected


def test_every_keyword_that_a_route_may_match_on_is_read_from_the_object():
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    for keyword in ROUTING_KEYWORDS - {"TransferSyntaxUID", "SOPClassUID"}:
        setattr(ds, keyword, 8 if dictionary_VR(keyword) in {"US", "IS"} else "8")
    file = io.BytesIO()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(file, enforce_file_format=True)

    described = reader.describe(reader.read(file.getvalue()), "", 0, PEER, 0.0)

    assert described.attributes.keys() == ROUTING_KEYWORDS
    assert decide([route("it", **dict.fromkeys(ROUTING_KEYWORDS, ("*",)))], described).route


def test_no_routing_keyword_says_who_the_patient_is():
    assert not {word for word in ROUTING_KEYWORDS if "Patient" in word or "Study" in word}

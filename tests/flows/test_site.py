"""A site: who may send what, what a person decides, reloads, a full disk, no names in any log."""

from __future__ import annotations

import os
import shutil
import signal
from itertools import count

import pytest
from archive import Archive
from modality import Answered, Modality, RejectedError, Sent, images, store
from running import RunningNode, wait_for

from node.dicom import reader
from node.types import EntryState

ROUTES = """
[source.second]
aet = "SECOND"
addresses = ["127.0.0.0/8"]

[[route]]
name = "nuclear"
match = { source = ["demo"], Modality = ["NM"] }
action = "refuse"

[[route]]
name = "magnetic"
match = { source = ["demo"], Modality = ["MR"] }
action = "hold"

[[route]]
name = "plain"
match = { source = ["demo"], Modality = ["OT"] }
action = "relay"
to = ["pacs-main"]

[[route]]
name = "rest"
match = { source = ["demo"] }
action = "seal"
to = ["pacs-main"]
logo = "logo.png"
"""
ANGIO = """
[[route]]
name = "angio"
match = { source = ["demo"], Modality = ["XA"] }
action = "hold"
"""
MARGIN = 1 << 30  # bytes that other programs may write in the meantime
CANARY = "Kanarienvogel"
SUCCESS = Answered(0)
SEEDS = count(1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with Archive(tmp_path_factory.mktemp("pacs"), aet="PACS") as archive:
        yield archive


@pytest.fixture(scope="module")
def node(tmp_path_factory, archive):
    folder = tmp_path_factory.mktemp("site")
    reserve = max(0, shutil.disk_usage(folder).free - MARGIN)
    settings = f'reserve = "{reserve}B"\n'
    node = RunningNode(folder, pacs=archive.port, routes=ROUTES, settings=settings)
    with node:
        yield node


def image(**attributes: str) -> Sent:
    """Return an image that no other test sends."""
    return images(1, seed=next(SEEDS) * 1000 + os.getpid() % 1000, **attributes)[0]


def state(node: RunningNode, sent: Sent) -> EntryState:
    return node.entry(sent.sop_instance_uid).state


def done(node: RunningNode, sent: Sent) -> None:
    wait_for(lambda: state(node, sent) is EntryState.DONE, why=f"an object; see {node.log}")


def test_whoever_is_not_listed_is_rejected_and_the_audit_log_says_so(node):
    sent = image()
    with pytest.raises(RejectedError, match="1, 1, 3"):
        store(node.port, sent, aet="STRANGER")
    with pytest.raises(RejectedError, match="1, 1, 7"):
        store(node.port, sent, called="ANOTHER")

    def told() -> bool:
        return any(
            row["event"] == "peer_rejected" for row in node.rows("audit", "tail", "-n", "999")
        )

    wait_for(told, why="the audit log to tell of a stranger")


def test_each_route_does_what_it_says(node, archive):
    refused, held, relayed, sealed = (
        image(Modality="NM"), image(Modality="MR"), image(Modality="OT"), image(Modality="CT"),
    )  # fmt: skip
    answers = store(node.port, refused, held, relayed, sealed)

    assert answers == [Answered(0x0124, "refused"), SUCCESS, SUCCESS, SUCCESS]
    done(node, relayed)
    done(node, sealed)
    assert (
        reader.read(archive.path(relayed.sop_instance_uid).read_bytes()).dataset == relayed.dataset
    )
    assert node.rows("verify", archive.path(sealed.sop_instance_uid))[0]["verdict"] == "INTACT"
    entry = node.entry(held.sop_instance_uid)
    assert (entry.state, entry.route) == (EntryState.HELD, "magnetic")
    assert not {refused.sop_instance_uid, held.sop_instance_uid} & archive.uids()

    assert (
        "route magnetic says hold" in node.nodectl("queue", "release", entry.id, expect=14).stderr
    )
    node.nodectl("queue", "release", entry.id, "--route", "rest")
    done(node, held)
    assert node.rows("verify", archive.path(held.sop_instance_uid))[0]["verdict"] == "INTACT"


def test_what_no_route_wants_is_held_until_a_person_discards_it(node):
    sent = image()
    assert store(node.port, sent, aet="SECOND") == [SUCCESS]
    entry = node.entry(sent.sop_instance_uid)
    assert (entry.state, entry.route) == (EntryState.HELD, "")

    assert "no route matches" in node.nodectl("queue", "release", entry.id, expect=14).stderr
    node.nodectl("queue", "discard", entry.id, "--reason", "a test image")
    assert state(node, sent) is EntryState.DISCARDED


def test_a_repeat_adds_nothing_and_other_bytes_under_the_same_uid_are_kept_apart(node, archive):
    first = image()
    changed = first.dataset[:-2] + bytes(byte ^ 1 for byte in first.dataset[-2:])
    other = Sent(*first.pair[:1], first.sop_instance_uid, first.transfer_syntax_uid, changed)

    assert store(node.port, first, first, other, first) == [SUCCESS] * 4
    done_or_parked = [
        e for e in node.entries() if e.instance.sop_instance_uid == first.sop_instance_uid
    ]
    assert len(done_or_parked) == 2
    original, conflict = done_or_parked
    assert (conflict.state, conflict.reason) == (EntryState.PARKED, "conflict")
    assert reader.read(node.received(original)).dataset == first.dataset
    assert reader.read(node.received(conflict)).dataset == changed
    wait_for(lambda: node.rows("queue", "show", original.id)[0]["state"] == "done")
    (restored,) = node.rows(
        "restore", archive.path(first.sop_instance_uid), "-o", node.folder / "first.dcm"
    )
    assert restored["verdict"] == "INTACT"
    assert reader.read((node.folder / "first.dcm").read_bytes()).dataset == first.dataset


def test_a_reload_takes_good_routes_over_and_refuses_bad_ones(node):
    def route_of(**attributes: str) -> str:
        sent = image(**attributes)
        assert store(node.port, sent) == [SUCCESS]
        return node.entry(sent.sop_instance_uid).route

    assert route_of(Modality="XA") == "rest"
    try:
        node.write_routes(ANGIO + ROUTES)
        node.reload()
        assert route_of(Modality="XA") == "angio"

        node.write_routes(ROUTES.replace("seal", "sael"))
        node.reload()
        assert "sael" in node.nodectl("check", expect=3).stderr
        assert route_of(Modality="XA") == "angio"
        assert route_of(Modality="CT") == "rest"
    finally:
        node.write_routes(ROUTES)
        node.reload()
    assert route_of(Modality="XA") == "rest"
    adopted = [
        row for row in node.rows("audit", "tail", "-n", "999") if row["event"] == "config_adopted"
    ]
    assert "angio" in str(adopted)


def test_a_full_disk_is_answered_so_that_the_modality_keeps_its_copy(node):
    ballast = node.folder / "ballast"
    if shutil.disk_usage(node.folder).free < 3 * MARGIN:
        pytest.skip("the disk has no room for what is to fill it")
    first, second, third = image(), image(), image()
    with Modality(node.port, [first.pair]) as modality:
        assert modality.store(first) == SUCCESS
        try:
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 2 * MARGIN)
            answer = modality.store(second)
            assert answer.status == 0xA700
            with pytest.raises(RejectedError, match="2, 3, 1"):
                store(node.port, third)
            assert "below the reserve" in node.nodectl("status").stderr
        finally:
            ballast.unlink()
        assert modality.store(second) == SUCCESS
    assert store(node.port, third) == [SUCCESS]


def test_what_is_on_its_way_when_the_node_is_stopped_still_arrives(node):
    whole, half, late = image(), image(), image()
    with Modality(node.port, [whole.pair]) as modality:
        assert modality.store(whole) == SUCCESS
        stopping = [0]
        assert modality.store(half, midway=lambda: os.kill(node.pid, signal.SIGTERM)) == SUCCESS
        stopping.append(node.stop())
    assert stopping == [0, 0]
    node.start()
    assert store(node.port, late) == [SUCCESS]
    for sent in (whole, half, late):
        done(node, sent)


def test_no_log_no_row_and_no_file_name_tells_who_the_patient_is(node, archive):
    sent = image(
        PatientName=f"{CANARY}^Eva",
        PatientID=f"{CANARY}1",
        PatientBirthName=CANARY,
        PatientAddress=f"{CANARY} 7",
        PatientComments=CANARY,
        OtherPatientNames=CANARY,
    )
    garbled = Sent(
        *sent.pair[:1], sent.sop_instance_uid, sent.transfer_syntax_uid, sent.dataset[:700]
    )
    broken = Sent(
        *sent.pair[:1], f"{sent.sop_instance_uid}.1", sent.transfer_syntax_uid, sent.dataset
    )
    answers = store(node.port, sent, garbled, broken)
    assert [answer.status for answer in answers] == [0x0000, 0xC000, 0xA900]
    done(node, sent)
    assert CANARY.encode() in archive.path(sent.sop_instance_uid).read_bytes()  # identity = "keep"

    entry = node.entry(sent.sop_instance_uid).id
    shown = [
        node.nodectl(*words).stdout
        for words in (
            ("queue", "ls"), ("queue", "show", entry), ("status",), ("audit", "tail", "-n", "999"),
            ("--json", "queue", "ls"), ("--json", "queue", "show", entry),
        )
    ]  # fmt: skip
    places = [node.folder, *node.folder.rglob("*")]
    texts = [str(place).encode() for place in places] + [text.encode() for text in shown]
    blobs = node.config / "state" / "spool"
    texts += [p.read_bytes() for p in places if p.is_file() and not p.is_relative_to(blobs)]
    assert len(texts) > 20
    assert not [text[:200] for text in texts if CANARY.lower().encode() in text.lower()]
    assert node.rows("audit", "verify")[0]["result"] == "whole"

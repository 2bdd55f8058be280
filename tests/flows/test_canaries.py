"""Two thousand patients with names that nothing else bears go every way there is; none is told."""

from __future__ import annotations

import os
import re
import socket

import pytest
from archive import Archive
from modality import LostError, Sent, images, store
from running import RunningNode, listening, wait_for

from node.types import EntryState

pytestmark = pytest.mark.slow
CANARY = "Kanarienvogel"
EACH = 250  # objects of one kind; there are eight kinds
KINDS = ("CT", "MR", "NM", "OT", "garbled", "mismatched", "cut", "conflict")
SOME = 50  # objects in one association
ROUTES = """
[[route]]
name = "nuclear"
match = { Modality = ["NM"] }
action = "refuse"

[[route]]
name = "magnetic"
match = { Modality = ["MR"] }
action = "hold"

[[route]]
name = "plain"
match = { Modality = ["OT"] }
action = "relay"
to = ["pacs-main"]

[[route]]
name = "rest"
match = { source = ["demo"] }
action = "seal"
to = ["pacs-main"]
"""
ENDED = {EntryState.DONE, EntryState.HELD, EntryState.PARKED}


def patients(kind: str, seed: int, count: int) -> list[Sent]:
    """Return objects of as many patients, spoilt as their kind says."""
    found = []
    for number in range(count):
        name = f"{CANARY}{seed:04}x{number:04}"
        modality = kind if len(kind) == 2 else "CT"
        [sent] = images(
            1, seed=seed * 10_000 + number + os.getpid() % 1000 * 100, Modality=modality,
            PatientName=f"{name}^Eva", PatientID=name, AccessionNumber=name[:16],
            PatientComments=name, PatientAddress=name, OtherPatientIDs=name,
        )  # fmt: skip
        found.append(spoilt(kind, sent))
    return found


def spoilt(kind: str, sent: Sent) -> Sent:
    """Return an object as an attacker, a broken modality or a broken network would send it."""
    uid, data = sent.sop_instance_uid, sent.dataset
    match kind:
        case "garbled":
            data = data[:500] + os.urandom(200) + data[700:]
        case "mismatched":
            uid = f"{uid}.1"
        case "cut":
            data = data[:900]
    return Sent(sent.sop_class_uid, uid, sent.transfer_syntax_uid, data)


def flipped(sent: Sent) -> Sent:
    """Return other bytes under the same UID."""
    data = sent.dataset[:-1] + bytes([sent.dataset[-1] ^ 1])
    return Sent(sent.sop_class_uid, sent.sop_instance_uid, sent.transfer_syntax_uid, data)


def send(node: RunningNode, objects: list[Sent]) -> None:
    for start in range(0, len(objects), SOME):
        try:
            store(node.port, *objects[start : start + SOME])
        except (LostError, OSError):
            return  # the node was killed, or has had enough of this peer


def attack(node: RunningNode, sent: Sent) -> None:
    """Throw a name at everything that listens, in no order that a protocol knows."""
    for start in (b"", b"\x01\x00", b"\x04\x00\xff\xff\xff\xf0", b"GET /"):
        with socket.create_connection(("127.0.0.1", node.port)) as sock:
            sock.sendall(start + CANARY.encode() * 9 + sent.dataset[:999])


def told(node: RunningNode) -> list[bytes]:
    """Return all that the node wrote, said and named, but the objects themselves."""
    spool = node.config / "state" / "spool"
    places = [node.folder, *node.folder.rglob("*")]
    found = [str(place).encode() for place in places]
    found += [p.read_bytes() for p in places if p.is_file() and not p.is_relative_to(spool)]
    for words in (
        ("queue", "ls", "--limit", "9999"), ("--json", "queue", "ls", "--limit", "9999"),
        ("status",), ("--json", "status"), ("audit", "tail", "-n", "99999"), ("audit", "gaps"),
        ("--json", "audit", "gaps"), ("reconcile",),
    ):  # fmt: skip
        ended = node.nodectl(*words, expect=None)
        found += [ended.stdout.encode(), ended.stderr.encode()]
    return found


def test_no_patient_is_told_by_any_log_name_error_or_row(tmp_path):
    with (
        Archive(tmp_path / "pacs", aet="PACS") as archive,
        RunningNode(tmp_path / "site", pacs=archive.port, routes=ROUTES) as node,
    ):
        for number, kind in enumerate(KINDS):
            objects = patients(kind, number, EACH)
            send(node, objects)
            if kind == "conflict":
                send(node, [flipped(sent) for sent in objects])
            attack(node, objects[0])
            if kind in {"CT", "cut"}:  # a crash amid the work
                node.kill_all()
                wait_for(lambda: not listening(node.port), why="the node to be dead")
                node.start()
        wait_for(
            lambda: all(entry.state in ENDED for entry in node.entries()), why="the queue",
            seconds=900,
        )  # fmt: skip
        found = told(node)
        assert len(node.entries()) > 4 * EACH
    assert len(found) > 100
    hits = [re.sub(rb"[^ -~]", b"?", text[:80]) for text in found if CANARY.encode() in text]
    hits += [text[:80] for text in found if CANARY.lower().encode() in text.lower()]
    assert not hits

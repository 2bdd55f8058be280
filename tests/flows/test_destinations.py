"""One object, six destinations: each goes its own way, and none waits for another."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from archive import Archive
from modality import Answered, images, store
from running import RunningNode, free_ports, wait_for

from node.types import DeliveryState, EntryState

ANSWERS = {"up": 0x0000, "warns": 0xB000, "refuses": 0xC000, "knows-no-ct": 0x0122, "busy": 0xA700}
WAITING = ("busy", "down")
DESTINATION = """
[destination.{}]
aet = "PACS"
host = "127.0.0.1"
port = {}
"""
ROUTE = """
[[route]]
name = "all"
match = {{ source = ["demo"] }}
action = "seal"
to = {}
"""


@pytest.mark.slow
def test_each_destination_goes_its_own_way(tmp_path):
    answers = dict(ANSWERS)
    asked = []

    def answering(name):
        def answer(_event) -> int:
            asked.append(name)
            return answers[name]

        return answer

    with ExitStack() as stack:
        archives = {
            name: stack.enter_context(Archive(tmp_path / name, aet="PACS", answer=answering(name)))
            for name in ANSWERS
        }
        (port,) = free_ports(1)
        ports = {name: archive.port for name, archive in archives.items()} | {"down": port}
        routes = ROUTE.format(list(ports)) + "".join(
            DESTINATION.format(*pair) for pair in ports.items()
        )
        node = stack.enter_context(RunningNode(tmp_path / "node", pacs=port, routes=routes))
        first, second = images(2)
        assert store(node.port, first) == [Answered(0)]

        tried = {DeliveryState.SENT, DeliveryState.PARKED}
        wait_for(
            lambda: all(d.state in tried or d.not_before for d in node.deliveries(1).values()),
            why=f"each destination to be tried; see {node.log}",
        )
        found = {name: (d.state, d.reason) for name, d in node.deliveries(1).items()}
        down = found.pop("down")
        assert down[0] is DeliveryState.PENDING
        assert found == {
            "up": (DeliveryState.SENT, ""),
            "warns": (DeliveryState.SENT, "warning B000H"),
            "refuses": (DeliveryState.PARKED, "status C000H: cannot understand"),
            "knows-no-ct": (DeliveryState.PARKED, "status 0122H: SOP class not supported"),
            "busy": (DeliveryState.PENDING, "status A700H"),
        }
        assert node.entry(first.sop_instance_uid).state is EntryState.READY
        assert node.nodectl("echo", "up").status == 0
        assert "is PACS listening" in node.nodectl("echo", "down", expect=75).stderr
        (status,) = node.rows("status")
        waiting = {row["destination"]: row["pending"] for row in status["queues"]}
        assert {name for name, count in waiting.items() if count} == set(WAITING)

        # what comes now is not held up where nothing is wrong
        assert store(node.port, second) == [Answered(0)]
        wait_for(lambda: second.sop_instance_uid in archives["up"].uids())
        assert node.deliveries(2)["down"].state is DeliveryState.PENDING

        answers.update(dict.fromkeys(answers, 0))
        archives["down"] = stack.enter_context(Archive(tmp_path / "down", aet="PACS", port=port))
        wait_for(
            lambda: all(entry.state is not EntryState.READY for entry in node.entries()),
            why="what waited to be sent, and what was refused to wait for a person",
        )
        assert node.entry(first.sop_instance_uid).state is EntryState.PARKED
        assert node.rows("queue", "retry", "--all")
        wait_for(lambda: all(entry.state is EntryState.DONE for entry in node.entries()))

    # every destination has the same bytes, but the one whose answer said that it kept them
    kept = {name: {path.name for path in archive.paths()} for name, archive in archives.items()}
    assert all(len(files) == 2 for name, files in kept.items() if name != "warns")
    assert len({frozenset(files) for name, files in kept.items() if name != "warns"}) == 1
    assert asked.count("up") == 2

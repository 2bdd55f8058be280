"""kill -9 of each process of a running node, and of all: what was acknowledged arrives, sealed."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from archive import Archive
from modality import Sender, images
from running import RunningNode, listening, wait_for

from node import wiring
from node.config.load import load
from node.dicom import reader
from node.types import EntryState, VerdictKind

STAGES = ("receive", "process", "forward", "verify", "reap")


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def kill(node: RunningNode, whom: str) -> None:
    """Kill a stage, the parent or everything, and see the node come back."""
    if whom in STAGES:
        before = set(node.children(whom))
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: set(node.children(whom)) - before, why=f"{whom} to be started again")
    elif whom == "parent":
        orphans = node.children()
        node.kill_parent()
        node.start()  # with the orphans still at their work
        wait_for(lambda: not any(map(alive, orphans)), why="the orphans to end by themselves")
    elif whom == "all":
        node.kill_all()
        node.start()
    else:
        assert node.stop() == 0
        node.start()
    wait_for(lambda: listening(node.port), why="the node to listen again")


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(60, id="60", marks=pytest.mark.slow),
        pytest.param(500, id="500", marks=pytest.mark.slow),
    ],
)
def test_whatever_is_killed_all_that_was_acknowledged_arrives_sealed_and_once(count, tmp_path):
    deaths = [*STAGES, "parent", "terminate", "all"]
    if count < 100:
        deaths = ["process", "forward", "all"]
    originals = images(count)
    with ExitStack() as stack:
        archive = stack.enter_context(Archive(tmp_path / "pacs", aet="PACS"))
        node = RunningNode(tmp_path / "node", pacs=archive.port, settings='lease = "10s"\n')
        stack.enter_context(node)
        sender = Sender(node.port, list(originals))
        stack.callback(sender.join)
        stack.callback(sender.stopped.set)
        sender.start()
        for number, whom in enumerate(deaths):
            share = (number + 1) * count // (len(deaths) + 2)
            wait_for(lambda share=share: len(sender.acknowledged) >= share, why="the sender")
            kill(node, whom)
        wait_for(lambda: not sender.waiting, seconds=120, why="all to be acknowledged")
        wait_for(
            lambda: all(entry.state is EntryState.DONE for entry in node.entries()),
            seconds=180,
            why=f"everything to arrive; see {node.log}",
        )
        assert {e.instance.sop_instance_uid for e in node.entries()} == set(sender.acknowledged)

    assert archive.uids() == {sent.sop_instance_uid for sent in originals}
    # an archive file is named by its SHA-256: a repeat that differed would be one more
    assert len(archive.paths()) == count
    with wiring.codec() as codec:
        examiner = wiring.examiner(load(node.config), codec)
        for sent in originals:
            found = examiner.examine(archive.path(sent.sop_instance_uid).read_bytes())
            assert found.verdict.kind is VerdictKind.INTACT
            assert reader.read(found.restored).dataset == sent.dataset
    (report,) = node.rows("audit", "verify")
    assert report["result"] == "whole"
    assert not [event for event in node.events() if event["event"].endswith("_crashed")]

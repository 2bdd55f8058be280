"""kill -9 at every named place of a running node: what was acknowledged arrives, sealed, once."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from archive import Archive
from modality import Sender, Sent, images
from running import RunningNode, wait_for

from node import wiring
from node.config.load import load
from node.dicom import reader
from node.types import DeliveryState, EntryState, VerdictKind

NODE = Path(__file__).resolve().parents[2] / "node"
STAGES = {
    "receive": ("receive.py", "dicom/scp.py"),
    "process": ("process.py",),
    "forward": ("forward.py", "dicom/sending.py"),
    "verify": ("aftercare/readback.py",),
}
SETTINGS = 'lease = "10s"\n'
READBACK = 'readback = "100%"\nreadback_after = "1s"\n'


def places(stage: str) -> list[str]:
    """Return the failpoints of a stage, in the order in which the code names them."""
    text = "".join((NODE / file).read_text() for file in STAGES[stage])
    return re.findall(r'reach\("([\w.]+)"\)', text)


def settled(node: RunningNode) -> bool:
    """Whether everything has come to its end: read back, or with a person."""
    ended = {DeliveryState.VERIFIED, DeliveryState.WAITING}
    return all(
        entry.state in {EntryState.DONE, EntryState.HELD}
        and {delivery.state for delivery in node.deliveries(entry.id).values()} <= ended
        for entry in node.entries()
    )


def test_the_path_has_forty_places_to_die_at():
    found = [
        name
        for path in NODE.rglob("*.py")
        for name in re.findall(r'reach\("([\w.]+)"\)', path.read_text())
    ]
    assert len(found) == len(set(found)) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_wherever_a_stage_dies_what_was_acknowledged_arrives_sealed_and_once(stage, tmp_path):
    originals: list[Sent] = []
    with ExitStack() as stack:
        archive = stack.enter_context(Archive(tmp_path / "pacs", aet="PACS"))
        node = RunningNode(tmp_path / "node", pacs=archive.port, settings=SETTINGS)
        file = node.config / "node.toml"
        table = "[destination.pacs-main]\n"
        file.write_text(file.read_text().replace(table, table + READBACK))
        stack.callback(node.stop)
        for number, name in enumerate(places(stage)):
            sent = images(2, seed=number)
            originals += sent
            if name in {"process.setting_aside", "process.set_aside"}:
                palette = {"PhotometricInterpretation": "PALETTE COLOR"}  # cannot be marked
                sent = [*sent, *images(1, seed=100 + number, **palette)]
            died = len(node.events("stage_died")) if node.log.exists() else 0
            node.start(failpoint=name)
            sender = Sender(node.port, list(sent))
            sender.start()
            try:
                wait_for(lambda died=died: len(node.events("stage_died")) > died, why=name)
                node.kill_all()
                node.start()
                wait_for(lambda sender=sender: not sender.waiting, why=f"{name}: acknowledged")
            finally:
                sender.stopped.set()
                sender.join()
            wait_for(lambda: settled(node), why=f"{name}: everything to arrive; see {node.log}")
            node.kill_all()
        node.start()
        wait_for(lambda: settled(node), why="everything to arrive")
        node.stop()

    assert archive.uids() == {sent.sop_instance_uid for sent in originals}
    # an archive file is named by its SHA-256: a repeat that differed would be one more
    assert len(archive.paths()) == len(originals)
    with wiring.codec() as codec:
        examiner = wiring.examiner(load(node.config), codec)
        for sent in originals:
            found = examiner.examine(archive.path(sent.sop_instance_uid).read_bytes())
            assert found.verdict.kind is VerdictKind.INTACT
            assert reader.read(found.restored).dataset == sent.dataset
    (report,) = node.rows("audit", "verify")
    assert report["result"] == "whole"

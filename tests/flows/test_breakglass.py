"""Break-glass in a running node: what passes, what does not, and kill -9 in between."""

from __future__ import annotations

import threading

import pytest
from archive import Archive
from modality import images, store
from running import RunningNode, free_ports, listening, wait_for

from node.dicom import reader
from node.types import EntryState

pytestmark = pytest.mark.slow

ROUTES = """
[[route]]
name = "ct"
match = { source = ["demo"] }
action = "seal"
to = ["pacs-main"]
break_glass = true
"""


def done(node, *sent):
    wait_for(
        lambda: all(node.entry(s.sop_instance_uid).state is EntryState.DONE for s in sent),
        why=f"objects to be delivered; see {node.log}",
    )


def restart(node):
    """Kill -9 everything, and begin again."""
    node.kill_all()
    wait_for(lambda: not listening(node.port), why="the port to be free")
    node.start()


def verdict(node, archive, sent):
    return node.rows("verify", archive.path(sent.sop_instance_uid), expect=None)[0]["verdict"]


@pytest.fixture
def node(tmp_path):
    (port,) = free_ports(1)
    settings = 'break_glass_max = "1h"\n'
    with RunningNode(tmp_path, pacs=port, routes=ROUTES, settings=settings) as node:
        yield node


def test_what_is_received_during_it_passes_and_nothing_before_or_after(node, tmp_path):
    before, during, waiting, after = images(4, seed=77)
    port = node.settings.destinations["pacs-main"].port
    busy = threading.Event()
    answer = {True: 0xA700, False: 0x0000}
    with Archive(
        tmp_path / "pacs", aet="PACS", port=port, answer=lambda _: answer[busy.is_set()]
    ) as archive:
        store(node.port, before)
        done(node, before)
        node.nodectl("breakglass", "ct", "--reason", "drill", "--for", "1h")
        restart(node)
        store(node.port, during)
        done(node, during)
        assert "UNSEALED for" in node.nodectl("status").stderr
        passed = reader.read(archive.path(during.sop_instance_uid).read_bytes())
        assert passed.dataset == during.dataset
        busy.set()
        store(node.port, waiting)
        wait_for(lambda: node.entry(waiting.sop_instance_uid).state is EntryState.READY)
        node.nodectl("breakglass", "ct", "--end")
        restart(node)
        busy.clear()
        store(node.port, after)
        done(node, waiting, after)
        words = [verdict(node, archive, one) for one in (before, during, waiting, after)]
    assert words == ["INTACT", "UNMARKED", "INTACT", "INTACT"]
    report = node.rows("breakglass", "--report")
    assert [(row["reason"], row["sent"]) for row in report] == [
        ("drill", ["pacs-main"]), ("drill", []),
    ]  # fmt: skip
    told = [row["event"] for row in node.rows("audit", "tail", "-n", "999")]
    assert told.count("break_glass_opened") == told.count("break_glass_ended") == 1
    steps = node.rows("trace", during.sop_instance_uid)[0]["steps"]
    assert "let pass unsealed" in [step["step"] for step in steps]
    [row] = node.rows("reconcile")[0]["sums"]
    assert (row["acked"], row["delivered"], row["unsealed"]) == (4, 4, 1)

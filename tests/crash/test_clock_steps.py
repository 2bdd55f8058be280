"""The wall clock is set under a running node, by hours and by years: nothing is lost or stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from archive import Archive
from modality import Answered, Modality, images
from running import RunningNode, wait_for

from node.types import EntryState

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR, YEAR = 3600, 365 * 86400
STEPS = (HOUR, -HOUR, YEAR, -YEAR, 0)  # seconds off the true time, one after the other
# What Python runs at the start of each process: the wall clock is the true one and a file's word
SITE = """
import time
from pathlib import Path
true = time.time
time.time = lambda: true() + float(Path({!r}).read_text())
"""
SUCCESS = Answered(0)


@pytest.fixture
def set_clock(tmp_path, monkeypatch) -> Callable[[int], None]:
    """Set the wall clock of the node's processes, not of this one, off the true time."""
    word, site = tmp_path / "clock", tmp_path / "site"

    def change(seconds: int) -> None:
        fresh = word.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(word)

    change(0)
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(str(word)))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return change


@pytest.mark.slow
def test_whatever_the_wall_clock_does_associations_live_and_everything_arrives(tmp_path, set_clock):
    with (
        Archive(tmp_path / "pacs", aet="PACS") as archive,
        RunningNode(tmp_path / "node", pacs=archive.port) as node,
    ):
        sent = []
        first = images(1, seed=50)
        with Modality(node.port, [first[0].pair]) as modality:
            for number, step in enumerate(STEPS):
                set_clock(step)
                fresh = images(2, seed=51 + number)
                # the association that was there before the clock was set
                assert [modality.store(one) for one in fresh] == [SUCCESS] * 2
                sent += fresh
                wait_for(
                    lambda: all(entry.state is EntryState.DONE for entry in node.entries()),
                    why=f"objects at {step} s; see {node.log}",
                    seconds=90,
                )
        years = {entry.instance.received_at // (300 * 86400) for entry in node.entries()}
        assert len(years) > 1, "the clock was not set at all"
        assert not [event for event in node.events() if event["event"].endswith("_crashed")]
        assert len(node.events()) < 400
    assert archive.uids() == {one.sop_instance_uid for one in sent}
    assert len(archive.paths()) == len(sent)

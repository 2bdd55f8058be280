"""A disk that is full, and one that turns read-only: a real file system under a real node."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from archive import Archive
from modality import Answered, Modality, RejectedError, Sent, images, store
from running import RunningNode, listening, wait_for

from node.types import EntryState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
SIZE = 48 << 20  # bytes of the file system
SUCCESS = Answered(0)


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """Mount a small file system; only root may, and not in every container."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def archive(tmp_path) -> Iterator[Archive]:
    with Archive(tmp_path / "pacs", aet="PACS") as archive:
        yield archive


def placed(disk: Path, archive: Archive, settings: str = "") -> RunningNode:
    """Return a node whose all is on the disk, but what it writes to standard error."""
    node = RunningNode(disk / "node", pacs=archive.port, settings=settings)
    node.log = disk.parent / "node.log"
    return node


def fill(ballast: Path) -> None:
    """Write until there is no room for another byte."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def refusals(node: RunningNode, objects: list[Sent]) -> list[object]:
    """Send each on its own; return what was answered, or why there was no association."""
    found: list[object] = []
    for sent in objects:
        try:
            found += store(node.port, sent)
        except RejectedError as error:
            found.append(error.args[0])
    return found


def check_all(node: RunningNode, archive: Archive, acknowledged: list[Sent]) -> None:
    """Every object that was ever acknowledged has arrived, once, and the audit log is whole."""
    wait_for(
        lambda: all(entry.state is EntryState.DONE for entry in node.entries()),
        why=f"everything to arrive; see {node.log}",
    )
    assert archive.uids() >= {sent.sop_instance_uid for sent in acknowledged}
    wait_for(lambda: node.rows("audit", "verify", expect=None)[0]["result"] == "whole")
    assert "Traceback" not in node.log.read_text()


@pytest.mark.parametrize("reserve", ["8MiB", "0B"])
def test_a_full_disk_defers_what_comes_keeps_what_there_is_and_ends_with_room(
    disk, archive, reserve
):
    """With no reserve blob, ledger and audit log all meet ENOSPC itself."""
    early, refused, late = images(5, seed=1), images(8, seed=2), images(5, seed=3)
    with placed(disk, archive, settings=f'reserve = "{reserve}"\n') as node:
        assert store(node.port, *early) == [SUCCESS] * 5
        with Modality(node.port, [early[0].pair]) as modality:
            fill(disk / "ballast")
            answered = [modality.store(sent) for sent in refused[:4]]
        answered += refusals(node, refused[4:])
        # transient, each of them: the modality keeps its copy and tries again
        assert {getattr(one, "status", one) for one in answered} <= {0xA700, (2, 3, 1)}
        (disk / "ballast").unlink()
        wait_for(lambda: set(refusals(node, refused)) == {SUCCESS}, why="room to be noticed")
        assert store(node.port, *late) == [SUCCESS] * 5
        check_all(node, archive, [*early, *refused, *late])


def test_on_a_disk_that_is_read_only_nothing_is_taken_and_the_node_starts_when_it_is_mended(
    disk, archive
):
    """Linux lets none turn read-only under open files but after an I/O error, which is EIO."""
    early, late = images(3, seed=4), images(3, seed=5)
    with placed(disk, archive) as node:
        assert store(node.port, *early) == [SUCCESS] * 3
        node.stop()
        remount(disk, "ro")
        starting = threading.Thread(target=node.start)
        starting.start()
        try:
            wait_for(lambda: len(node.events("stage_died")) >= 5, why="the stages to refuse")
            assert not listening(node.port)
            assert "read-only file system" in node.log.read_text()
        finally:
            remount(disk, "rw")
            starting.join()
        assert store(node.port, *late) == [SUCCESS] * 3
        check_all(node, archive, [*early, *late])


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)

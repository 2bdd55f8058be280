"""What can be known about the storage under the spool."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from node.spool.storage import SAMPLES, examine, mount_of

SPOOL = "/var/lib/sealnode"
ROOT = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def found(folder, mountinfo=ROOT, *, cache="write back", seconds=0.002):
    """Examine a folder as if it lay on the last mount, whose every flush takes so long."""
    sysfs = folder / "sys"
    (sysfs / "dev/block/254:0/queue").mkdir(parents=True)
    (sysfs / "dev/block/254:0/queue/write_cache").write_text(f"{cache}\n")
    ticks = itertools.count()
    synced = []
    storage = examine(
        folder,
        mountinfo=mountinfo,
        sysfs=sysfs,
        sync=synced.append,
        clock=lambda: next(ticks) * seconds,
    )
    assert len(synced) == SAMPLES
    assert [path.name for path in folder.iterdir()] == ["sys"]
    return storage


def test_an_ordinary_disk_is_believed(tmp_path):
    storage = found(tmp_path)
    assert (storage.kind, storage.cache, storage.problems) == ("ext4", "write back", ())
    assert storage.sync == storage.slowest == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("mount", "word"),
    [
        ("30 22 0:9 / {} rw - tmpfs tmpfs rw", "memory"),
        ("30 22 0:9 / {} rw - nfs4 filer:/spool rw", "network"),
        ("30 22 254:0 / {} rw - ext4 /dev/vdb rw,nobarrier", "nobarrier"),
        ("30 22 254:0 / {} rw,barrier=0 - ext3 /dev/vdb rw", "barrier=0"),
    ],
)
def test_what_cannot_keep_a_promise_is_told(tmp_path, mount, word):
    storage = found(tmp_path, f"{ROOT}\n{mount.format(tmp_path)}\n")
    assert len(storage.problems) == 1
    assert word in storage.problems[0]


@pytest.mark.parametrize("cache", ["write back", "write through"])
def test_an_answer_faster_than_any_medium_is_told(tmp_path, cache):
    assert "faster than a medium" in " ".join(found(tmp_path, cache=cache, seconds=2e-6).problems)


def test_the_mount_that_counts_is_the_deepest_and_of_those_the_last():
    lines = [
        ROOT,
        "30 22 0:9 / /var rw - xfs /dev/vdb rw",
        "31 30 0:9 / /srv/a\\040spool rw - tmpfs tmpfs rw",
        "32 30 0:9 / /var/lib rw - ext4 /dev/vdc rw",
        "33 30 0:9 / /var/lib rw - btrfs /dev/vdd rw",
    ]
    info = "\n".join(lines)
    assert mount_of(Path(SPOOL), info).kind == "btrfs"
    assert mount_of(Path("/srv/a spool"), info).kind == "tmpfs"
    assert mount_of(Path("/srv/a"), info).kind == "ext4"


def test_the_real_storage_here_can_be_examined(tmp_path):
    storage = examine(tmp_path)
    assert storage.kind
    assert 0 < storage.sync <= storage.slowest

"""Whether the storage under a folder can be believed when it says that bytes are safe.

No program can see a disk lie; but it can see what cannot tell the truth:
memory, network file systems, mount options that switch barriers off, a write
cache that the kernel was told not to flush, and answers that come faster than
any medium writes.
"""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VOLATILE = frozenset({"tmpfs", "ramfs", "devtmpfs"})
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs"})
# ext4(5), xfs(5), btrfs(5): the ways to say that a flush need not reach the medium
UNSAFE = frozenset({"nobarrier", "barrier=0", "data=writeback", "norecovery", "nolog", "volatile"})
SAMPLES = 64
BLOCK = bytes(4096)
FASTEST = 25e-6  # seconds; NVMe with power-loss protection answers a flush in 10 to 30 us
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``/proc/self/mountinfo``, proc(5)."""

    point: Path
    kind: str
    options: frozenset[str]
    device: str  #: "major:minor"


@dataclass(frozen=True, slots=True)
class Storage:
    """What was found out about the storage under a folder.

    :param cache: what the kernel knows of the device's write cache: ``"write
        back"`` (flushed on fsync), ``"write through"`` (never flushed), or
        ``""``.
    :param sync: median seconds of an append of 4 KiB and its fdatasync.
    :param slowest: the slowest of them.
    :param problems: why it cannot be believed; empty when nothing speaks against it.
    """

    kind: str
    device: str
    cache: str
    sync: float
    slowest: float
    problems: tuple[str, ...] = field(default=())


def examine(
    folder: Path,
    *,
    mountinfo: str | None = None,
    sysfs: Path = Path("/sys"),
    sync: Callable[[int], None] = os.fdatasync,
    clock: Callable[[], float] = time.perf_counter,
) -> Storage:
    """Look at the storage under a folder; writes and removes one small file there.

    :param mountinfo: the text of ``/proc/self/mountinfo``; read if None.
    :raises OSError: the folder cannot be written to.
    """
    if mountinfo is None:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    mount = mount_of(folder.resolve(), mountinfo)
    cache = _cache_of(mount.device, sysfs)
    took = _timed(folder, sync, clock)
    median = statistics.median(took)
    return Storage(
        mount.kind, mount.device, cache, median, max(took), tuple(_problems(mount, cache, median))
    )


def mount_of(folder: Path, mountinfo: str) -> Mount:
    """Return the mount that a folder lies on."""
    mounts = [_parsed(line) for line in mountinfo.splitlines() if " - " in line]
    over = [mount for mount in mounts if folder.is_relative_to(mount.point)]
    # of several on one point the last hides the others
    return max(reversed(over), key=lambda mount: len(mount.point.parts))


def _parsed(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    _, _, device, _, point, options, *_ = left.split()
    kind, _, *more = right.split()
    shown = _OCTAL.sub(lambda found: chr(int(found[1], 8)), point)
    every = ",".join([options, *more]).split(",")
    return Mount(Path(shown), kind, frozenset(every), device)


def _cache_of(device: str, sysfs: Path) -> str:
    """The kernel's word on a device's write cache (Linux block/queue-sysfs, write_cache)."""
    place = (sysfs / "dev/block" / device).resolve()
    for candidate in (place, place.parent):  # a partition's queue is its disk's
        file = candidate / "queue/write_cache"
        if file.is_file():
            return file.read_text(encoding="ascii").strip()
    return ""


def _timed(folder: Path, sync: Callable[[int], None], clock: Callable[[], float]) -> list[float]:
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SAMPLES):
            begun = clock()
            os.write(file.fileno(), BLOCK)
            sync(file.fileno())
            took.append(clock() - begun)
    return took


def _problems(mount: Mount, cache: str, median: float) -> list[str]:
    found = []
    if mount.kind in VOLATILE:
        found.append(f"{mount.kind} is memory: a power cut takes everything")
    if mount.kind in REMOTE:
        found.append(f"{mount.kind} is a network file system: the ledger's log needs a local one")
    found += [
        f"mounted with {option}: an fsync may not reach the medium"
        for option in sorted(UNSAFE & mount.options)
    ]
    if cache == "write through" and not found and median < FASTEST:
        found.append(
            "the kernel never flushes the device's write cache, and writes end faster than a "
            "medium can: believe it only if that cache survives a power cut"
        )
    elif median < FASTEST and not found:
        found.append(
            f"an fsync ends in {median * 1e6:.0f} us, faster than a medium writes: something "
            "between answers before the bytes are safe, unless it has a battery"
        )
    return found

"""What the processes of a node take of a machine, as Linux counts it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far; bytes of memory.

    ``pss`` counts what processes share once, ``rss`` in each of them; ``peak``
    is the most that any one process ever had resident, shared pages included.
    """

    cpu: float
    pss: int
    rss: int
    peak: int


def family(leader: int) -> dict[int, str]:
    """Return every living process of a session, with its name or else its command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                name = (folder / "comm").read_text().strip()
                command = (folder / "cmdline").read_text().replace("\0", " ")
                found[int(folder.name)] = name if ":" in name else command
    return found


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process so far; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def usage(pid: int) -> Usage:
    """Return what a process uses; nothing if it is gone."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for name in ("smaps_rollup", "status"):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                words = line.split()
                if words[-1:] == ["kB"]:
                    sizes[words[0]] = int(words[1]) * 1024
    return Usage(cpu(pid), sizes.get("Pss:", 0), sizes.get("VmRSS:", 0), sizes.get("VmHWM:", 0))


def together(pids: dict[int, str]) -> Usage:
    """Return what several processes use; ``peak`` is that of the largest."""
    every = [usage(pid) for pid in pids]
    return Usage(
        sum(one.cpu for one in every), sum(one.pss for one in every),
        sum(one.rss for one in every), max((one.peak for one in every), default=0),
    )  # fmt: skip


def reset_peaks(pids: dict[int, str]) -> None:
    """Let ``peak`` count from now on (proc(5), clear_refs)."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")

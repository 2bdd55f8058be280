"""Where, when and how something was measured: stands in every result."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
QUIET = 0.5
"""Load for each core from which on timings are called those of a busy machine."""


def circumstances(load: float | None = None) -> dict[str, object]:
    """Return machine, software, command and time.

    :param load: of the machine before the measuring began; now if None.
    """
    load = os.getloadavg()[0] if load is None else load
    cores = os.cpu_count() or 1
    return {
        "machine": f"{_processor()}, {cores} cores",
        "software": f"Python {platform.python_version()}, numpy {_version('numpy')}, "
        f"numba {_version('numba')}",
        "command": " ".join(["scripts/bench", *(Path(word).name for word in _words())]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": round(load, 1),
        "busy": load > QUIET * cores,
    }


def _words() -> list[str]:
    return [Path(sys.argv[0]).stem, *sys.argv[1:]]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

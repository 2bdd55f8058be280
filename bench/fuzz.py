"""Throw bytes that nobody thought of at the node for as long as you like.

    scripts/bench fuzz --minutes 480

Runs the property tests that break PDUs, streams, data sets and files, each
time with other random numbers, until the time is over or one fails. What
failed is printed small, and kept by hypothesis, so that the next run of the
same test begins with it.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "tests/flows/test_network_fuzz.py::test_no_stream_is_a_bug_for_long",
    "tests/property/test_dicom_objects.py::test_many_damaged_files_are_restored_exactly_or_refused",
)


def main() -> int:
    """Run in rounds; 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="rounds begin until then")
    end = time.monotonic() + parser.parse_args().minutes * 60
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        seed = random.getrandbits(32)
        command = [sys.executable, "-m", "pytest", "-q", "-x", f"--hypothesis-seed={seed}", *TESTS]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            print(f"found something: --hypothesis-seed={seed}")
            return 1
        rounds += 1
    print(f"{rounds} rounds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())

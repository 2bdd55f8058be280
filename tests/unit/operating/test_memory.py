"""Whether memory that was freed is kept."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BLOCKS = """
import resource
from node.operating.memory import keep_freed
{keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    blocks = [bytearray(1 << 20) for _ in range(8)]
for _ in range(4):
    work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


def faults(keep: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS.format(keep=keep)], capture_output=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_the_blocks_of_one_image_serve_the_next():
    assert faults("keep_freed()") < faults("") / 10

"""Named places where a test may kill the process, as a power cut would.

``SEALNODE_FAILPOINT=blob.synced`` makes the first pass through that place the
last thing that the process does. Unset, a place costs one look-up.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "SEALNODE_FAILPOINT"


def reach(name: str) -> None:
    """Die here with SIGKILL if the environment names this place."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)

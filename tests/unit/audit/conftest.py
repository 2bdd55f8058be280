"""A log of three days, all of it signed."""

from __future__ import annotations

import pytest

from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.types import Event

START = 1_767_312_000.0  # 2026-01-02
DAY = 86400.0


@pytest.fixture(scope="session")
def pair():
    """A private and a public key of a log."""
    return generate("test")


@pytest.fixture
def written(tmp_path, pair):
    """A function that appends so many events a day, and returns the folder."""
    folder, now, last = tmp_path / "audit", [START], [0]

    def write(*days: int, names=()):
        sink = JsonLog(folder, signer=Signer(pair[0]), clock=lambda: now[0])
        for count in days:
            for _ in range(count):
                last[0] += 1
                name = names[(last[0] - 1) % len(names)] if names else "instance_accepted"
                event = name if isinstance(name, Event) else Event(name, facts={"n": last[0]})
                sink.append(last[0], now[0], event)
            sink.flush()
            now[0] += DAY
        sink.close()
        return folder

    return write

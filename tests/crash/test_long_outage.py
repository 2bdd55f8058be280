"""A PACS that is away for a week, with a hundred thousand objects waiting for it."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from network import CT, EXPLICIT_LE

from node.dicom.reader import part10_header
from node.errors import UnreachableError
from node.forward import Forwarder
from node.spool.buffers import MemoryBlobs
from node.spool.sqlite import SqliteLedger
from node.types import (
    Action,
    Decision,
    Delivered,
    DeliveryState,
    Destination,
    EntryState,
    Event,
    Instance,
    Peer,
    Route,
)

DAY = 86400.0
START = 1_700_000_000.0
MINUTES = 600.0  # seconds between two looks of the worker at its queue, while the PACS is away
STAT = 2
WRITERS = 4


class Pacs:
    """A sender whose peer is away until it is not."""

    def __init__(self) -> None:
        self.away = True
        self.calls = 0
        self.sent: list[str] = []

    def expect(self, pairs):
        pass

    def send(self, item, *, alive=lambda: None):  # noqa: ARG002 - the seam
        self.calls += 1
        if self.away:
            raise UnreachableError("nobody answers", code="no_answer")
        with item.open():
            self.sent.append(item.sop_instance_uid)
        return Delivered()

    def idle(self):
        pass

    def close(self):
        pass


@pytest.mark.parametrize(
    "count",
    [pytest.param(200, id="200"), pytest.param(100_000, id="100000", marks=pytest.mark.slow)],
)
def test_a_week_without_the_pacs_costs_few_calls_parks_nothing_and_ends_with_all_sent(count):
    now = [START]
    blobs, pacs = MemoryBlobs(), Pacs()
    with blobs.put() as incoming:
        incoming.write(part10_header(CT, "1.2.3", EXPLICIT_LE) + b"object")
        blob = incoming.commit()
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db", clock=lambda: now[0])
        forwarder = Forwarder(
            ledger=ledger,
            blobs=blobs,
            destinations={"pacs": Destination("pacs", "PACS", "pacs", 104, give_up_after=7 * DAY)},
            senders=lambda _: pacs,
            proved=lambda _: None,
            pseudonym=lambda uid: "p" + uid[-4:],
            worker="w",
            chance=lambda: 0.5,
            clock=lambda: now[0],
            monotonic=lambda: now[0],
        )

        def spool(numbers: range, priority: int = 0) -> None:
            route = Route("r", {}, Action.SEAL, ("pacs",), priority=priority)
            for number in numbers:
                uid = f"1.2.3.{number}"
                instance = Instance(
                    CT, uid, "1.2.1", "1.2.2", EXPLICIT_LE, "f" * 64, 1, {}, Peer("", "", "")
                )
                ledger.accept(instance, Decision(route, Action.SEAL, ()), Event("accepted"))

        def seal(worker: str) -> None:
            while claims := ledger.claim_entries(worker, limit=64, lease=600):
                for claim in claims:
                    ledger.ready(
                        claim,
                        blob,
                        sop_class_uid=CT,
                        sop_instance_uid=claim.entry.instance.sop_instance_uid,
                        transfer_syntax_uid=EXPLICIT_LE,
                        event=Event("ready"),
                    )

        share = count // WRITERS
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(spool, [range(n * share, (n + 1) * share) for n in range(WRITERS)]))
            list(pool.map(seal, [f"s{n}" for n in range(WRITERS)]))

        while now[0] < START + 6.9 * DAY:
            forwarder.step("pacs")
            now[0] += MINUTES
        assert ledger.stats().deliveries["pacs"] == {"pending": count}
        assert ledger.stats().oldest["pacs"] == pytest.approx(6.9 * DAY, abs=MINUTES)
        # the breaker lets one probe through every quarter of an hour, however much waits
        assert pacs.calls <= 6.9 * DAY / MINUTES

        spool(range(count, count + 1), priority=STAT)
        seal("s")
        pacs.away = False
        pacs.calls = 0
        while ledger.stats().pending.get("pacs"):
            if not forwarder.step("pacs"):
                now[0] += 60.0
            assert now[0] < START + 7 * DAY
        assert len(pacs.sent) == len(set(pacs.sent)) == count + 1
        assert pacs.sent.index(f"1.2.3.{count}") <= 1  # STAT overtakes all but a probe under way
        stats = ledger.stats()
        assert stats.deliveries["pacs"] == {DeliveryState.SENT.value: count + 1}
        assert stats.entries == {EntryState.DONE.value: count + 1}
        forwarder.close()
        ledger.close()

"""What a claim, its settling and the status cost with a thousand and with 100,000 queued items.

CPU time of this process: a disk under load says little about a queue. Run it
in memory (``scripts/bench backlog /dev/shm``) where the disk is slow.
Writes ``bench/results/backlog.json``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.lab.circumstances import RESULTS, circumstances
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, DeliveryState, Event, Instance, Route

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUED = (1000, 10_000, 100_000)
THREADS = 64
WORKED = 1000  # items claimed for each figure
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
EVENT = Event("instance_accepted", "A" * 16, "CT1")


def fill(ledger: SqliteLedger, count: int) -> None:
    """Queue so many objects."""

    def work(thread: int) -> None:
        for number in range(thread, count, THREADS):
            one = Instance("1.2.840", f"{number}", "1.2.1", "1.2.2", "1.2", f"{number:064x}", 1)
            ledger.accept(one, RULE, EVENT)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.drained(1 << 60)


def each(work: Callable[[], int], count: int) -> float:
    """Return the CPU time of one of ``count`` items in us."""
    start, done = time.process_time(), 0
    while done < count:
        done += work()
    return round((time.process_time() - start) / done * 1e6, 1)


def costs(place: Path, queued: int) -> dict[str, float]:
    """Return the CPU time of everything in us, with so many objects queued all the while."""
    ledger = SqliteLedger(place / f"{queued}.db")

    def ready() -> int:
        claims = ledger.claim_entries("w", limit=20, lease=60)
        for claim in claims:
            ledger.ready(
                claim, "b" * 64, sop_class_uid="1", sop_instance_uid="2",
                transfer_syntax_uid="3", event=EVENT,
            )  # fmt: skip
        return len(claims)

    def sent() -> int:
        claims = ledger.claim_deliveries("f", "pacs", limit=20, lease=60)
        for claim in claims:
            ledger.settle(claim, DeliveryState.SENT, "", EVENT)
        return len(claims)

    def status() -> int:
        ledger.stats()
        return 1

    fill(ledger, queued + WORKED)
    found = {"queued": queued, "entry": each(ready, WORKED), "status": each(status, 200)}
    each(ready, queued)  # now all of them wait to be sent
    found["delivery"] = each(sent, WORKED)
    found["status of deliveries"] = each(status, 200)
    ledger.close()
    return found


def main() -> int:
    """Measure and write the figures."""
    place = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    report = circumstances()
    try:
        report["us"] = [costs(place, queued) for queued in QUEUED]
    finally:
        shutil.rmtree(place)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "backlog.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure the spool and the audit log: scripts/bench spool [FOLDER].

FOLDER lies on the disk that is to be measured and is left as it was found.
Prints what it finds, and writes it to bench/results/spool.json.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.lab.circumstances import RESULTS, circumstances
from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.spool.disk import DiskBlobs
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, DeliveryState, Event, Instance, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = 512 << 10  # bytes of one object: a CT slice
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
EVENT = Event("instance_accepted", "A" * 16, "CT1", facts={"route": "ct", "size": SIZE})


def instance(uid: str, blob: str) -> Instance:
    return Instance("1.2.840.10008.5.1.4.1.1.2", uid, "1.2.1", "1.2.2", "1.2", blob, SIZE)


def in_threads(count: int, work: Callable[[int], None]) -> float:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def accept(folder: Path, threads: int, seconds: float = 4.0) -> Iterator[str]:
    blobs, ledger = DiskBlobs(folder / "blobs"), SqliteLedger(folder / "ledger.db")
    base = os.urandom(SIZE - 16)
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def work(_number: int) -> None:
        while (start := time.perf_counter()) < end:
            with blobs.put() as incoming:
                incoming.write(os.urandom(16))
                incoming.write(base)
                sha256 = incoming.commit()
                ledger.accept(instance(sha256[:32], sha256), RULE, EVENT)
            taken.append(time.perf_counter() - start)

    wall = in_threads(threads, work)
    ledger.close()
    ranks = statistics.quantiles(taken, n=100)
    yield (
        f"accept, blob of 512 KiB and row, {threads} threads: {len(taken) / wall:.0f}/s, "
        f"p50 {ranks[49] * 1e3:.1f} ms, p99 {ranks[98] * 1e3:.1f} ms"
    )


def rows(folder: Path, threads: int, number: int = 4000) -> Iterator[str]:
    ledger = SqliteLedger(folder / "ledger.db")

    def work(thread: int) -> None:
        for item in range(number // threads):
            ledger.accept(instance(f"{thread}.{item}", "a" * 64), RULE, EVENT)

    wall = in_threads(threads, work)
    ledger.close()
    yield f"accept, row alone, {threads} threads: {number / wall:.0f}/s"


def queue(folder: Path, queued: int, number: int = 1000) -> Iterator[str]:
    ledger = SqliteLedger(folder / "ledger.db")
    fill = 64

    def work(thread: int) -> None:
        for item in range(thread, queued + number, fill):
            ledger.accept(instance(f"{item}", f"{item:064x}"), RULE, EVENT)

    wall = in_threads(fill, work)
    yield f"{queued} queued in {wall:.1f} s ({(queued + number) / wall:.0f}/s, {fill} threads)"
    ledger.drained(1 << 60)
    for limit in (1, 20):
        done = 0
        start = time.perf_counter()
        while done < number // 2:
            for claim in ledger.claim_entries("w", limit=limit, lease=60):
                ledger.ready(
                    claim, "b" * 64, sop_class_uid="1", sop_instance_uid="2",
                    transfer_syntax_uid="3", event=EVENT,
                )  # fmt: skip
                done += 1
        wall = time.perf_counter() - start
        yield f"  claim {limit} and ready: {done / wall:.0f} entries/s"
        done = 0
        start = time.perf_counter()
        while claims := ledger.claim_deliveries("f", "pacs", limit=limit, lease=60):
            for delivery in claims:
                ledger.settle(delivery, DeliveryState.SENT, "", EVENT)
                done += 1
        wall = time.perf_counter() - start
        yield f"  claim {limit} and settle: {done / wall:.0f} deliveries/s"
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        ledger.stats()
        taken.append(time.perf_counter() - start)
    yield f"  stats: {statistics.median(taken) * 1e6:.0f} us"
    ledger.close()


def audit(folder: Path, number: int = 200_000) -> Iterator[str]:
    private, public = generate("bench")
    log = JsonLog(folder, signer=Signer(private))
    start = time.perf_counter()
    for seq in range(1, number + 1):
        log.append(seq, 1.8e9 + seq / 100, EVENT)
        if seq % 1000 == 0:
            log.flush()
    log.close()
    wall = time.perf_counter() - start
    size = sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    yield f"audit append: {number / wall:.0f} events/s, {size / number:.0f} bytes each"
    start = time.perf_counter()
    verify(folder, public).insist()
    yield f"audit verify: {number / (time.perf_counter() - start):.0f} events/s"


def parts(folder: Path) -> Iterator[str]:
    """Measure everything in a folder of this disk; give a line for each figure."""
    for threads in (1, 4):
        yield from accept(folder / f"accept{threads}", threads)
    for threads in (1, 4, 16, 64):
        (folder / f"rows{threads}").mkdir()
        yield from rows(folder / f"rows{threads}", threads)
    for queued in (100, 100_000):
        (folder / f"queue{queued}").mkdir()
        yield from queue(folder / f"queue{queued}", queued)
    yield from audit(folder / "audit")


def main() -> None:
    about, lines = circumstances(), []
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        for line in parts(folder):
            print(line, flush=True)
            lines.append(line.strip())
    finally:
        shutil.rmtree(folder)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "spool.json").write_text(json.dumps(about | {"lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()

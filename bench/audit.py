"""What the audit log costs, in CPU seconds, so that load matters little.

python bench/audit.py [--events N]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.crypto.months import MonthSealer
from node.crypto.recipient import generate as generate_officer
from node.types import Event

START = 1_767_312_000.0
DAY_EVENTS = 100_000
PATIENTS = 2000


def cpu() -> float:
    """Return the CPU seconds of this process and of its children."""
    own, below = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime


def event(number: int) -> Event:
    """Return an event of usual length."""
    facts = {"entry": number, "route": "ct", "reason": "", "carrier": "pixels", "kind": "new"}
    return Event("instance_accepted", "IRK2VPXCEJXGGAPH", "CT1", facts=facts)


def main() -> None:
    """Write a log, verify it, and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    count = parser.parse_args().events
    private, public = generate("bench")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "audit"
        clock = [START]
        sink = JsonLog(log, signer=Signer(private), clock=lambda: clock[0])
        begun = cpu()
        for number in range(1, count + 1):
            clock[0] = START + number * 86400 / DAY_EVENTS
            sink.append(number, clock[0], event(number))
            if number % 64 == 0:
                sink.flush()
        sink.close()
        spent = cpu() - begun
        size = sum(path.stat().st_size for path in log.glob("*.jsonl"))
        print(
            f"write   {count} events, {size / count:.0f} bytes each: {spent:.2f} s of CPU, "
            f"{spent / count * 1e6:.1f} us each"
        )
        begun, started = cpu(), time.monotonic()
        report = verify(log, public)
        report.insist()
        print(
            f"verify  {report.events} events, {report.checkpoints} checkpoints: "
            f"{cpu() - begun:.2f} s of CPU, {time.monotonic() - started:.2f} s"
        )
        sealer = MonthSealer(Path(folder) / "months", generate_officer("officer", START).recipient)
        fields = {"PatientID": "4711", "PatientName": "Yamada^Tarou=山田^太郎"}
        begun = cpu()
        for _ in range(PATIENTS):
            sealer.seal(START, fields)
        print(f"patient {(cpu() - begun) / PATIENTS * 1e6:.0f} us to seal one")


if __name__ == "__main__":
    main()

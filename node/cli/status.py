"""``nodectl status``: how much lies where, and what waits longest."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.cli.output import duration, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.operating.breakglass import Opening
    from node.spool.aftercare import Finding, Found
    from node.spool.base import Stats
    from node.spool.commitment import Owed

NAME = "status"
HELP = "show what waits, where, and for how long"
EPILOG = """
Reads the ledger; the node need not run. The age of the oldest object that
waits for a destination is what tells whether the destination keeps up. What
came back from a destination is counted by verdict over the last seven days.
"not committed" is what a destination still has to commit to keep; "requests" is
for how many storage commitment requests a source still waits to be answered.

EXAMPLES
  nodectl --config /etc/sealnode status
  nodectl --config /etc/sealnode status --json

EXIT STATUS
  0   the ledger was read
  3   the configuration has mistakes
"""


WEEK_SECONDS = 7 * 86400
EPOCH = date(1970, 1, 1).toordinal()


def add_arguments(parser: Parser) -> None:
    """Add nothing: the verb has no arguments of its own."""


def run(args: argparse.Namespace, out: Out) -> int:
    """Print counts, ages and free space."""
    config = configured(args)
    from node import wiring

    ledger = wiring.ledger(config)
    try:
        stats = ledger.stats()
        found = ledger.found(since=time.time() - WEEK_SECONDS)
        owed = ledger.owed()
    finally:
        ledger.close()
    report(config, stats, out, found, owed, opened=wiring.break_glass(config).open())
    return 0


def report(
    config: Config,
    stats: Stats,
    out: Out,
    found: Sequence[Found] = (),
    owed: Owed | None = None,
    *,
    opened: Sequence[Opening] = (),
) -> None:
    """Write the status that the counts amount to."""
    waiting = _waiting(owed, time.time()) if owed else []
    free = shutil.disk_usage(_existing(config.node.state)).free
    queues = [_queue(name, config, stats) for name in ["", *config.destinations]]
    if out.json:
        facts = {"entries": stats.entries, "queues": queues, "found": _by_day(found)}
        facts |= {"commitment": waiting, "break_glass": [asdict(one) for one in opened]}
        out.answer(facts | {"disk_free": free, "reserve": config.node.reserve})
        return
    for state, count in stats.entries.items():
        out.answer({}, f"{state:<10} {count:>8}")
    out.answer({}, "")
    rows = [{**row, "oldest": duration(row["oldest"]) if row["pending"] else ""} for row in queues]
    columns = {"queue": "QUEUE", "pending": "PENDING", "parked": "PARKED", "oldest": "OLDEST"}
    out.table(rows, columns)
    if waiting:
        out.answer({}, "")
        rows = [row | {"oldest": duration(row["oldest"])} for row in waiting]
        out.table(rows, {"waits": "COMMITMENT", "number": "NUMBER", "oldest": "OLDEST"})
    if found:
        out.answer({}, "")
        titles = {key: key.upper() for key in ("destination", "modality", "verdict", "number")}
        out.table(_summed(found), titles)
    out.answer({}, f"\n{size(free)} free, {size(config.node.reserve)} of it kept in reserve")
    for one in opened:
        left = duration(max(0.0, one.until - time.time()))
        out.warning(f"route {one.route} lets images pass UNSEALED for {left} more: {one.reason}")
    if free < config.node.reserve:
        out.warning("the disk is below the reserve; senders are asked to wait")


def _queue(name: str, config: Config, stats: Stats) -> dict[str, Any]:
    counts = stats.deliveries.get(name, {})
    return {
        "queue": f"to {name}" if name else "to be sealed",
        "destination": name,
        "pending": stats.pending.get(name, 0),
        "parked": counts.get("parked", 0) if name else stats.entries.get("parked", 0),
        "oldest": stats.oldest.get(name, 0.0),
        "enabled": config.destinations[name].enabled if name else True,
    }


def _waiting(owed: Owed, now: float) -> list[dict[str, Any]]:
    named = [
        *((f"not committed by {name}", name, "", one) for name, one in owed.uncommitted.items()),
        *((f"requests of {name}", "", name, one) for name, one in owed.unreported.items()),
    ]
    return [
        {"waits": waits, "destination": destination, "source": source, "number": one.number,
         "oldest": max(0.0, now - one.since)}
        for waits, destination, source, one in named
    ]  # fmt: skip


def _by_day(found: Sequence[Found]) -> list[dict[str, Any]]:
    return [
        {"day": date.fromordinal(EPOCH + one.day).isoformat(), **asdict(one.finding),
         "number": one.number}
        for one in found
    ]  # fmt: skip


def _summed(found: Sequence[Found]) -> list[dict[str, Any]]:
    sums: Counter[Finding] = Counter()
    for one in found:
        sums[one.finding] += one.number
    ordered = sorted(sums, key=lambda f: (f.destination, f.modality, f.verdict))
    return [{**asdict(finding), "number": sums[finding]} for finding in ordered]


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())

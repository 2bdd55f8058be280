"""``nodectl reconcile``: what was acknowledged against what became of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from node.accounts.reconcile import Reconciliation
    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "reconcile"
HELP = "account for every object that was acknowledged"
EPILOG = """
One row for each day, route and destination. Whatever was answered with success
(ACKED) is delivered, or waits, or is held or parked for a person, or was
discarded by one; what is neither is lost. COMMITTED and VERIFIED count what a
destination committed to keep, and what was read back and proved. Each object
that is not delivered, or has still to be committed or proved, is listed below.

Works from the audit log and the ledger, so that objects that left the spool
are counted too; the node may run. Without a day the last seven are taken.
Days and times are in UTC.

EXAMPLES
  nodectl --config /etc/sealnode reconcile
  nodectl --config /etc/sealnode reconcile --day 2026-11-21 --json
  nodectl --config /etc/sealnode reconcile --since 2026-11-21T06:00 --limit 9

EXIT STATUS
  0   everything is accounted for
  2   a day cannot be read
  3   the configuration has mistakes
  20  the audit log cannot be read
  21  something that was acknowledged is lost, or is not in the audit log
"""
UNACCOUNTED = 21
DAYS = 7
SHOWN = 100  # differences that a person gets unasked
ALWAYS = {"acked", "sealed", "delivered", "committed", "verified"}
TITLES = {"day": "DAY", "route": "ROUTE", "destination": "TO"}
DIFFERENCES = {
    "state": "STATE",
    "since": "SINCE",
    "entry": "ENTRY",
    "object": "OBJECT",
    "route": "ROUTE",
    "destination": "TO",
    "reason": "REASON",
}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--day", metavar="DAY", help="what was acknowledged on this day")
    parser.add_argument("--since", metavar="TIME", help="what was acknowledged from then on")
    parser.add_argument("--until", metavar="TIME", help="what was acknowledged before then")
    parser.add_argument(
        "--limit", metavar="N", type=int, default=SHOWN, help=f"list so many (default: {SHOWN})"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Print the sums, then the differences."""
    config = configured(args)
    from node import wiring
    from node.accounts.history import History
    from node.accounts.reconcile import reconcile

    now = time.time()
    since, until = _span(args, now)
    ledger = wiring.ledger(config)
    try:
        history = History(ledger, config.node.state / "audit")
        found = reconcile(ledger, history, since=since, until=until, now=now)
    finally:
        ledger.close()
    _report(found, args.limit, out)
    return UNACCOUNTED if found.unaccounted else 0


def _report(found: Reconciliation, limit: int, out: Out) -> None:
    from node.accounts.reconcile import Sum
    from node.cli.trace import when

    rows = [
        {"day": day, "route": route, "destination": destination, **asdict(sums)}
        for (day, route, destination), sums in sorted(found.sums.items())
    ]
    differences = [
        asdict(one) | {"since": when(one.since)}
        for one in sorted(found.differences, key=lambda one: one.since)
    ]
    if out.json:
        out.answer({"sums": rows, "differences": differences, "unaccounted": found.unaccounted})
        return
    used = {name for name in Sum.columns() if any(row[name] for row in rows)}
    shown = [name for name in Sum.columns() if name in used | ALWAYS]
    out.table(rows, TITLES | {name: name.upper() for name in shown})
    if differences:
        out.answer({}, "")
        out.table(differences[:limit], DIFFERENCES)
    if len(differences) > limit:
        out.note(f"{len(differences) - limit} more are not shown: --limit, or --json")
    word = f"{found.unaccounted} unaccounted for" if found.unaccounted else "all accounted for"
    out.answer({}, f"\n{sum(sums.acked for sums in found.sums.values())} acknowledged, {word}")


def _span(args: argparse.Namespace, now: float) -> tuple[float, float]:
    """Return the times that a command line means, in seconds since the epoch."""
    if args.day and (args.since or args.until):
        raise UsageError("--day goes with neither --since nor --until")
    if args.day:
        start = _moment(args.day)
        return start.timestamp(), (start + timedelta(days=1)).timestamp()
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = _moment(args.since) if args.since else today - timedelta(days=DAYS - 1)
    until = _moment(args.until).timestamp() if args.until else now
    if since.timestamp() >= until:
        raise UsageError("the time ends before it begins")
    return since.timestamp(), until


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        moment.timestamp()
        moment + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UsageError(
            f'"{text}" is no day and no time', hint="such as 2026-11-21 or 2026-11-21T06:30"
        ) from None
    return moment

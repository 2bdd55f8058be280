"""``nodectl audit`` for who keeps it: months, erase, hold, release, holds."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from node.cli.actor import local_user
from node.cli.arguments import configured
from node.errors import RefusedError, UsageError
from node.types import Event

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands."""
    commands.add_parser("months", description="show the months whose patients can be read")
    erase = commands.add_parser(
        "erase", description="make the patients of one month unreadable for ever"
    )
    erase.add_argument("--month", metavar="YYYY-MM", required=True, help="a month that has passed")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    hold = commands.add_parser("hold", description="begin a legal hold: nothing is removed")
    hold.add_argument("name", metavar="NAME", help="how it is called")
    hold.add_argument("--reason", metavar="TEXT", required=True, help="why, without patient data")
    release = commands.add_parser("release", description="end a legal hold")
    release.add_argument("name", metavar="NAME", help="as 'holds' shows it")
    commands.add_parser("holds", description="show the legal holds that stand")


def _months(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.crypto.months import months

    found = months(wiring.months_folder(configured(args)))
    rows = [{"month": month, "state": "erased" if gone else "readable"} for month, gone in found]
    out.table(rows, {"month": "MONTH", "state": "PATIENTS"})
    return 0


def _erase(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.audit.retention import holds
    from node.crypto.months import erase

    config = configured(args)
    standing = ", ".join(holds(wiring.audit_folder(config)))
    if standing:
        raise RefusedError(f"nothing is erased while a legal hold stands: {standing}")
    if not args.yes:
        _confirm(args.month)
    erase(wiring.months_folder(config), args.month, time.time())
    _record(config, "audit_month_erased", month=args.month)
    out.answer(
        {"result": "erased", "month": args.month},
        f"the patients of {args.month} can be read by nobody; the log still proves itself\n"
        "erase the copies of the folder audit/months in your backups, too",
    )
    return 0


def _hold(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.audit.line import timestamp
    from node.audit.retention import hold

    config, who = configured(args), local_user()
    facts = {"by": who, "since": timestamp(time.time()), "reason": args.reason}
    hold(wiring.audit_folder(config), args.name, facts)
    _record(config, "audit_held", name=args.name, reason=args.reason)
    out.answer({"result": "held", "name": args.name}, f"hold {args.name} stands")
    return 0


def _release(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.audit.retention import release

    config = configured(args)
    release(wiring.audit_folder(config), args.name)
    _record(config, "audit_released", name=args.name)
    out.answer({"result": "released", "name": args.name}, f"hold {args.name} has ended")
    return 0


def _holds(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.audit.retention import holds

    found = holds(wiring.audit_folder(configured(args)))
    rows = [{"name": name} | facts for name, facts in found.items()]
    columns = {"name": "NAME", "since": "SINCE", "by": "BY", "reason": "REASON"}
    out.table(rows, columns)
    return 0


def _confirm(month: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint="--yes erases without asking")
    sys.stderr.write(f"The patients of {month} become unreadable for ever. Type {month}: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != month:
        raise UsageError("nothing was erased")


def _record(config: Config, event: str, **facts: str) -> None:
    from node import wiring

    with closing(wiring.ledger(config)) as ledger:
        ledger.record(Event(event, actor=local_user(), facts=dict(facts)))


RUN = {
    "months": _months, "erase": _erase, "hold": _hold, "release": _release, "holds": _holds,
}  # fmt: skip

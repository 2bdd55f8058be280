"""``nodectl breakglass``: let images of a route pass unsealed, for a reason and a while."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.cli.output import duration
from node.config import values
from node.config.values import MistakeError
from node.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.operating.breakglass import Opening

NAME = "breakglass"
HELP = "let images of a route pass unsealed, for a reason and a while"
EPILOG = """
For when care cannot wait for what keeps images from being sealed. What is
received by the route from now on leaves as it came, until --for is over or
--end is given; what was received before is sealed, and what was not sent by
then is sealed first. Opening, each object that passes, and the end are in the
audit log with the reason; 'nodectl status' shows what is open.

The operator must allow it: [node] break_glass_max says for how long, and the
route says break_glass = true. Without ROUTE what is open is listed; --report
lists what has passed unsealed, and to whom it was sent like that.

EXAMPLES
  nodectl --config /etc/sealnode breakglass ct --reason "key lost" --for 2h
  nodectl --config /etc/sealnode breakglass
  nodectl --config /etc/sealnode breakglass ct --end
  nodectl --config /etc/sealnode breakglass --report --json

EXIT STATUS
  0   done
  2   there is no such route, it is open already, or it is not open
  3   the configuration has mistakes
  4   what is open cannot be read
  14  the configuration does not allow it, or not for so long
  20  the audit log cannot be read
"""
FOREVER = "3650d"
OPEN = {"route": "ROUTE", "left": "LEFT", "actor": "BY", "reason": "REASON"}
PASSED = {
    "time": "TIME",
    "route": "ROUTE",
    "entry": "ENTRY",
    "object": "OBJECT",
    "sent": "SENT UNSEALED TO",
    "reason": "REASON",
}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("route", metavar="ROUTE", nargs="?", default="", help="name of a route")
    parser.add_argument("--reason", metavar="TEXT", help="why, without patient data")
    parser.add_argument("--for", metavar="TIME", dest="span", help='how long, such as "2h"')
    parser.add_argument("--end", action="store_true", help="end it now")
    parser.add_argument("--report", action="store_true", help="list what has passed unsealed")


def run(args: argparse.Namespace, out: Out) -> int:
    """Open, end, list or report."""
    opens = args.reason is not None or args.span is not None
    if opens + args.end + args.report > 1:
        raise UsageError("--reason and --for open it, --end ends it, --report lists: choose one")
    if args.report:
        _report(configured(args), args.route, out)
        return 0
    if opens or args.end:
        if not args.route:
            raise UsageError("no route is named")
        if opens and not (args.reason and args.span):
            raise UsageError("opening needs both --reason and --for")
    elif args.route:
        raise UsageError("nothing is to be done", hint="--reason and --for open it, --end ends it")
    _change(args, configured(args), out)
    return 0


def _change(args: argparse.Namespace, config: Config, out: Out) -> None:
    from node import wiring

    glass = wiring.break_glass(config)
    actor = pwd.getpwuid(os.geteuid()).pw_name
    ledger = wiring.ledger(config)
    try:
        if args.end:
            glass.end(args.route, actor, ledger)
            out.answer({"route": args.route, "result": "ended"}, f"route {args.route} seals again")
        elif args.route:
            made = glass.begin(args.route, args.reason, _seconds(args.span), actor, ledger)
            left = duration(made.until - made.since)
            out.answer(
                _row(made), f"route {made.route} lets images pass UNSEALED for {left} from now on"
            )
        else:
            found = [_row(one) for one in glass.open()]
            if found or out.json:
                out.table(found, OPEN)
            else:
                out.answer({}, "nothing is open")
    finally:
        ledger.close()


def _row(one: Opening) -> dict[str, Any]:
    return asdict(one) | {"left": duration(max(0.0, one.until - time.time()))}


def _seconds(text: str) -> float:
    try:
        seconds: float = values.duration("1s", FOREVER)(text)
    except MistakeError as error:
        raise UsageError(f"--for: {error}") from None
    return seconds


def _report(config: Config, route: str, out: Out) -> None:
    from node import wiring
    from node.accounts.history import History
    from node.accounts.trace import passed
    from node.cli.trace import when

    ledger = wiring.ledger(config)
    try:
        found = passed(History(ledger, config.node.state / "audit"))
    finally:
        ledger.close()
    rows = [
        asdict(one) | {"time": when(one.at)} for one in found if not route or one.route == route
    ]
    if rows or out.json:
        out.table(rows, PASSED)
    else:
        out.answer({}, "nothing has passed unsealed by break-glass")

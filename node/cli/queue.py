"""``nodectl queue``: what lies in the spool, and a person's decisions about it."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from node.cli.actor import local_user
from node.cli.arguments import configured
from node.cli.output import duration, size
from node.config.values import nearest
from node.errors import RefusedError, UsageError
from node.routing import decide
from node.types import Action, Decision, EntryState, Event

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.spool.base import Ledger
    from node.types import Delivery, SpoolEntry

NAME = "queue"
HELP = "list, retry, hold, release or discard what lies in the spool"
EPILOG = """
retry tries again what was parked, by the route that it had. release lets go
what was held: by the route that it had, else by the routes as they are now,
or by the one that --route names. hold stops it until then. discard gives an
object up: its bytes are removed after the retention time. Each of these is
written to the audit log with who did it.

EXAMPLES
  nodectl --config /etc/sealnode queue ls --state parked
  nodectl --config /etc/sealnode queue show 17
  nodectl --config /etc/sealnode queue retry --all --to pacs-main
  nodectl --config /etc/sealnode queue release 17 --route ct
  nodectl --config /etc/sealnode queue discard 17 --reason "test image"

EXIT STATUS
  0   done
  2   there is no such entry, or it is past this
  3   the configuration has mistakes
  14  no route would send it
"""
PAGE = 100  # entries
SENT = (Action.SEAL, Action.RELAY)
COLUMNS = {
    "entry": "ENTRY",
    "state": "STATE",
    "route": "ROUTE",
    "source": "FROM",
    "age": "AGE",
    "size": "SIZE",
    "attempts": "TRIES",
    "reason": "REASON",
}
DELIVERY_COLUMNS = {
    "destination": "TO",
    "part": "SHARE",
    "state": "STATE",
    "attempts": "TRIES",
    "committed": "COMMITTED",
    "reason": "REASON",
}


def add_arguments(parser: Parser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="command", required=True)
    states = [state.value for state in EntryState]
    ls = commands.add_parser("ls", description="list entries, the oldest first")
    ls.add_argument("--state", choices=states, help=f"only these: {', '.join(states)}")
    ls.add_argument("--to", metavar="DEST", default="", help="only what goes there")
    ls.add_argument("--after", metavar="ENTRY", type=int, default=0, help="only later entries")
    ls.add_argument(
        "--limit", metavar="N", type=int, default=PAGE, help=f"at most so many (default: {PAGE})"
    )
    show = commands.add_parser("show", description="show one entry with its deliveries")
    show.add_argument("entry", metavar="ENTRY", help="its number, or a SOP Instance UID")
    for name, state, about in (
        ("retry", EntryState.PARKED, "try parked entries again"),
        ("release", EntryState.HELD, "let held entries go"),
    ):
        again = commands.add_parser(name, description=about)
        again.add_argument("entries", metavar="ENTRY", type=int, nargs="*", help="their numbers")
        again.add_argument("--all", action="store_true", help=f"all that are {state.value}")
        again.add_argument("--to", metavar="DEST", default="", help="with --all: what goes there")
        if name == "release":
            again.add_argument("--route", metavar="NAME", default="", help="the route to take")
    for name, about in (
        ("hold", "stop entries until they are released"),
        ("discard", "give entries up; what was not sent never will be"),
    ):
        stop = commands.add_parser(name, description=about)
        stop.add_argument("entries", metavar="ENTRY", type=int, nargs="+", help="their numbers")
        stop.add_argument(
            "--reason", metavar="TEXT", required=True, help="why, without patient data"
        )


def run(args: argparse.Namespace, out: Out) -> int:
    """Run one of the commands."""
    config = configured(args)
    from node import wiring

    ledger = wiring.ledger(config)
    try:
        if args.command == "ls":
            _list(args, ledger, out)
        elif args.command == "show":
            _show(args.entry, ledger, out)
        else:
            _decide(args, config, ledger, wiring.keys(config).pseudonymizer().pseudonym, out)
    finally:
        ledger.close()
    return 0


def _list(args: argparse.Namespace, ledger: Ledger, out: Out) -> None:
    state = EntryState(args.state) if args.state else None
    found = ledger.query(state=state, destination=args.to, after=args.after, limit=args.limit)
    now = time.time()
    rows = [_row(entry) for entry in found]
    if not out.json:
        rows = [
            row | {"age": duration(max(0, now - row["received_at"])), "size": size(row["size"])}
            for row in rows
        ]
    out.table(rows, COLUMNS)
    if len(found) == args.limit:
        out.note(f"there may be more: --after {found[-1].id}")


def _show(word: str, ledger: Ledger, out: Out) -> None:
    numbers = [int(word)] if word.isdecimal() else [entry.id for entry in ledger.find(word)]
    if not numbers:
        raise UsageError("no entry has this SOP Instance UID")
    for number in numbers:
        entry, deliveries = _get(ledger, number)
        instance = entry.instance
        uids = {
            "sop_class_uid": instance.sop_class_uid,
            "sop_instance_uid": instance.sop_instance_uid,
            "sent_as": _sent_as(entry, deliveries),
            "transfer_syntax_uid": instance.transfer_syntax_uid,
            "blob": instance.blob,
            "sealed": entry.sealed,
            "threshold": entry.threshold,
            "attributes": instance.attributes,
        }
        facts = _row(entry) | uids
        if out.json:
            out.answer(facts | {"deliveries": [asdict(delivery) for delivery in deliveries]})
        else:
            out.answer(facts)
            count = sum(delivery.share > 0 for delivery in deliveries)
            rows = [
                asdict(one)
                | {
                    "part": f"{one.share}/{count}" if one.share else "",
                    "committed": _committed(one),
                }
                for one in deliveries
            ]
            columns = {k: v for k, v in DELIVERY_COLUMNS.items() if count or k != "part"}
            out.table(rows, columns)


def _sent_as(entry: SpoolEntry, deliveries: list[Delivery]) -> str:
    """Return the SOP Instance UID that an object was sent under if that is another."""
    own = {"", entry.instance.sop_instance_uid}
    names = (one.sop_instance_uid for one in deliveries if not one.share)
    return next((name for name in names if name not in own), "")


def _committed(delivery: Delivery) -> str:
    """Return when the destination committed to keep an object, or how far that is."""
    if delivery.committed_at is not None:
        return datetime.fromtimestamp(delivery.committed_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if delivery.commit_at is None:
        return ""
    return (
        f"asked {delivery.asked} times"
        if delivery.asked > 1
        else ("asked" if delivery.asked else "to be asked")
    )


def _row(entry: SpoolEntry) -> dict[str, Any]:
    return {
        "entry": entry.id,
        "state": entry.state.value,
        "route": entry.route,
        "action": entry.action.value,
        "source": entry.instance.peer.source,
        "received_at": entry.instance.received_at,
        "size": entry.instance.size,
        "attempts": entry.attempts,
        "not_before": entry.not_before,
        "reason": entry.reason,
    }


def _decide(
    args: argparse.Namespace,
    config: Config,
    ledger: Ledger,
    pseudonym: Callable[[str], str],
    out: Out,
) -> None:
    """Carry out retry, release, hold or discard on each entry that is meant."""
    for number in list(_meant(args, ledger)):
        entry, _ = _get(ledger, number)
        event = partial(
            Event,
            object=pseudonym(entry.instance.sop_instance_uid),
            actor=local_user(),
        )
        match args.command:
            case "retry":
                ledger.requeue(number, None, event("entry_retried", facts={"entry": number}))
            case "release":
                decision = _decision(entry, config, args.route)
                route = decision.route.name if decision and decision.route else entry.route
                facts: dict[str, Any] = {"entry": number, "route": route}
                if decision and decision.route:
                    facts["to"] = ",".join(decision.route.to)
                ledger.requeue(number, decision, event("entry_released", facts=facts))
            case "hold":
                facts = {"entry": number, "reason": args.reason}
                ledger.hold(number, args.reason, event("entry_held", facts=facts))
            case _:
                facts = {"entry": number, "reason": args.reason}
                ledger.discard(number, args.reason, event("entry_discarded", facts=facts))
        done = ledger.get(number)[0]
        out.answer(_row(done), f"entry {number} is {done.state.value}")


def _meant(args: argparse.Namespace, ledger: Ledger) -> Iterator[int]:
    """Yield the numbers of the entries that a command line means."""
    wanted = {"retry": EntryState.PARKED, "release": EntryState.HELD}.get(args.command)
    if args.entries or wanted is None:
        yield from args.entries
        return
    if not args.all:
        raise UsageError("no entry is named", hint=f"--all means all that are {wanted.value}")
    last = 0
    while page := ledger.query(state=wanted, destination=args.to, after=last, limit=PAGE):
        yield from (entry.id for entry in page)
        last = page[-1].id


def _decision(entry: SpoolEntry, config: Config, name: str) -> Decision | None:
    """Return how a held entry goes on; None means by the route that it had.

    :raises RefusedError: no route would send it.
    """
    if name:
        named = {route.name: route for route in config.routes}
        if name not in named:
            raise UsageError(f'there is no route "{name}"{nearest(name, named)}')
        decision = Decision(named[name], named[name].action, ())
    elif entry.action in SENT:
        return None
    else:
        decision = decide(config.routes, entry.instance)
    if decision.action not in SENT:
        raise RefusedError(
            f"entry {entry.id}: {_why_not(decision)}",
            hint="--route names a route that seals or relays",
        )
    return decision


def _why_not(decision: Decision) -> str:
    if decision.route is None:
        return "no route matches it"
    return f"route {decision.route.name} says {decision.action.value}"


def _get(ledger: Ledger, number: int) -> tuple[SpoolEntry, list[Delivery]]:
    try:
        return ledger.get(number)
    except KeyError:
        raise UsageError(f"there is no entry {number}", hint="see 'nodectl queue ls'") from None

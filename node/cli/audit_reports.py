"""``nodectl audit report`` and ``who-revealed``: who did what with whose images."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.actor import local_user
from node.cli.arguments import configured
from node.errors import NotOurKeyError, UnreadableError, UsageError
from node.types import Event

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from node.accounts.access import Access, Wanted
    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config

FORMATS = ("table", "csv", "json", "html")
DATE = len("2026-01-02")


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands."""
    report = commands.add_parser("report", description="show who did what with whose images")
    report.add_argument("--user", metavar="NAME", default="", help="only what this user or AE did")
    revealed = commands.add_parser(
        "who-revealed", description="show who has seen the original or the record of an object"
    )
    revealed.add_argument("uid", metavar="UID", nargs="?", default="", help="SOP Instance UID")
    for parser in (report, revealed):
        parser.add_argument(
            "--patient", metavar="ID", default="", help="only what is about this Patient ID"
        )
        parser.add_argument("--since", metavar="TIME", default="", help="from this day or time on")
        parser.add_argument("--until", metavar="TIME", default="", help="up to this day or time")
        parser.add_argument(
            "--officer", metavar="FILE", type=Path,
            help="the audit officer's key (default: audit-officer.key in the key folder)",
        )  # fmt: skip
        parser.add_argument(
            "--format", choices=FORMATS, default="table", help="one of table, csv, json, html"
        )


def run_report(args: argparse.Namespace, out: Out) -> int:
    """Show the events that are asked for."""
    from node.accounts.access import Wanted

    wanted = Wanted(
        since=moment(args.since),
        until=moment(args.until, end=True),
        user=args.user,
        patient=args.patient,
    )
    return _show(args, out, wanted, "Access report")


def run_who_revealed(args: argparse.Namespace, out: Out) -> int:
    """Show to whom an object, or what there is of a patient, was revealed."""
    from node import wiring
    from node.accounts.access import REVEALS, Wanted

    if not args.uid and not args.patient:
        raise UsageError("no object is named", hint="give a SOP Instance UID, or --patient ID")
    objects: frozenset[str] = frozenset()
    if args.uid:
        objects = frozenset({wiring.keys(configured(args)).pseudonymizer().pseudonym(args.uid)})
    wanted = Wanted(
        since=moment(args.since),
        until=moment(args.until, end=True),
        patient=args.patient,
        objects=objects,
        events=REVEALS,
    )
    return _show(args, out, wanted, "To whom it was revealed")


def _show(args: argparse.Namespace, out: Out, wanted: Wanted, title: str) -> int:
    from node import wiring
    from node.accounts.access import accesses
    from node.cli import audit_pages as pages

    config = configured(args)
    opener = officer(args.officer, config)
    if wanted.patient and opener is None:
        raise NotOurKeyError(
            "only the audit officer's key tells patients apart", hint="give --officer FILE"
        )
    found = list(accesses(wiring.audit_folder(config), wanted, opener))
    record(config, args, len(found))
    if out.json or args.format == "json":
        out.json = True
        for access in found:
            out.answer(pages.facts(access))
    elif args.format == "csv":
        out.answer({}, pages.comma_separated(found))
    elif args.format == "html":
        out.answer({}, pages.page(found, title, _about(args, config, found)))
    else:
        out.table([pages.row(access) for access in found], pages.COLUMNS)
    return 0


def officer(file: Path | None, config: Config) -> Callable[[str], dict[str, str] | None] | None:
    """Return what opens patient fields, or None where the key is not here.

    :raises UnreadableError: the file is no key.
    """
    from node import wiring
    from node.crypto.keyring import OFFICER
    from node.crypto.months import MonthOpener
    from node.crypto.recipient import parse_identity

    if file is not None:
        try:
            identity = parse_identity(file.read_bytes())
        except UnreadableError as error:
            raise UnreadableError(f"{file}: {error}", hint=error.hint) from None
    elif (config.node.keys / OFFICER).exists():
        identity = wiring.keys(config).audit_officer_identity()
    else:
        return None
    return MonthOpener(wiring.months_folder(config), identity).open


def moment(text: str, *, end: bool = False) -> float:
    """Return a day or a time (UTC unless it says otherwise) in seconds since the epoch.

    :param end: a day means its end, and no text means for ever.
    :raises UsageError: it is neither.
    """
    if not text:
        return float("inf") if end else 0.0
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f'"{text}" is no time', hint='write it like "2026-01-02" or "2026-01-02T08:30"'
        ) from None
    if end and len(text) == DATE:
        found += timedelta(days=1)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def record(config: Config, args: argparse.Namespace, rows: int) -> None:
    """Tell the log that it was read, and about whom."""
    from contextlib import closing

    from node import wiring

    now = time.time()
    facts: dict[str, str | int | float] = {"command": args.command, "rows": rows}
    if getattr(args, "patient", ""):
        facts |= wiring.patients(config).seal_id(now, args.patient)
    with closing(wiring.ledger(config)) as ledger:
        ledger.record(Event("audit_read", actor=local_user(), facts=facts))


def _about(args: argparse.Namespace, config: Config, found: Sequence[Access]) -> list[str]:
    from node.audit.line import timestamp

    asked = {
        "patient": args.patient, "user": getattr(args, "user", ""),
        "object": getattr(args, "uid", ""), "since": args.since, "until": args.until,
    }  # fmt: skip
    shown = ", ".join(f"{key} {value}" for key, value in asked.items() if value) or "everything"
    made = f"Made {timestamp(time.time())[:19]}Z by {local_user()} on node {config.node.aet}."
    lines = [f"Asked for: {shown}. {made} {len(found)} events."]
    if found:
        first, last = found[0].seq, found[-1].seq
        lines.append(f"Events {first} to {last}; 'nodectl audit prove SEQ' proves each.")
    return lines


RUN = {"report": run_report, "who-revealed": run_who_revealed}

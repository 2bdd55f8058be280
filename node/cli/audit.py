"""``nodectl audit``: prove the audit log, and read its end."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from node.cli import audit_export as export
from node.cli import audit_keeping as keeping
from node.cli import audit_proofs as proofs
from node.cli import audit_reports as reports
from node.cli import trace as lives
from node.cli.actor import local_user
from node.cli.arguments import configured
from node.errors import AuditError
from node.types import RECEIPT

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "audit"
HELP = "prove that the audit log is whole, or read it"
EPILOG = """
verify reads the whole log: each event must follow the one before it, and each
signed checkpoint must fit. It needs the public key of the log alone, and may
run on a copy, on any machine. A cut after the last checkpoint shows only if a
later checkpoint was kept elsewhere: --witness names that place. prove and
consistency print proofs (RFC 6962) that check-proof checks without the log.
gaps sets what was accepted against what arrived. tail shows what was written
last; events of the last seconds may still wait in the ledger. rejoin lets the
log go on after the ledger or the log was restored from a backup, and says so.

EXAMPLES
  nodectl --config /etc/sealnode audit verify
  nodectl audit verify /mnt/copy/audit --key audit.pub --witness /mnt/witness
  nodectl --config /etc/sealnode audit tail -n 50
  nodectl --config /etc/sealnode audit gaps
  nodectl --config /etc/sealnode audit export -o events.jsonl --since 2026-01-01
  nodectl --config /etc/sealnode audit prove 1207 > event-1207.json
  nodectl audit check-proof event-1207.json --key audit.pub

EXIT STATUS
  0   the log is as it was written
  3   the configuration or a key has mistakes
  4   there is no such log
  20  the log is broken, the first bad event is named; or a proof proves nothing
"""
LAST = 20  # events
_LONG = {"patient", RECEIPT}  # facts that fill a screen; --json has them


def add_arguments(parser: Parser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="command", required=True)
    proofs.add_commands(commands)
    reports.add_commands(commands)
    keeping.add_commands(commands)
    export.add_commands(commands)
    tail = commands.add_parser("tail", description="show the last events")
    proofs.add_log(tail)
    tail.add_argument(
        "-n", metavar="N", dest="count", type=int, default=LAST, help=f"so many (default: {LAST})"
    )
    lives.add_arguments(commands.add_parser("trace", description="as 'nodectl trace'"))
    commands.add_parser(
        "rejoin", description="go on after ledger or log was restored; the node must not run"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Run one of the commands."""
    return COMMANDS[args.command](args, out)


def _tail(args: argparse.Namespace, out: Out) -> int:
    for line in _last(proofs.log_of(args), args.count):
        event = _event(line)
        out.answer(event, _text(event))
    return 0


def _last(log: Path, count: int) -> list[bytes]:
    """Return the last whole lines of a log, the oldest first."""
    found: list[bytes] = []
    for path in sorted(log.glob("*.jsonl"), reverse=True):
        with path.open("rb") as stream:
            end = deque(stream, maxlen=count + 1)
        whole = [line for line in end if line.endswith(b"\n")]
        found = [*whole, *found]
        if len(found) >= count:
            break
    return found[len(found) - min(count, len(found)) :]


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("facts"), dict):
        raise AuditError("a line is no event", hint="'nodectl audit verify' says more")
    return event


def _text(event: dict[str, Any]) -> str:
    words = [str(event.get(key, "")) for key in ("seq", "ts", "event", "outcome", "actor")]
    words += [f"{key}={value}" for key, value in event["facts"].items() if key not in _LONG]
    return " ".join(word for word in words if word)


def _rejoin(args: argparse.Namespace, out: Out) -> int:
    """Let what waits in the ledger follow what is in the log; both say who did it."""
    from node import wiring
    from node.reap import rejoin

    config = configured(args)
    rows, sink = wiring.ledger(config), wiring.audit_log(config)
    try:
        rejoin(rows, sink, local_user())
        out.answer({"result": "rejoined", "last": sink.last()})
    finally:
        sink.close()
        rows.close()
    return 0


COMMANDS = {
    "verify": proofs.run_verify,
    "prove": proofs.run_prove,
    "consistency": proofs.run_consistency,
    "check-proof": proofs.run_check_proof,
    "gaps": proofs.run_gaps,
    "tail": _tail,
    "rejoin": _rejoin,
    "trace": lives.run,
    **reports.RUN,
    **keeping.RUN,
    **export.RUN,
}

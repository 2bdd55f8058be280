"""``nodectl trace``: one object's life."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.types import RECEIPT

if TYPE_CHECKING:
    import argparse

    from node.accounts.trace import Life, Step
    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "trace"
HELP = "tell one object's life, from its arrival to whoever retrieved it"
EPILOG = """
Takes what the spool holds and what the audit log tells, also of objects that
left the spool long ago. The UID is the one that the object was received
under, or the one that it was sent under. Times are in UTC.

EXAMPLES
  nodectl --config /etc/sealnode trace 1.2.840.10008.5.99.17
  nodectl --config /etc/sealnode trace 1.2.840.10008.5.99.17 --json

EXIT STATUS
  0   here it is
  2   nothing is known of it
  3   the configuration has mistakes
  20  the audit log cannot be read
"""
COLUMNS = {
    "time": "TIME",
    "step": "STEP",
    "peer": "PEER",
    "outcome": "OUTCOME",
    "verdict": "VERDICT",
    "more": "MORE",
}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("uid", metavar="UID", help="SOP Instance UID")


def run(args: argparse.Namespace, out: Out) -> int:
    """Print the steps, then what lies in the spool now."""
    config = configured(args)
    from node import wiring
    from node.accounts.history import History
    from node.accounts.trace import trace

    ledger = wiring.ledger(config)
    try:
        history = History(ledger, config.node.state / "audit")
        pseudonym = wiring.keys(config).pseudonymizer().pseudonym
        life = trace(args.uid, ledger, history, pseudonym)
    finally:
        ledger.close()
    if out.json:
        out.answer(_facts(args.uid, life))
        return 0
    out.table([_row(step) for step in life.steps], COLUMNS)
    for entry, deliveries in life.rows:
        reason = f" ({entry.reason})" if entry.reason else ""
        out.answer({}, f"\nentry {entry.id} in the spool: {entry.state.value}{reason}")
        for one in deliveries:
            why = f" ({one.reason})" if one.reason else ""
            out.answer({}, f"  to {one.destination}: {one.state.value}{why}")
    if not life.rows:
        out.answer({}, "\nnothing of it is in the spool any more")
    return 0


def _facts(uid: str, life: Life) -> dict[str, Any]:
    return {
        "uid": uid,
        "objects": life.objects,
        "steps": [asdict(step) | {"time": when(step.at)} for step in life.steps],
        "entries": [
            {
                "entry": entry.id,
                "state": entry.state,
                "route": entry.route,
                "action": entry.action,
                "source": entry.instance.peer.source,
                "received_at": entry.instance.received_at,
                "reason": entry.reason,
                "deliveries": [asdict(delivery) for delivery in deliveries],
            }
            for entry, deliveries in life.rows
        ],
    }


def _row(step: Step) -> dict[str, str]:
    return {
        "time": when(step.at),
        "step": step.step,
        "peer": step.peer,
        "outcome": step.outcome,
        "verdict": step.verdict,
        "more": " ".join(f"{key}={value}" for key, value in step.facts.items() if key != RECEIPT),
    }


def when(at: float) -> str:
    """Return a time in UTC to the second, as ISO 8601 has it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""``nodectl audit``: prove the audit log, and read its end."""

from __future__ import annotations

import getpass
import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.errors import AuditError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config

NAME = "audit"
HELP = "prove that the audit log is whole, or read its end"
EPILOG = """
verify reads the whole log: each event must follow the one before it, and each
signed checkpoint must fit. It needs the public key of the log alone, and may
run on a copy, on any machine. A cut after the last checkpoint shows only if a
later checkpoint was kept elsewhere. tail shows what was written last; events
of the last seconds may still wait in the ledger. rejoin lets the log go on
after the ledger or the log was restored from a backup, and says so in it.

EXAMPLES
  nodectl --config /etc/sealnode audit verify
  nodectl audit verify /mnt/copy/audit --key audit.pub --json
  nodectl --config /etc/sealnode audit tail -n 50

EXIT STATUS
  0   the log is as it was written
  3   the configuration or a key has mistakes
  4   there is no such log
  20  the log is broken; the first bad event is named
"""
LAST = 20  # events


def add_arguments(parser: Parser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", description="prove that no event was changed or lost")
    verify.add_argument("log", metavar="LOG", type=Path, nargs="?", help="folder of the log")
    verify.add_argument(
        "--key", metavar="FILE", type=Path, action="append", help="public key of the checkpoints"
    )
    tail = commands.add_parser("tail", description="show the last events")
    tail.add_argument("log", metavar="LOG", type=Path, nargs="?", help="folder of the log")
    tail.add_argument(
        "-n", metavar="N", dest="count", type=int, default=LAST, help=f"so many (default: {LAST})"
    )
    commands.add_parser(
        "rejoin", description="go on after ledger or log was restored; the node must not run"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Run one of the commands."""
    if args.command == "rejoin":
        return _rejoin(configured(args), out)
    log: Path = args.log or configured(args).node.state / "audit"
    if not log.is_dir():
        raise FileNotFoundError(2, "there is no such log", str(log))
    if args.command == "tail":
        for line in _last(log, args.count):
            event = _event(line)
            out.answer(event, _text(event))
        return 0
    from node.audit.check import verify

    paths: list[Path] = args.key or [configured(args).node.keys / "audit.pub"]
    report = verify(log, *(path.read_text(encoding="ascii") for path in paths))
    facts = {
        "result": "broken" if report.problem else "whole",
        "reason": report.problem,
        "first_bad": report.first_bad,
        "events": report.events,
        "signed": report.signed,
        "checkpoints": report.checkpoints,
        "files": report.files,
    }
    if out.json or not report.problem:
        text = f"whole: {report.events} events, {report.signed} of them under signed checkpoints"
        out.answer(facts, text)
    report.insist()
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
    words += [f"{key}={value}" for key, value in event["facts"].items()]
    return " ".join(word for word in words if word)


def _rejoin(config: Config, out: Out) -> int:
    """Let what waits in the ledger follow what is in the log; both say who did it."""
    from node import wiring
    from node.reap import rejoin

    rows, sink = wiring.ledger(config), wiring.audit_log(config)
    try:
        rejoin(rows, sink, f"local:{getpass.getuser()}")
        out.answer({"result": "rejoined", "last": sink.last()})
    finally:
        sink.close()
        rows.close()
    return 0

"""``nodectl audit`` for who doubts: verify, prove, consistency, check-proof, gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.errors import UnreadableError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

GAP_COLUMNS = {
    "ts": "SINCE",
    "state": "STATE",
    "entry": "ENTRY",
    "object": "OBJECT",
    "route": "ROUTE",
    "missing": "NOT AT",
    "reason": "REASON",
}
MAX_PROOF = 1 << 20  # bytes


def add_log(parser: Parser) -> None:
    """Add the operand that names a log."""
    parser.add_argument("log", metavar="LOG", type=Path, nargs="?", help="folder of the log")


def log_of(args: argparse.Namespace) -> Path:
    """Return the folder of the log that is meant.

    :raises FileNotFoundError: there is none.
    """
    log: Path = args.log or configured(args).node.state / "audit"
    if not log.is_dir():
        raise FileNotFoundError(2, "there is no such log", str(log))
    return log


def keys_of(args: argparse.Namespace) -> list[str]:
    """Return the texts of the public keys that a command line means."""
    paths: list[Path] = args.key or [configured(args).node.keys / "audit.pub"]
    return [path.read_text(encoding="ascii", errors="replace") for path in paths]


def add_key(parser: Parser) -> None:
    """Add the option that names public keys."""
    parser.add_argument(
        "--key", metavar="FILE", type=Path, action="append", help="public key of the checkpoints"
    )


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands."""
    verify = commands.add_parser("verify", description="prove that no event was changed or lost")
    add_log(verify)
    add_key(verify)
    verify.add_argument(
        "--witness", metavar="PLACE", type=Path, action="append", default=[],
        help="checkpoints kept elsewhere: a folder or a file; the log must agree with them",
    )  # fmt: skip
    prove = commands.add_parser(
        "prove", description="print the proof that one event is in the log, for an outsider"
    )
    prove.add_argument("seq", metavar="SEQ", type=int, help="number of the event")
    add_log(prove)
    growth = commands.add_parser(
        "consistency", description="print the proof that the log grew from an earlier checkpoint"
    )
    growth.add_argument("old", metavar="NOTE", type=Path, help="file with the earlier checkpoint")
    add_log(growth)
    check = commands.add_parser("check-proof", description="check a proof; needs no log")
    check.add_argument("proof", metavar="FILE", type=Path, help="what prove or consistency printed")
    add_key(check)
    check.add_argument(
        "--checkpoint", metavar="NOTE", type=Path,
        help="your own copy of the checkpoint; the proof must rest on it",
    )  # fmt: skip
    gaps = commands.add_parser(
        "gaps", description="show what was accepted and has not arrived, and clocks set back"
    )
    add_log(gaps)


def run_verify(args: argparse.Namespace, out: Out) -> int:
    """Prove the whole log."""
    from node.audit.check import verify
    from node.audit.witness import witnessed

    log, keys = log_of(args), keys_of(args)
    places: list[Path] = args.witness or _witness(args, out)
    report = verify(log, *keys, witnessed=[note for place in places for note in witnessed(place)])
    facts = {
        "result": "broken" if report.problem else "whole",
        "reason": report.problem,
        "first_bad": report.first_bad,
        "events": report.events,
        "signed": report.signed,
        "checkpoints": report.checkpoints,
        "files": report.files,
        "expired": report.expired,
        "witnessed": report.witnessed,
    }
    if out.json or not report.problem:
        text = f"whole: {report.events} events, {report.signed} of them under signed checkpoints"
        if report.expired:
            text += f"\nthe first {report.expired} were removed by retention; the log says so"
        if places:
            text += f"\n{report.witnessed} checkpoints of the witness agree"
        out.answer(facts, text)
    report.insist()
    return 0


def run_prove(args: argparse.Namespace, out: Out) -> int:
    """Print a proof of inclusion."""
    from node.audit.proof import prove

    proof = prove(log_of(args), args.seq)
    out.answer(proof, json.dumps(proof, indent=1))
    return 0


def run_consistency(args: argparse.Namespace, out: Out) -> int:
    """Print a proof of consistency."""
    from node.audit.proof import prove_growth

    proof = prove_growth(log_of(args), _note(args.old))
    out.answer(proof, json.dumps(proof, indent=1))
    return 0


def run_check_proof(args: argparse.Namespace, out: Out) -> int:
    """Say what a proof proves."""
    from node.audit.checkpoint import Verifier
    from node.audit.proof import check, rests_on

    try:
        with args.proof.open("rb") as file:
            document = json.loads(file.read(MAX_PROOF))
    except ValueError:
        raise UnreadableError(f"{args.proof}: it is no proof of an audit log") from None
    verifiers = [Verifier(key) for key in keys_of(args)]
    facts = check(document, verifiers)
    if args.checkpoint is not None:
        rests_on(document, _note(args.checkpoint), verifiers)
    if facts["proved"] == "inclusion":
        event = facts["event"]
        text = (
            f"proved: event {facts['seq']} ({event['event']}, {event['ts']}) is one of "
            f"{facts['size']} events signed {facts['signed']} by {facts['origin']}"
        )
    else:
        text = (
            f"proved: the log of {facts['size']} events, signed {facts['signed']} by "
            f"{facts['origin']}, holds the {facts['old_size']} of {facts['old_signed']} unchanged"
        )
    out.answer(facts, text)
    return 0


def run_gaps(args: argparse.Namespace, out: Out) -> int:
    """Show what was begun and not ended."""
    from dataclasses import asdict

    from node.audit.gaps import gaps
    from node.audit.line import timestamp
    from node.audit.reading import read

    found = [asdict(gap) | {"ts": timestamp(gap.at)} for gap in gaps(read(log_of(args)))]
    if found or out.json:
        out.table(found, GAP_COLUMNS)
    else:
        out.answer({}, "none: all that was accepted has arrived or was discarded")
    return 0


def _witness(args: argparse.Namespace, out: Out) -> list[Path]:
    """Return the configured witness where no log but the node's own is meant."""
    if args.log is not None or args.config is None:
        return []
    place = configured(args).audit.witness
    if place is None:
        return []
    if not any(place.glob("*.notes")):
        out.warning(f"the witness has no checkpoint yet in {place}")
        return []
    return [place]


def _note(path: Path) -> str:
    """Return the last note of a file; a copied note may lack its last empty line."""
    text = path.read_bytes()[-MAX_PROOF:].decode(errors="replace").strip("\n")
    parts = text.split("\n\n")
    if len(parts) < 2:  # noqa: PLR2004 - a note has a text and signatures
        raise UnreadableError(f"{path}: it is no checkpoint")
    return f"{parts[-2]}\n\n{parts[-1]}\n"

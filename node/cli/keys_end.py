"""``nodectl keys retire`` and ``destroy``: an epoch seals no more, or opens no more."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.cli.confirm import add_yes, confirmed
from node.crypto import ending
from node.crypto.document import format_time
from node.crypto.epoch import Ending

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from node.accounts.trace import Sealed
    from node.cli.output import Out
    from node.crypto.capsule import Capsule

    Facts = dict[str, str | int | float]


def add_commands(commands: Any) -> None:
    """Add both commands."""
    retire = commands.add_parser("retire", description="seal no more under an epoch; it opens")
    retire.add_argument("key_id", metavar="KEY", help="its id, as 'keys list' shows it")
    add_yes(retire, "KEY")
    destroy = commands.add_parser(
        "destroy", description="make all that was sealed under an epoch unreadable for ever"
    )
    destroy.add_argument("key_id", metavar="KEY", help="its id, as 'keys list' shows it")
    add_yes(destroy, "KEY")


def run_retire(args: argparse.Namespace, directory: Path, out: Out, facts: Facts) -> int:
    """Retire an epoch; begin another one if it was the current one here."""
    found = ending.retirable(directory, args.key_id)
    meaning = ["what was sealed under it opens as before; nothing is sealed under it again"]
    if ending.current(directory) == args.key_id:
        meaning.append("it is the current one: a new epoch begins for all recipients")
    confirmed(args.key_id, args.yes, meaning, out)
    ended, begun = ending.retire(directory, args.key_id, clock=time.time)
    facts["key_id"] = args.key_id
    lines = [f"retired epoch {ended.number}, key {args.key_id}"]
    if begun is not None:
        lines.append(f"began epoch {begun.epoch}, key {begun.id}")
    lines.append("start the node again: until then running processes go on under the old key")
    told = _facts(found, ended) | {"began": begun.id if begun else ""}
    out.answer(told, "\n".join(lines))
    return 0


def run_destroy(args: argparse.Namespace, directory: Path, out: Out, facts: Facts) -> int:
    """Destroy an epoch: its capsule goes, and with it all that was sealed under it."""
    found = ending.destructible(directory, args.key_id)
    sealed = _sealed(args)
    facts["key_id"] = args.key_id
    if sealed is not None:
        facts["objects"] = sealed.objects
    confirmed(args.key_id, args.yes, _meaning(args.key_id, found, sealed), out)
    ended = ending.destroy(directory, args.key_id, clock=time.time)
    told = _facts(found, ended) | {"objects": sealed.objects if sealed else None}
    out.answer(
        told,
        f"destroyed epoch {ended.number}, key {args.key_id}\n"
        "start the node again: until then processes that verify still hold the key in memory\n"
        "copies of its capsule elsewhere still open what was sealed under it: destroy\n"
        f"epochs/{args.key_id}.capsule in every backup and at every recipient, too",
    )
    return 0


def _meaning(key_id: str, found: Capsule | Ending, sealed: Sealed | None) -> list[str]:
    if isinstance(found, Ending):
        return [f"epoch {found.number}, key {key_id}, was {found.words}; what is left of it goes"]
    if sealed is None:
        known = "how many objects that are is not known: no configuration is named"
    elif sealed.objects:
        last = format_time(sealed.last)
        known = f"objects sealed under it by the audit log: {sealed.objects}, the last at {last}"
    else:
        known = "the audit log knows no object that was sealed under it"
    names = ", ".join(slot.name for slot in found.slots)
    return [
        f"this destroys epoch {found.epoch}, key {key_id}, of {format_time(found.created)}",
        "whatever was sealed under it stays sealed FOR EVER: patient, original pixels and header",
        "cannot be had back from those images by anybody, and they verify as NOT_OUR_KEY",
        known + "; files that 'nodectl seal' made are not counted",
        "a process that was not started again since a later epoch began still seals under it",
        f"copies of its capsule open it still, for: {names}",
    ]


def _sealed(args: argparse.Namespace) -> Sealed | None:
    if args.config is None:
        return None
    from node import wiring
    from node.accounts.history import History
    from node.accounts.trace import sealed_under

    config = configured(args)
    with closing(wiring.ledger(config)) as ledger:
        return sealed_under(History(ledger, wiring.audit_folder(config)), args.key_id)


def _facts(found: Capsule | Ending, ended: Ending) -> dict[str, Any]:
    return {
        "epoch": ended.number,
        "key_id": ended.key_id.hex(),
        "created": format_time(found.created),
        "since": format_time(ended.since),
        "result": ended.state,
    }


COMMANDS = {"retire": run_retire, "destroy": run_destroy}

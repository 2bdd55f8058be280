"""``nodectl keys``: make, show, rotate, check and end the keys of the site."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli import keys_end, keys_recipients
from node.cli.keys_audit import audited
from node.cli.keys_options import add_suite, created, directory_of, keys_of, suite_of, token
from node.crypto import custody, ending, keyfile
from node.crypto.document import format_time
from node.crypto.epoch import Ending
from node.crypto.keyring import ROBUST, DirectoryKeys
from node.errors import ConfigError, NotOurKeyError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.crypto.base import Unwrapper
    from node.crypto.capsule import Capsule

NAME = "keys"
HELP = "make, show, rotate, check and end the keys"
EPILOG = """
The node seals under an epoch key; rotate it every month or so. A capsule in
the folder epochs/ holds each epoch key, wrapped for every recipient: what was
sealed opens as long as one recipient's private key and the capsules live.
Copy the whole key folder to a safe place after every change, and check the
copy with verify-backup. Run this verb as the user who owns the key folder.
retire lets an epoch seal no more. destroy makes all that was sealed under it
unreadable for ever. What cannot be taken back asks for a word to be typed.
Who changed what is told to the audit log of the configuration.

EXAMPLES
  nodectl --config /etc/sealnode keys list
  nodectl --config /etc/sealnode keys rotate
  nodectl --config /etc/sealnode keys verify-backup /mnt/safe/keys
  nodectl keys recipients new archive --out /mnt/stick
  nodectl --config /etc/sealnode keys recipients add /mnt/stick/archive.pub
  nodectl --config /etc/sealnode keys destroy 1a2b3c4d

EXIT STATUS
  0   done; for verify-backup: the copy opens every epoch
  2   the command line makes no sense, or nobody confirmed it
  3   the keys are not as they should be; nothing was changed
  4   a file is no recipient
  12  verify-backup: the copy does not open every epoch; or there is no such key
"""
_EPOCHS = {
    "epoch": "EPOCH",
    "key_id": "KEY",
    "created": "CREATED",
    "state": "STATE",
    "opens": "OPENS",
    "recipients": "RECIPIENTS",
}
_FINDINGS = {"epoch": "EPOCH", "key_id": "KEY", "state": "STATE"}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument(
        "--keys", metavar="DIR", type=Path, help="the key folder (default: as configured)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    new = commands.add_parser("new", description="make the keys of a new site")
    add_suite(new)
    commands.add_parser("list", description="show all epochs, the newest first")
    show = commands.add_parser("show", description="show one epoch with its recipients")
    show.add_argument("key_id", metavar="KEY", nargs="?", help="its id (default: the current one)")
    commands.add_parser(
        "mark", description="print the site's public mark, for [hospital.*] elsewhere"
    )
    commands.add_parser("rotate", description="begin a new epoch for all recipients")
    backup = commands.add_parser("verify-backup", description="prove that a copy opens every epoch")
    backup.add_argument("backup", metavar="DIR", type=Path, help="a copy of the key folder")
    keys_end.add_commands(commands)
    keys_recipients.add_commands(
        commands.add_parser("recipients", description="show or change who may open")
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Do what the command says."""
    commands = {
        "new": _new,
        "list": _list,
        "show": _show,
        "mark": _mark,
        "rotate": _rotate,
        "verify-backup": _verify_backup,
    }
    if args.command == "recipients":
        commands["recipients"] = keys_recipients.COMMANDS[args.change]
    with audited(args, out) as facts:
        if args.command in keys_end.COMMANDS:
            return keys_end.COMMANDS[args.command](args, directory_of(args), out, facts)
        return commands[args.command](args, out)


def _new(args: argparse.Namespace, out: Out) -> int:
    directory = directory_of(args)
    made = custody.create(directory, clock=time.time, suite=suite_of(args))
    out.answer(
        created(made, directory),
        f"made keys in {directory}, epoch {made.epoch}, key {made.id}\n"
        "keep a copy of this folder in a safe place: without it nothing opens again",
    )
    return 0


def _list(args: argparse.Namespace, out: Out) -> int:
    keys = keys_of(args)
    identity = keys.unwrapper() if keys.may_open() else None
    rows = [_facts(keys, one, identity) for one in keys.capsules()]
    known = {row["key_id"] for row in rows}
    rows += [_left(one) for one in keys.endings() if one.key_id.hex() not in known]
    if not rows:
        raise keyfile.mistake(keys.directory, "holds no epoch", "nodectl keys new makes keys")
    out.table(sorted(rows, key=lambda row: -row["epoch"]), _EPOCHS)
    return 0


def _show(args: argparse.Namespace, out: Out) -> int:
    keys = keys_of(args)
    wanted = args.key_id or keys.epoch().key.key_id.hex()
    found = ending.find(keys.directory, wanted)
    if isinstance(found, Ending):
        out.answer(_left(found))
        return 0
    slots = [{"name": slot.name, "suite": slot.suite, "id": slot.recipient} for slot in found.slots]
    shown = [f"{slot['name']} ({slot['suite']} {slot['id']})" for slot in slots]
    facts = _facts(keys, found, keys.unwrapper() if keys.may_open() else None)
    facts["recipients"] = slots if out.json else shown
    out.answer(facts)
    return 0


def _mark(args: argparse.Namespace, out: Out) -> int:
    from node.mark.message import own

    keys = DirectoryKeys(directory_of(args))
    key = keys.robust_key()
    if key is None:
        raise keyfile.mistake(keys.directory / ROBUST, "does not exist")
    word = own(key).word.hex()
    out.answer({"mark": word}, word)
    return 0


def _rotate(args: argparse.Namespace, out: Out) -> int:
    directory = directory_of(args)
    made = custody.rotate(directory, clock=time.time)
    out.answer(
        created(made, directory),
        f"began epoch {made.epoch}, key {made.id}\n"
        "copy the key folder to the safe place again, and start the node again to seal under it",
    )
    return 0


def _verify_backup(args: argparse.Namespace, out: Out) -> int:
    opening = keys_of(args).unwrapper if args.keys is None and token(args) else None
    findings = custody.verify_backup(directory_of(args), args.backup, opening)
    rows = [{"epoch": one.epoch, "key_id": one.key_id, "state": one.state} for one in findings]
    out.table(rows, _FINDINGS)
    left = [one.key_id for one in findings if one.state == "not_destroyed"]
    if left:
        out.warning(f"the copy still holds what opens destroyed epochs: {', '.join(left)}")
    bad = len(findings) - len(left) - sum(1 for one in findings if one.state == "opens")
    if bad:
        raise NotOurKeyError(
            f"the copy does not open {bad} of {len(findings) - len(left)} epochs",
            hint="copy the whole key folder again",
        )
    return 0


def _facts(keys: DirectoryKeys, capsule: Capsule, identity: Unwrapper | None) -> dict[str, Any]:
    ended = next((one for one in keys.endings() if one.key_id == capsule.key_id), None)
    current = capsule.key_id == _current(keys)
    state = "current" if current else "former"
    if ended is not None:
        state = f"{ended.words}, but its capsule is here" if ended.destroyed else ended.words
    return {
        "epoch": capsule.epoch,
        "key_id": capsule.id,
        "created": format_time(capsule.created),
        "state": state,
        "current": current,
        "opens": _opens(keys, capsule, identity) if not (ended and ended.destroyed) else False,
        "recipients": [slot.name for slot in capsule.slots],
    }


def _left(ended: Ending) -> dict[str, Any]:
    """Return what is known of a destroyed epoch."""
    return {
        "epoch": ended.number,
        "key_id": ended.key_id.hex(),
        "created": format_time(ended.created),
        "state": ended.words,
        "current": False,
        "opens": False,
        "recipients": [],
    }


def _current(keys: DirectoryKeys) -> bytes | None:
    """Return the id of the key that seals, where this machine seals."""
    try:
        return keys.epoch().key.key_id
    except ConfigError:
        return None


def _opens(keys: DirectoryKeys, capsule: Capsule, identity: Unwrapper | None) -> bool | None:
    """Return whether the identity of this machine opens a capsule; None without one."""
    return None if identity is None else keys.unwrap(capsule, identity) is not None

"""``nodectl keys``: make, show, rotate, check and end the keys of the site."""

from __future__ import annotations

import os
import sys
import time
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli import keys_end
from node.cli.arguments import configured
from node.cli.confirm import add_yes, confirmed
from node.cli.keys_audit import audited
from node.crypto import custody, ending, fips, keyfile, lock, recipient
from node.crypto.document import format_time
from node.crypto.epoch import Ending
from node.crypto.keyring import IDENTITY, ROBUST, DirectoryKeys
from node.crypto.suites import SUITES
from node.errors import ConfigError, NotOurKeyError, UnreadableError, UsageError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.crypto.capsule import Capsule
    from node.crypto.recipient import Recipient

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
_RECIPIENTS = {"name": "NAME", "suite": "SUITE", "id": "ID", "created": "CREATED"}
_REMOVAL = [
    "a new epoch begins, which they cannot open; what was sealed before stays open to them:",
    "whoever had a key may have kept it, and no tool can take it back",
]
_FINDINGS = {"epoch": "EPOCH", "key_id": "KEY", "state": "STATE"}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument(
        "--keys", metavar="DIR", type=Path, help="the key folder (default: as configured)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    new = commands.add_parser("new", description="make the keys of a new site")
    _add_suite(new)
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
    _add_recipients(commands.add_parser("recipients", description="show or change who may open"))


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
        commands["recipients"] = {
            "list": _recipients,
            "new": _recipient_new,
            "unlock": _recipient_unlock,
            "add": _recipient_add,
            "remove": _recipient_remove,
        }[args.change]
    with audited(args, out) as facts:
        if args.command in keys_end.COMMANDS:
            return keys_end.COMMANDS[args.command](args, _directory(args), out, facts)
        return commands[args.command](args, out)


def _add_suite(parser: Parser) -> None:
    parser.add_argument(
        "--suite",
        metavar="SUITE",
        choices=tuple(SUITES),
        help=f"one of {', '.join(SUITES)} (default: {recipient.DEFAULT_SUITE}; "
        f"with profile fips: {fips.DEFAULT_SUITE})",
    )


def _add_recipients(parser: Parser) -> None:
    changes = parser.add_subparsers(dest="change", metavar="COMMAND", required=True)
    changes.add_parser("list", description="show for whom the next epoch will be wrapped")
    new = changes.add_parser("new", description="make a key pair for someone who shall open")
    new.add_argument("name", metavar="NAME", help="1 to 32 of a-z, 0-9 and -")
    new.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder for NAME.key and NAME.pub"
    )
    new.add_argument(
        "--locked", action="store_true", help="lock it with a passphrase, shown once: for the safe"
    )
    _add_suite(new)
    unlock = changes.add_parser("unlock", description="open a locked key with its passphrase")
    unlock.add_argument("file", metavar="FILE", type=Path, help="the .locked file")
    unlock.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="key folder for recipient.key"
    )
    unlock.add_argument(
        "--passphrase-file", metavar="FILE", type=Path, help="read it there instead of asking"
    )
    add = changes.add_parser("add", description="let someone open from the current epoch on")
    add.add_argument("file", metavar="FILE", type=Path, help="their .pub file")
    add.add_argument("--history", action="store_true", help="let them open earlier epochs, too")
    remove = changes.add_parser("remove", description="begin an epoch that someone cannot open")
    remove.add_argument("name", metavar="NAME", help="as 'recipients list' shows it")
    add_yes(remove, "NAME")


def _new(args: argparse.Namespace, out: Out) -> int:
    directory = _directory(args)
    made = custody.create(directory, clock=time.time, suite=_suite(args))
    out.answer(
        _created(made, directory),
        f"made keys in {directory}, epoch {made.epoch}, key {made.id}\n"
        "keep a copy of this folder in a safe place: without it nothing opens again",
    )
    return 0


def _list(args: argparse.Namespace, out: Out) -> int:
    keys = DirectoryKeys(_directory(args))
    rows = [_facts(keys, one) for one in keys.capsules()]
    known = {row["key_id"] for row in rows}
    rows += [_left(one) for one in keys.endings() if one.key_id.hex() not in known]
    if not rows:
        raise keyfile.mistake(keys.directory, "holds no epoch", "nodectl keys new makes keys")
    out.table(sorted(rows, key=lambda row: -row["epoch"]), _EPOCHS)
    return 0


def _show(args: argparse.Namespace, out: Out) -> int:
    keys = DirectoryKeys(_directory(args))
    wanted = args.key_id or keys.epoch().key.key_id.hex()
    found = ending.find(keys.directory, wanted)
    if isinstance(found, Ending):
        out.answer(_left(found))
        return 0
    slots = [{"name": slot.name, "suite": slot.suite, "id": slot.recipient} for slot in found.slots]
    shown = [f"{slot['name']} ({slot['suite']} {slot['id']})" for slot in slots]
    facts = _facts(keys, found)
    facts["recipients"] = slots if out.json else shown
    out.answer(facts)
    return 0


def _mark(args: argparse.Namespace, out: Out) -> int:
    from node.mark.message import own

    keys = DirectoryKeys(_directory(args))
    key = keys.robust_key()
    if key is None:
        raise keyfile.mistake(keys.directory / ROBUST, "does not exist")
    word = own(key).word.hex()
    out.answer({"mark": word}, word)
    return 0


def _rotate(args: argparse.Namespace, out: Out) -> int:
    directory = _directory(args)
    made = custody.rotate(directory, clock=time.time)
    out.answer(
        _created(made, directory),
        f"began epoch {made.epoch}, key {made.id}\n"
        "copy the key folder to the safe place again, and start the node again to seal under it",
    )
    return 0


def _verify_backup(args: argparse.Namespace, out: Out) -> int:
    findings = custody.verify_backup(_directory(args), args.backup)
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


def _recipients(args: argparse.Namespace, out: Out) -> int:
    found = DirectoryKeys(_directory(args)).recipients()
    out.table([dict(one.fields()) for one in found], _RECIPIENTS)
    return 0


def _recipient_new(args: argparse.Namespace, out: Out) -> int:
    try:
        identity = recipient.generate(args.name, time.time(), _suite(args))
    except UnreadableError as error:
        raise UsageError(str(error)) from None
    passphrase = lock.make_passphrase(os.urandom) if args.locked else ""
    secret, public = custody.write_identity(
        args.out, identity, passphrase=passphrase, approved=_approved(args)
    )
    facts = {"id": identity.recipient.id, "identity": secret, "recipient": public}
    lines = [f"wrote {secret} ({_meaning(passphrase)}) and {public}"]
    if passphrase:
        facts["passphrase"] = passphrase
        lines += ["", f"passphrase: {passphrase}", "write it down now: it is shown once", ""]
    lines.append(f"next: nodectl keys recipients add {public}")
    out.answer({**facts, "result": "made"}, "\n".join(lines))
    return 0


def _recipient_unlock(args: argparse.Namespace, out: Out) -> int:
    identity = lock.unlock(args.file.read_bytes(), _passphrase(args.passphrase_file))
    path = custody.write_unlocked(args.out, identity)
    facts = {"name": identity.recipient.name, "id": identity.recipient.id, "identity": path}
    out.answer({**facts, "result": "unlocked"}, f"wrote {path} (secret: it opens)")
    return 0


def _recipient_add(args: argparse.Namespace, out: Out) -> int:
    added = _read_recipient(args.file)
    _allow(args, added.suite)
    changed = custody.add_recipient(_directory(args), added, history=args.history)
    epochs = [one.epoch for one in changed]
    out.answer(
        {"name": added.name, "id": added.id, "epochs": epochs, "result": "added"},
        f"{added.name} {added.id} opens epoch {', '.join(map(str, epochs))} and all later ones",
    )
    return 0


def _recipient_remove(args: argparse.Namespace, out: Out) -> int:
    directory = _directory(args)
    if args.name in {one.name for one in DirectoryKeys(directory).recipients()}:
        confirmed(args.name, args.yes, _REMOVAL, out)
    made = custody.remove_recipient(directory, args.name, clock=time.time)
    out.answer(
        {**_created(made, directory), "name": args.name, "result": "removed"},
        f"removed {args.name} and began epoch {made.epoch}, key {made.id}\n"
        "what was sealed before stays open to them: whoever had a key may have kept it\n"
        "start the node again to seal under the new key",
    )
    return 0


def _approved(args: argparse.Namespace) -> bool:
    """Return whether the configuration allows only what NIST approves."""
    return args.config is not None and configured(args).keys.profile == "fips"


def _suite(args: argparse.Namespace) -> str:
    default = fips.DEFAULT_SUITE if _approved(args) else recipient.DEFAULT_SUITE
    suite: str = args.suite or default
    _allow(args, suite)
    return suite


def _allow(args: argparse.Namespace, suite: str) -> None:
    if _approved(args) and not fips.allows(suite):
        raise UsageError(
            f"keys.profile fips does not allow {suite}",
            hint=f"choose {', '.join(fips.APPROVED)}",
        )


def _meaning(passphrase: str) -> str:
    return "opens with the passphrase below" if passphrase else "secret: it opens"


def _passphrase(path: Path | None) -> str:
    if path is not None:
        return path.read_text(encoding="utf-8", errors="replace")
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint="give --passphrase-file FILE")
    return getpass("passphrase: ")


def _read_recipient(path: Path) -> Recipient:
    try:
        return recipient.parse_recipient(path.read_bytes())
    except UnreadableError as error:
        raise UnreadableError(f"{path}: {error}", hint=error.hint) from None


def _created(made: Capsule, directory: Path) -> dict[str, Any]:
    return {
        "epoch": made.epoch,
        "key_id": made.id,
        "created": format_time(made.created),
        "directory": directory,
        "result": "made",
    }


def _facts(keys: DirectoryKeys, capsule: Capsule) -> dict[str, Any]:
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
        "opens": _opens(keys, capsule) if not (ended and ended.destroyed) else False,
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


def _opens(keys: DirectoryKeys, capsule: Capsule) -> bool | None:
    """Return whether the identity of this machine opens a capsule; None without one."""
    if not (keys.directory / IDENTITY).exists():
        return None
    return keys.unwrap(capsule, keys.identity()) is not None


def _directory(args: argparse.Namespace) -> Path:
    return args.keys or configured(args).node.keys

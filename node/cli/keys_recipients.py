"""``nodectl keys recipients``: who may open, and the keys that they open with."""

from __future__ import annotations

import os
import sys
import time
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.confirm import add_yes, confirmed
from node.cli.keys_options import (
    add_suite,
    allow,
    approved,
    created,
    directory_of,
    keys_of,
    suite_of,
    token,
)
from node.crypto import custody, lock, recipient
from node.crypto.keyring import DirectoryKeys
from node.crypto.token import SUITE
from node.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.crypto.base import Unwrapper
    from node.crypto.recipient import Recipient

_RECIPIENTS = {"name": "NAME", "suite": "SUITE", "id": "ID", "created": "CREATED"}
_REMOVAL = [
    "a new epoch begins, which they cannot open; what was sealed before stays open to them:",
    "whoever had a key may have kept it, and no tool can take it back",
]


def add_commands(parser: Parser) -> None:
    """Add the commands."""
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
    new.add_argument(
        "--token", action="store_true", help="make it in the token of [keys], where it stays"
    )
    add_suite(new)
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


def _recipients(args: argparse.Namespace, out: Out) -> int:
    found = DirectoryKeys(directory_of(args)).recipients()
    out.table([dict(one.fields()) for one in found], _RECIPIENTS)
    return 0


def _recipient_new(args: argparse.Namespace, out: Out) -> int:
    if args.token:
        return _token_new(args, out)
    try:
        identity = recipient.generate(args.name, time.time(), suite_of(args))
    except UnreadableError as error:
        raise UsageError(str(error)) from None
    passphrase = lock.make_passphrase(os.urandom) if args.locked else ""
    secret, public = custody.write_identity(
        args.out, identity, passphrase=passphrase, approved=approved(args)
    )
    facts = {"id": identity.recipient.id, "identity": secret, "recipient": public}
    lines = [f"wrote {secret} ({_meaning(passphrase)}) and {public}"]
    if passphrase:
        facts["passphrase"] = passphrase
        lines += ["", f"passphrase: {passphrase}", "write it down now: it is shown once", ""]
    lines.append(f"next: nodectl keys recipients add {public}")
    out.answer({**facts, "result": "made"}, "\n".join(lines))
    return 0


def _token_new(args: argparse.Namespace, out: Out) -> int:
    held = token(args)
    if held is None:
        raise UsageError("no token is configured", hint="[keys] pkcs11_module and token name one")
    if args.locked or args.suite not in (None, SUITE):
        raise UsageError(f"a token makes keys of {SUITE}, and keeps them: no --locked")
    try:
        made = held.generate(args.name, time.time())
    except UnreadableError as error:
        raise UsageError(str(error)) from None
    public = custody.write_recipient(args.out, made)
    out.answer(
        {"id": made.id, "identity": None, "recipient": public, "result": "made"},
        f"made key {made.name} in the token, and wrote {public}\n"
        f"next: nodectl keys recipients add {public}",
    )
    return 0


def _recipient_unlock(args: argparse.Namespace, out: Out) -> int:
    identity = lock.unlock(args.file.read_bytes(), _passphrase(args.passphrase_file))
    path = custody.write_unlocked(args.out, identity)
    facts = {"name": identity.recipient.name, "id": identity.recipient.id, "identity": path}
    out.answer({**facts, "result": "unlocked"}, f"wrote {path} (secret: it opens)")
    return 0


def _recipient_add(args: argparse.Namespace, out: Out) -> int:
    added = _read_recipient(args.file)
    allow(args, added.suite)
    changed = custody.add_recipient(
        directory_of(args), added, history=_opening(args) if args.history else None
    )
    epochs = [one.epoch for one in changed]
    out.answer(
        {"name": added.name, "id": added.id, "epochs": epochs, "result": "added"},
        f"{added.name} {added.id} opens epoch {', '.join(map(str, epochs))} and all later ones",
    )
    return 0


def _recipient_remove(args: argparse.Namespace, out: Out) -> int:
    directory = directory_of(args)
    if args.name in {one.name for one in DirectoryKeys(directory).recipients()}:
        confirmed(args.name, args.yes, _REMOVAL, out)
    made = custody.remove_recipient(directory, args.name, clock=time.time)
    out.answer(
        {**created(made, directory), "name": args.name, "result": "removed"},
        f"removed {args.name} and began epoch {made.epoch}, key {made.id}\n"
        "what was sealed before stays open to them: whoever had a key may have kept it\n"
        "start the node again to seal under the new key",
    )
    return 0


def _opening(args: argparse.Namespace) -> Callable[[], Unwrapper]:
    """Return what gives the identity that opens earlier epochs: a file's before a token's."""
    plain = DirectoryKeys(directory_of(args))
    return plain.identity if plain.may_open() else keys_of(args).unwrapper


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


COMMANDS = {
    "list": _recipients,
    "new": _recipient_new,
    "unlock": _recipient_unlock,
    "add": _recipient_add,
    "remove": _recipient_remove,
}

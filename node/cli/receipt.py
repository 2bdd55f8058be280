"""``nodectl receipt``: what the node signed about the objects that it sealed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.cli.trace import when
from node.errors import UnreadableError, UsageError
from node.types import RECEIPT

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.crypto.receipt import PublicKey, Receipt

NAME = "receipt"
HELP = "show and check the signed receipts of sealed objects"
EPILOG = """
Each object that the node seals gets a receipt in the audit log: digests of
the original and of the sealed object, times, and a signature. Whoever has the
site's public key can check it, without any key that opens a seal.

EXAMPLES
  nodectl --config /etc/sealnode receipt show 1.2.840.99.17 -o receipt.txt
  nodectl --config /etc/sealnode receipt key -o hospital.pub
  nodectl receipt check receipt.txt --key hospital.pub --object sealed.dcm
  nodectl receipt check receipt.txt --key hospital.pub --original image.dcm
  nodectl --config /etc/sealnode receipt key --new

EXIT STATUS
  0   here it is; for check: the signature is good, and the files are the same
  2   nothing is known of the object, or it has no receipt
  3   the keys are not as they should be
  4   a file is no receipt, no key or no object
  10  the receipt, or a file, is not the one that was signed
  12  the receipt is signed with a key that is not known here
"""
_DIFFERS = 10
_MAX_BYTES = 1 << 20  # of a key file


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    show = commands.add_parser("show", description="print the newest receipt of an object")
    show.add_argument("uid", metavar="UID", help="SOP Instance UID, as received or as sent")
    _add_output(show)
    check = commands.add_parser("check", description="check a receipt, and files against it")
    check.add_argument("file", metavar="FILE", type=Path, help="the receipt")
    check.add_argument(
        "--key",
        metavar="PUB",
        type=Path,
        action="append",
        default=[],
        help="public key of the site (default: those of the configuration)",
    )
    check.add_argument("--object", metavar="DCM", type=Path, help="is it the sealed object?")
    check.add_argument("--original", metavar="DCM", type=Path, help="is it the original?")
    key = commands.add_parser("key", description="print the public key, or make a new one")
    key.add_argument("--new", action="store_true", help="make one; earlier ones still check")
    key.add_argument(
        "--suite", choices=("ed25519", "p256"), default="ed25519", help="of the new key"
    )
    key.add_argument("--pem", action="store_true", help="in PEM, for other programs")
    _add_output(key)


def run(args: argparse.Namespace, out: Out) -> int:
    """Do what the command says."""
    return {"show": _show, "check": _check, "key": _key}[args.command](args, out)


def _add_output(parser: Parser) -> None:
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="write it there")


def _show(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.accounts.history import History
    from node.accounts.trace import trace

    config = configured(args)
    ledger = wiring.ledger(config)
    try:
        history = History(ledger, config.node.state / "audit")
        life = trace(args.uid, ledger, history, wiring.keys(config).pseudonymizer().pseudonym)
    finally:
        ledger.close()
    texts = [str(step.facts[RECEIPT]) for step in life.steps if RECEIPT in step.facts]
    if not texts:
        raise UsageError(
            "there is no receipt for this object",
            hint="it was not sealed, or without a receipt key: 'nodectl receipt key --new'",
        )
    _give(args, out, {"uid": args.uid, "receipt": texts[-1]}, texts[-1])
    return 0


def _check(args: argparse.Namespace, out: Out) -> int:
    from node import wiring
    from node.crypto import receipt
    from node.sealing.receipts import Digests, compare, digests

    said, key = receipt.check(args.file.read_bytes(), _known(args))
    found: dict[str, str] = {}
    signed = {
        "object": Digests(said.marked_header, said.marked_pixels),
        "original": Digests(said.original_header, said.original_pixels),
    }
    with wiring.codec() as codec:
        for name, expected in signed.items():
            path: Path | None = getattr(args, name)
            if path is not None:
                found[name] = compare(expected, digests(path.read_bytes(), said.carrier, codec))
    shown = _shown(said)
    facts: dict[str, Any] = {"file": args.file, "result": "signed", "signer": key.id}
    facts |= {"suite": key.suite} | found | {"receipt": shown}
    lines = [f"{args.file}: signed, {key.suite} key {key.id}"]
    lines += [f"  {name.replace('_', ' ')}: {value}" for name, value in shown.items()]
    lines += [f"{getattr(args, name)}: {words} as signed" if words != "other" else
              f"{getattr(args, name)}: other than what was signed"
              for name, words in found.items()]  # fmt: skip
    out.answer(facts, "\n".join(lines))
    return 0 if all(words == "same" for words in found.values()) else _DIFFERS


def _key(args: argparse.Namespace, out: Out) -> int:
    from node.cli.keys_audit import audited
    from node.crypto import custody
    from node.crypto.keyfile import mistake
    from node.crypto.keyring import RECEIPT as FILE
    from node.crypto.keyring import DirectoryKeys

    directory = configured(args).node.keys
    if args.new:
        with audited(args, out, "receipt key --new"):
            key = custody.renew_receipt_key(directory, args.suite, clock=time.time).public
        out.note("start the node again to sign with it; keep a copy of the key folder")
    else:
        known = DirectoryKeys(directory).receipt_keys()
        if not known:
            raise mistake(directory / FILE, "does not exist", "nodectl receipt key --new makes one")
        key = max(known, key=lambda one: one.created)
    text = (key.pem() if args.pem else key.render()).decode("ascii")
    _give(args, out, {"signer": key.id, "suite": key.suite, "public": text}, text)
    return 0


def _give(args: argparse.Namespace, out: Out, facts: dict[str, Any], text: str) -> None:
    if args.output is None:
        out.answer(facts, text.removesuffix("\n"))
        return
    descriptor = os.open(args.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    out.answer(facts | {"written": args.output}, f"wrote {args.output}")


def _known(args: argparse.Namespace) -> list[PublicKey]:
    from node import wiring
    from node.crypto.receipt import parse_public

    if not args.key:
        return list(wiring.keys(configured(args)).receipt_keys())
    found = []
    for path in args.key:
        try:
            found.append(parse_public(path.read_bytes()[: _MAX_BYTES + 1]))
        except UnreadableError as error:
            raise UnreadableError(f"{path}: {error}", hint=error.hint) from None
    return found


def _shown(said: Receipt) -> dict[str, str]:
    return {
        "object": said.object,
        "sent_object": said.sent_object,
        "route": said.route,
        "received": when(said.received),
        "sealed": when(said.sealed),
        "software": said.software,
        "key": said.key,
        "carrier": said.carrier,
    }

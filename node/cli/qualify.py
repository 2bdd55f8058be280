"""``nodectl qualify``: find out what a PACS makes of sealed objects."""

from __future__ import annotations

import os
import pwd
import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.config.values import nearest
from node.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.operating.qualify import Qualification
    from node.types import Destination

NAME = "qualify"
HELP = "find out what a PACS makes of sealed objects"
EPILOG = """
Sends generated test objects, of no patient and labelled so, one for each
modality and for each transfer syntax that the node can send, sealed as the
routes to the PACS say; reads them back and judges them. It passes if a sealed
image and everything else that it takes comes back and restores exactly. What
it refuses is listed. The objects STAY in the PACS, as patient
SEALNODE-QUALIFY: the node deletes nothing there.

The result is kept. Where a [destination.*] says qualified = "required",
deliveries wait until it has passed, or until --accept says why it need not;
that is in the audit log. Another AE title, host, port or URL is another PACS.

EXAMPLES
  nodectl --config /etc/sealnode qualify pacs-main
  nodectl --config /etc/sealnode qualify pacs-main --show --json
  nodectl --config /etc/sealnode qualify pacs-main --accept "cannot query it"

EXIT STATUS
  0   it passed, or was accepted
  2   there is no such destination, or nothing is known of it
  3   the configuration or a key has mistakes
  4   what is kept cannot be read
  10  it did not pass
  75  it did not answer
"""
FAILED_STATUS = 10
MAX_REASON = 200  # characters
COLUMNS = {
    "name": "OBJECT",
    "syntax": "TRANSFER SYNTAX",
    "carrier": "SEAL IN",
    "result": "RESULT",
    "verdict": "VERDICT",
    "robust": "ROBUST",
    "more": "MORE",
}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("destination", metavar="DEST", help="name of a [destination.*] table")
    parser.add_argument("--accept", metavar="TEXT", help="let it be used without; says why")
    parser.add_argument("--show", action="store_true", help="show what is known; send nothing")


def run(args: argparse.Namespace, out: Out) -> int:
    """Send, read back, judge; or accept, or show."""
    config = configured(args)
    peer = config.destinations.get(args.destination)
    if peer is None:
        close = nearest(args.destination, config.destinations)
        raise UsageError(f'there is no destination "{args.destination}"{close}')
    if args.show and args.accept is not None:
        raise UsageError("--show changes nothing and --accept does: choose one")
    if args.show:
        known = _known(config, peer)
    else:
        known = _run(config, peer, out) if args.accept is None else _accepted(args.accept, peer)
        _note(config, peer, known)
    _report(peer, known, out)
    return FAILED_STATUS if known.result != "passed" and not known.accepted else 0


def _known(config: Config, peer: Destination) -> Qualification:
    from node import wiring

    known = wiring.register(config).get(peer)
    if known is None:
        raise UsageError(f"{peer.name} was never qualified as it is configured now")
    return known


def _accepted(reason: str, peer: Destination) -> Qualification:
    from node.operating.qualify import Qualification, place_of

    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise UsageError(f"the reason must have 1 to {MAX_REASON} printable characters")
    return Qualification(time.time(), place_of(peer), "", (), reason.strip(), _actor())


def _run(config: Config, peer: Destination, out: Out) -> Qualification:
    from node import proxy, wiring
    from node.dicom.phantom import phantoms
    from node.operating.qualify import Qualification, place_of, result_of

    cases = []
    with wiring.codec() as codec:
        made = list(phantoms(uuid.uuid4().hex, codec))
        qualifier = proxy.qualifier(config, peer, codec)
        try:
            with out.progress(len(made), "qualifying") as step:
                for case in qualifier.run(made):
                    cases.append(case)
                    step()
        finally:
            qualifier.sender.close()
    return Qualification(
        time.time(), place_of(peer), result_of(cases), tuple(cases), actor=_actor()
    )


def _note(config: Config, peer: Destination, known: Qualification) -> None:
    from node import wiring

    ledger = wiring.ledger(config)
    try:
        wiring.register(config).note(peer, known, ledger)
    finally:
        ledger.close()


def _report(peer: Destination, known: Qualification, out: Out) -> None:
    from node.cli.trace import when
    from node.dicom.phantom import syntax_name

    if out.json:
        out.answer({"destination": peer.name, "time": when(known.at), **asdict(known)})
        return
    if known.accepted:
        out.answer({}, f"{peer.name} accepted without a pass by {known.actor}: {known.accepted}")
        return
    rows: list[dict[str, Any]] = []
    for case in known.cases:
        more = [f"came back as {syntax_name(case.came_as)}"] if case.came_as else []
        more += [f"changed: {', '.join(case.coerced)}"] if case.coerced else []
        more += [case.reason] if case.reason else []
        syntax = syntax_name(case.transfer_syntax)
        rows.append(asdict(case) | {"syntax": syntax, "more": "; ".join(more)})
    out.table(rows, COLUMNS)
    out.answer({}, f"\n{peer.name} {known.result} on {when(known.at)}")
    out.note("the test objects stay in the PACS, as patient SEALNODE-QUALIFY")


def _actor() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name

"""``nodectl echo``: whether a destination answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.config.values import nearest
from node.errors import UnreachableError, UsageError
from node.types import Delivered

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "echo"
HELP = "ask a destination for a C-ECHO"
EPILOG = """
A destination with a url is asked for a study that does not exist instead.

EXAMPLES
  nodectl --config /etc/sealnode echo pacs-main

EXIT STATUS
  0   it answered with success
  2   there is no such destination
  75  it did not answer, or not with success
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("destination", metavar="DEST", help="name of a [destination.*] table")


def run(args: argparse.Namespace, out: Out) -> int:
    """Send one C-ECHO, or what stands for it."""
    config = configured(args)
    peer = config.destinations.get(args.destination)
    if peer is None:
        close = nearest(args.destination, config.destinations)
        raise UsageError(f'there is no destination "{args.destination}"{close}')
    from node import wiring

    outcome = wiring.echo(config)(peer)
    if not isinstance(outcome, Delivered):
        raise UnreachableError(
            f"{peer.name}: {outcome.reason}",
            hint="is that its address, and its token or password?"
            if peer.url
            else f"is {peer.aet} listening on {peer.host} port {peer.port}?",
        )
    facts = {"destination": peer.name, "aet": peer.aet, "result": "answered"}
    if peer.url:
        facts["url"] = peer.url
    out.answer(facts, f"{peer.name} ({peer.words}) answers")
    return 0

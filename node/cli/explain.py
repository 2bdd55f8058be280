"""``nodectl explain``: which route an object would take, and why not the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.config.check import suppose
from node.config.values import nearest
from node.errors import UnreadableError, UnsealableError, UsageError
from node.routing import decide
from node.types import Action, Unsealable

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.dicom.reader import DicomObject
    from node.types import Decision, Instance, Peer

NAME = "explain"
HELP = "show which route an object would take, and why"
EPILOG = """
Runs the very decision that the node makes when an object arrives, and prints
every route that was tried. Without --source the object is taken to come from
nowhere in particular, so that routes which ask for a source do not match.

EXAMPLES
  nodectl --config /etc/sealnode explain image.dcm --source ct1
  nodectl --config /etc/sealnode explain image.dcm --source ct1 --json

EXIT STATUS
  0   a decision was made, whatever it is
  3   the configuration has mistakes
  4   the file is no DICOM object
"""
INSTEAD = {
    Unsealable.HOLD: "it is held until a person decides",
    Unsealable.RELAY: "it is sent on unprotected",
    Unsealable.REFUSE: "it is refused",
    Unsealable.HEADER: "the sealed record rides in its header",
}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a DICOM file")
    parser.add_argument("--source", metavar="NAME", default="", help="the source that sends it")
    parser.add_argument("--calling-aet", metavar="AET", help="the AE title that sends it")
    parser.add_argument("--called-aet", metavar="AET", help="the AE title that it is sent to")
    parser.add_argument("--address", metavar="IP", help="the address that it is sent from")


def run(args: argparse.Namespace, out: Out) -> int:
    """Print the decision with its trace."""
    from node.dicom import reader

    config = configured(args)
    peer = _peer(args, config)
    data = args.file.read_bytes()
    try:
        found = reader.read(data)
        instance = reader.describe(found, "", len(data), peer, 0.0)
    except UnreadableError as error:
        raise UnreadableError(f"{args.file}: {error}", code=error.code) from error
    decision = decide(config.routes, instance)
    obstacle = _obstacle(found, decision.route.lossy if decision.route else "refuse")
    out.answer(_facts(decision, instance, obstacle), _text(decision, obstacle))
    return 0


def _peer(args: argparse.Namespace, config: Config) -> Peer:
    if args.source and args.source not in config.sources:
        close = nearest(args.source, config.sources)
        raise UsageError(f'there is no source "{args.source}"{close}')
    given = {"source": args.source, "calling_aet": args.calling_aet}
    given |= {"called_aet": args.called_aet, "address": args.address}
    return suppose(config, {key: (value,) for key, value in given.items() if value}).peer


def _obstacle(found: DicomObject, lossy: str) -> str:
    """Return why the pixels cannot be sealed without loss, or ``""``."""
    from node import wiring
    from node.dicom import pixels

    with wiring.codec() as codec:
        try:
            pixels.load(found, codec, lossy=lossy)
        except UnsealableError as error:
            return str(error)
    return ""


def _facts(decision: Decision, instance: Instance, obstacle: str) -> dict[str, object]:
    route = decision.route
    return {
        "route": route.name if route else None,
        "action": decision.action,
        "to": route.to if route else (),
        "sealable": not obstacle,
        "reason": obstacle,
        "attributes": instance.attributes,
        "tried": decision.trace,
    }


def _text(decision: Decision, obstacle: str) -> str:
    lines = [
        f"{'->' if tried.matched else '  '} {tried.route}: {tried.reason}"
        for tried in decision.trace
    ]
    route = decision.route
    if route is None:
        lines.append("no route matches: it would be held until a person decides")
        return "\n".join(lines)
    where = f", to {', '.join(route.to)}" if route.to else ""
    if route.threshold:
        where = f", in {len(route.to)} shares, {route.threshold} of which give it back{where}"
    lines.append(f"{decision.action.value}, by route {route.name}{where}")
    if not obstacle:
        lines.append("its pixels can be marked without loss")
    elif decision.action is Action.SEAL:
        lines.append(f"its pixels cannot be marked ({obstacle}): {INSTEAD[route.unsealable]}")
    else:
        lines.append(f"its pixels cannot be marked ({obstacle})")
    return "\n".join(lines)

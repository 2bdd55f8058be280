"""``nodectl seal``: mark files without a network."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli import methods
from node.cli.arguments import configured
from node.cli.objects import Score, Target, named
from node.cli.verify import numbers
from node.config.values import nearest
from node.errors import SealnodeError, UsageError
from node.mark.classical import NAMES
from node.types import Action, Route

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.sealing.order import Marked

NAME = "seal"
HELP = "seal files: encrypt the patient's data into the pixels, reversibly"
EPILOG = """
Writes a marked object for each file. Before it is written, the original is
restored from it and compared; a file that does not pass is not written. The
preamble and meta information of a file come back with it.

EXAMPLES
  nodectl --config /etc/sealnode seal image.dcm -o sealed.dcm
  nodectl --config /etc/sealnode seal study/ -o sealed/ --json
  nodectl --config /etc/sealnode seal report.dcm -o sealed.dcm --carrier header
  nodectl --config /etc/sealnode seal image.dcm -o copy.dcm --recipient 1042
  nodectl --config /etc/sealnode seal study/ -o out/ --identity pseudonym
  nodectl --config /etc/sealnode seal image.dcm -o sealed.dcm --embedder fine
  nodectl --config /etc/sealnode seal image.dcm -o t.dcm --embedder dct

--embedder fine seals as ever, by the reversible mark that changes least
(tiles-2), over each image as one tile. The price is that any edit destroys
the payload and has no place.

Any other --embedder is a classical method for comparison: lsb, dct, dft or
dwt-svd. NONE OF THESE IS REVERSIBLE: THE ORIGINAL CANNOT BE RESTORED FROM
SUCH A FILE. It is a derived image with a UID of its own; no route ever makes
one. What is proved is that the payload reads back. See docs/embedders.md.

EXIT STATUS
  0   every file was sealed; else the status of the first that was not:
  3   the configuration has mistakes
  4   it cannot be read
  13  its pixels cannot carry the payload
  14  it cannot be sealed without loss, or is sealed already
"""

_NO_ROUTE = Route("", {}, Action.SEAL)


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="files or folders")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file or folder to write"
    )
    parser.add_argument(
        "--route", metavar="NAME", default="", help="take the logo and rules of this route"
    )
    parser.add_argument(
        "--carrier",
        metavar="WHERE",
        choices=("pixels", "header", "auto"),
        default="pixels",
        help="pixels, header, or auto: the header where the pixels cannot (default: pixels)",
    )
    parser.add_argument(
        "--identity",
        choices=("keep", "pseudonym"),
        help="who the sealed object is about: keep that, or a pseudonym (default: as the route)",
    )
    parser.add_argument(
        "--profile", metavar="NAME", default="", help="what stays with pseudonyms: a [profile.NAME]"
    )
    parser.add_argument(
        "--recipient",
        metavar="N",
        type=int,
        help="add the robust mark, naming whoever gets the files by this number",
    )
    methods.add_embedder(
        parser,
        "fine: change least, over one tile; lsb, dct, dft, dwt-svd: for comparison, NOT REVERSIBLE",
        (methods.FINE, *NAMES),
    )
    parser.add_argument(
        "--payload",
        metavar="FILE",
        type=Path,
        help="with a classical --embedder: carry these bytes instead of the patient's record",
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Seal each file and say what became of it."""
    from node import wiring
    from node.sealing.copies import bitmap_of
    from node.sealing.order import Order

    config = configured(args)
    route = _route(args.route, config)
    fine = args.embedder == methods.FINE
    if args.embedder and not fine:
        if args.identity == "pseudonym":
            raise UsageError("--embedder keeps the patient's identity; it has no pseudonyms")
        return _by_method(args, config, route, out)
    if args.payload:
        raise UsageError("--payload needs a classical --embedder")
    _check_profile(args.profile, config)
    logo = wiring.logo(route.logo) if route else b""
    robust = wiring.copies(config).message(_to(route, args.recipient)) if route else b""
    pseudonyms = wiring.pseudonyms(config, _about(route or _NO_ROUTE, args))
    signatory = wiring.signatory(config, route.sign) if route else None
    attachments = wiring.attachments(config)
    files = named(args.files)
    target, score = Target(args.output, args.files), Score()
    with wiring.codec() as codec, out.progress(len(files), "sealing") as step:
        marker = wiring.marker(config, codec, fine=fine)
        for file in files:
            place = target.place(file)
            data = file.path.read_bytes()
            order = Order(
                received_at=time.time(),
                logo=logo,
                lossy=route.lossy if route else "refuse",
                carrier=args.carrier,
                keep_file=True,
                robust=robust,
                pseudonyms=pseudonyms,
                recovery=route is not None and route.recovery,
                visible=route.visible if route else "",
                bitmap=bitmap_of(route, logo),
                signatory=signatory,
                attachments=attachments(route, data) if route else None,
            )
            try:
                made = marker.mark(data, order)
            except SealnodeError as error:
                score.count(error.exit_code)
                _failed(out, file.path, error)
            else:
                place.write_bytes(made.data)
                facts: dict[str, Any] = {
                    "file": file.path,
                    "result": "sealed",
                    "reason": "",
                    "output": place,
                    "carrier": made.carrier,
                    "key_id": made.key_id,
                    "payload_bytes": made.payload_bytes,
                    "robust": made.robust,
                    "recovery_bytes": made.recovery_bytes,
                    "bitmap": made.bitmap,
                    "margin": made.margin,
                    "attachments": made.attachments,
                    "signed": signatory is not None,
                    "signatures": [str(one) for one in made.signatures],
                }
                text = f"{file.path}: sealed in the {made.carrier}, {made.payload_bytes} bytes"
                if robust:
                    text += ", with the robust mark" if made.robust else ", no robust mark fits"
                    text += " and bitmap" if made.bitmap else ""
                text += ", signed" if signatory else ""
                if made.quality:
                    facts |= numbers(made.quality)
                out.answer(facts, text + _cost(made))
            step()
    return score.status


def _cost(made: Marked) -> str:
    """Return what it came with and what marking cost, to stand at the end of a line."""
    text = f", {made.attachments} attachments" if made.attachments else ""
    if made.signatures:
        text += f", came signed: {'; '.join(map(str, made.signatures))}"
    if made.quality:
        text += f", {made.quality.psnr_stored:.1f} dB, ±{made.quality.max_change}"
    return text


def _by_method(args: argparse.Namespace, config: Config, route: Route | None, out: Out) -> int:
    if args.recipient is not None or args.carrier != "pixels":
        raise UsageError("--embedder goes with neither --recipient nor --carrier")
    return methods.seal(
        named(args.files),
        Target(args.output, args.files),
        config,
        out,
        name=args.embedder,
        cargo=args.payload.read_bytes() if args.payload else None,
        lossy=route.lossy if route else "refuse",
    )


def _route(name: str, config: Config) -> Any:
    if name:
        for route in config.routes:
            if route.name == name:
                return route
        raise UsageError(f'there is no route "{name}"')
    sealing = [route for route in config.routes if route.action.value == "seal"]
    return sealing[0] if sealing else None


def _check_profile(name: str, config: Config) -> None:
    if name and name not in config.profiles:
        raise UsageError(f'there is no profile "{name}"{nearest(name, config.profiles)}')


def _to(route: Route, recipient: int | None) -> Route:
    """Return the route with a robust mark for one recipient, if one is named."""
    if recipient is None:
        return route
    if not 0 <= recipient < 1 << 32:
        raise UsageError("--recipient: must be from 0 to 4294967295")
    return replace(route, robust=route.robust or "id", recipient=recipient)


def _about(route: Route, args: argparse.Namespace) -> Route:
    """Return the route with the identity and the profile that the command line names."""
    if args.profile:
        route = replace(route, profile=args.profile)
    if args.identity:
        uid = "derive" if args.identity == "pseudonym" else "keep"
        route = replace(route, identity=args.identity, uid=uid)
    return route


def _failed(out: Out, path: Path, error: SealnodeError) -> None:
    facts = {"file": path, "result": "not sealed", "code": error.code, "reason": str(error)}
    out.answer(facts, f"{path}: not sealed: {error}")

"""``nodectl init``: a configuration that is ready to run."""

from __future__ import annotations

import io
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.config import describe
from node.config.check import approve, warnings
from node.config.load import load
from node.config.values import MistakeError, ae_title, host, integer, name, network
from node.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "init"
HELP = "write a ready configuration, with keys and a logo"
EPILOG = """
Writes node.toml, routes.d/10-default.toml, logo.png, new keys and an empty
state folder into DIR. The node listens on the loopback interface alone until
--host or node.toml says otherwise. Without --source, one source is listed:
DEMO, from this machine. Nothing that is there already is written over unless
--force is given; keys never are, since what they sealed opens with no others.

EXAMPLES
  nodectl init demo
  nodectl init /etc/sealnode --host 0.0.0.0 --pacs PACS1@pacs.example.org:104 \\
      --source ct1=CT1@10.0.1.0/24 --source mr1=MR1@10.0.2.17

EXIT STATUS
  0   written
  2   an argument makes no sense
  3   DIR holds a configuration already
"""
PACS = "pacs-main"
LOGO = "logo.png"
LOGO_SIDE = 48  # pixels
_PACS = re.compile(r"(?P<aet>[^@]+)@(?P<host>.+):(?P<port>\d+)")
_SOURCE = re.compile(r"(?P<name>[^=]+)=(?P<aet>[^@]+)@(?P<address>.+)")


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="where to; made if absent")
    parser.add_argument("--aet", metavar="AET", help="the node's AE title (default: SEALNODE)")
    parser.add_argument("--host", metavar="HOST", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", metavar="N", help="port to listen on (default: 11112)")
    parser.add_argument(
        "--pacs",
        metavar="AET@HOST:PORT",
        help="where sealed objects go (default: PACS@127.0.0.1:4242)",
    )
    parser.add_argument(
        "--source",
        metavar="NAME=AET@CIDR",
        action="append",
        default=[],
        help="a modality that may send; may be given several times",
    )
    parser.add_argument("--force", action="store_true", help="write over what is there, but keys")


def run(args: argparse.Namespace, out: Out) -> int:
    """Write everything, and check what was written."""
    from node.crypto import custody

    directory: Path = args.directory.absolute()
    files = _texts(args)
    _refuse_to_overwrite(directory, [*files, LOGO], force=args.force)
    directory.parent.mkdir(parents=True, exist_ok=True)
    for folder in (directory, directory / "routes.d"):
        folder.mkdir(mode=0o755, exist_ok=True)
    for relative, text in files.items():
        _write(directory / relative, text.encode())
    _write(directory / LOGO, draw_logo())
    config = load(directory)
    approve(config)
    for folder in (config.node.state, config.node.state / "audit"):
        folder.mkdir(mode=0o700, exist_ok=True)
    new_keys = not config.node.keys.exists()
    if new_keys:
        custody.create(config.node.keys, clock=time.time)
    written = [*files, LOGO, *(["keys/"] if new_keys else []), "state/"]
    peer = config.destinations[PACS]
    lines = [f"wrote {directory / relative}" for relative in written]
    lines += [
        "",
        f"the node will answer as {config.node.aet} on {config.node.host} port {config.node.port},",
        f"and send sealed objects to {peer.words}",
        "",
        "next:",
        f"  keep a copy of {config.node.keys} in a safe place: without it nothing opens again",
        f"  nodectl --config {args.directory} check",
        f"  nodectl --config {args.directory} serve",
    ]
    for line in warnings(config):
        out.warning(line)
    out.answer({"directory": directory, "written": written, "result": "written"}, "\n".join(lines))
    return 0


def _texts(args: argparse.Namespace) -> dict[str, str]:
    node = {}
    for key, read in (("aet", ae_title), ("host", host)):
        if getattr(args, key) is not None:
            node[key] = _checked(f"--{key}", read, getattr(args, key))
    if args.port is not None:
        node["port"] = _port("--port", args.port)
    sources = dict(_source(word) for word in args.source) or {"demo": describe.DEMO_SOURCE}
    pacs = _pacs(args.pacs) if args.pacs else describe.DEMO_DESTINATION
    route, test = describe.default_route(list(sources), PACS)
    route["logo"] = LOGO
    return {
        "node.toml": describe.node_toml(node, sources, {PACS: pacs}),
        "routes.d/10-default.toml": describe.routes_toml(route, test),
    }


def _pacs(word: str) -> dict[str, Any]:
    found = _PACS.fullmatch(word)
    if not found:
        raise UsageError("--pacs: must be AET@HOST:PORT, such as PACS1@pacs.example.org:104")
    return {
        "aet": _checked("--pacs", ae_title, found["aet"]),
        "host": _checked("--pacs", host, found["host"].strip("[]")),
        "port": _port("--pacs", found["port"]),
    }


def _source(word: str) -> tuple[str, dict[str, Any]]:
    found = _SOURCE.fullmatch(word)
    if not found:
        raise UsageError("--source: must be NAME=AET@CIDR, such as ct1=CT1@10.0.1.0/24")
    own: str = _checked("--source", name, found["name"])
    title = _checked("--source", ae_title, found["aet"])
    return own, {"aet": title, "addresses": [_checked("--source", network, found["address"])]}


def _port(option: str, word: str) -> int:
    read = integer(1, 65535)
    return int(_checked(option, read, int(word) if word.isdecimal() else word))


def _checked(option: str, read: Any, value: object) -> Any:
    try:
        return read(value)
    except MistakeError as error:
        raise UsageError(f"{option}: {error}") from error


def _refuse_to_overwrite(directory: Path, files: list[str], *, force: bool) -> None:
    there = [relative for relative in files if (directory / relative).exists()]
    if there and not force:
        raise ConfigError(
            [f"{relative}: is there already in {directory}" for relative in there],
            hint="--force writes over it; keys are kept in any case",
        )


def _write(path: Path, data: bytes) -> None:
    # never writable by everyone, whatever the umask: the loader refuses such a file
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def draw_logo() -> bytes:
    """Return a PNG of a cross in a frame: straight edges, which pack small."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (LOGO_SIDE, LOGO_SIDE), 255)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 47, 47), outline=0, width=3)
    pen.rectangle((19, 8, 28, 39), fill=0)
    pen.rectangle((8, 19, 39, 28), fill=0)
    stream = io.BytesIO()
    picture.convert("1").save(stream, format="PNG")
    return stream.getvalue()

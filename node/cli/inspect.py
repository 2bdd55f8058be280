"""``nodectl inspect``: what an object is and what it carries, without any key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.objects import Score, named
from node.errors import UnreadableError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "inspect"
HELP = "show what an object is, whether it is sealed, and how much it could carry"
EPILOG = """
Needs neither a key nor a configuration, and prints nothing about the patient.
Whether a seal is genuine is for nodectl verify to say.

EXAMPLES
  nodectl inspect image.dcm
  nodectl inspect study/ --json

EXIT STATUS
  0   every file was read
  4   one of them is no DICOM object
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="files or folders")


def run(args: argparse.Namespace, out: Out) -> int:
    """Print the facts of each file."""
    from node import wiring

    score = Score()
    files = named(args.files)
    with wiring.codec() as codec, out.progress(len(files), "inspecting") as step:
        for file in files:
            try:
                facts: dict[str, Any] = {"file": file.path} | wiring.inspect(
                    file.path.read_bytes(), codec
                )
            except UnreadableError as error:
                score.count(error.exit_code)
                facts = {"file": file.path, "result": "unreadable", "reason": str(error)}
            out.answer(facts)
            if not out.json and len(files) > 1:
                out.answer({}, "")
            step()
    return score.status

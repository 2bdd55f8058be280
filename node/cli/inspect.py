"""``nodectl inspect``: what an object is and what it carries, without any key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.objects import Score, named
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.dicom.pixels import Codec

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
                facts = {"file": file.path} | inspected(file.path.read_bytes(), codec)
            except UnreadableError as error:
                score.count(error.exit_code)
                facts = {"file": file.path, "result": "unreadable", "reason": str(error)}
            out.answer(facts)
            if not out.json and len(files) > 1:
                out.answer({}, "")
            step()
    return score.status


def inspected(data: bytes, codec: Codec) -> dict[str, Any]:
    """Return what an object is and could carry; nothing about the patient.

    :raises UnreadableError: it is no DICOM object.
    """
    from node.dicom import marked, pixels, reader
    from node.wiring import embedder

    obj = reader.read(data)
    hint = (marked.private_value(obj, marked.KEY_HINT) or b"").strip(b" \0")
    in_header = marked.private_value(obj, marked.SEALED_RECORD) is not None
    sealed = marked.is_marked(obj)
    facts: dict[str, Any] = {
        "sop_class": obj.text("SOPClassUID"),
        "transfer_syntax": obj.transfer_syntax_uid,
        "modality": obj.text("Modality"),
        "sealed": sealed,
        "carrier": ("header" if in_header else "pixels") if sealed else "",
        "key_id": hint.decode("ascii", "replace"),
        "capacity": 0,
        "reason": "",
    }
    try:
        loaded = pixels.load(obj, codec)
    except UnsealableError as error:
        return facts | {"reason": f"{error} ({error.code})"}
    shape = loaded.facts
    return facts | {
        "pixels": f"{shape.frames}x{shape.rows}x{shape.columns}",
        "bits_stored": shape.bits_stored,
        "capacity": embedder().capacity(loaded.carrier),
    }

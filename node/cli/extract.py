"""``nodectl extract``: read the sealed record, for those who hold the key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.cli.objects import Score, Target, add_source, sources
from node.cli.verify import EXIT

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "extract"
HELP = "read the patient's data and the logo out of sealed objects"
EPILOG = """
What is printed is patient data: mind where it goes.

EXAMPLES
  nodectl --config /etc/sealnode extract sealed.dcm
  nodectl --config /etc/sealnode extract sealed.dcm --json
  nodectl --config /etc/sealnode extract sealed.dcm --logo logo.png

EXIT STATUS
  0   every record was read; else as nodectl verify
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    add_source(parser)
    parser.add_argument(
        "--logo", metavar="PNG", type=Path, help="write the logo; a folder for several objects"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Print each record."""
    from node import wiring
    from node.dicom import identity
    from node.mark import logo

    config = configured(args)
    score = Score()
    with sources(args, config, out) as files, wiring.codec() as codec:
        examiner = wiring.examiner(config, codec)
        logos = Target(args.logo, args.files or [f.path for f in files]) if args.logo else None
        for file in files:
            found = examiner.examine(file.path.read_bytes())
            facts = {
                "file": file.path,
                "verdict": found.verdict.kind,
                "reason": found.verdict.reason,
            }
            if found.record is None:
                score.count(EXIT[found.verdict.kind])
                out.answer(facts, f"{file.path}: {found.verdict.kind.value}: no record can be read")
                continue
            attributes = dict(identity.readable(found.record.attributes))
            lines = [f"  {keyword}: {value}" for keyword, value in attributes.items()]
            if logos and found.record.logo:
                place = logos.place(file, "" if len(files) == 1 else ".png")
                place.write_bytes(logo.unpack(found.record.logo))
                facts["logo"] = place
            facts |= {
                "result": "extracted",
                "key_id": found.verdict.key_id,
                "attributes": attributes,
            }
            out.answer(facts, "\n".join([f"{file.path}: {found.verdict.kind.value}", *lines]))
    return score.status

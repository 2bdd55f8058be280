"""``nodectl restore``: give the original back, bit for bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.cli.objects import Score, Target, add_source, sources
from node.cli.reveals import reveals
from node.cli.verify import EXIT, findings, told
from node.types import VerdictKind

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "restore"
HELP = "write the originals of sealed objects, bit for bit"
EPILOG = """
Writes an original only where it is proved to be what was sealed. With
--partial the best that can be had is written, too: intact tiles of a changed
image are the original, changed ones are as found. The audit log is told of
each original before it is written.

With --approximate, changed regions are filled from the coarse copy that was
sealed into the image (recovery = true in its route). That shows about what was
there and is NOT the original: such a file has a SOP Instance UID of its own,
its header says APPROXIMATE, NOT FOR DIAGNOSIS, and it cannot be sealed.

EXAMPLES
  nodectl --config /etc/sealnode restore sealed.dcm -o original.dcm
  nodectl --config /etc/sealnode restore sealed/ -o originals/
  nodectl --config /etc/sealnode restore changed.dcm -o look.dcm --approximate
  nodectl --config /etc/sealnode restore --from pacs-main --study 1.2.3 -o out/

EXIT STATUS
  0   every original was written; else as nodectl verify
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    add_source(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file or folder to write"
    )
    parser.add_argument(
        "--partial", action="store_true", help="write what is left of changed objects as well"
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="write changed objects with the changed regions as a coarse copy shows them",
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Restore each object and say what became of it."""
    from node import wiring
    from node.sealing.recovery import approximation

    config = configured(args)
    score = Score()
    with (
        sources(args, config, out) as files,
        wiring.codec() as codec,
        reveals(config) as telling,
    ):
        if args.destination and not files:
            score.count(EXIT[VerdictKind.UNMARKED])
        examiner = wiring.examiner(config, codec, everywhere=True)
        single = args.files or [file.path for file in files]
        target = Target(args.output, single)
        with out.progress(len(files), "restoring") as step:
            for file in files:
                found = examiner.examine(file.path.read_bytes())
                facts = findings(file.path, found)
                text = told(facts)
                rough = approximation(found, time.time()) if args.approximate else None
                if rough is not None:
                    place = target.place(file)
                    place.write_bytes(rough)
                    facts["approximation"] = place
                    text += f"\n  written: {place} (APPROXIMATE, NOT FOR DIAGNOSIS)"
                    out.complain(
                        f"{place}: APPROXIMATE: changed regions come from a coarse copy",
                        hint="for a look at what was there; never a substitute for the original",
                    )
                elif found.restored is not None and (found.exact or args.partial):
                    place = target.place(file)
                    restored = found.restored
                    telling.tell("original_restored", restored, found.verdict, found.record)
                    place.write_bytes(restored)
                    facts["restored"] = place
                    text += f"\n  written: {place}" + ("" if found.exact else " (not the original)")
                score.count(0 if found.exact else EXIT[found.verdict.kind])
                out.answer(facts, text)
                step()
    return score.status

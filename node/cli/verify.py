"""``nodectl verify``: what is true of objects, in words, with evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli import methods
from node.cli.arguments import configured
from node.cli.objects import Score, Target, add_source, sources
from node.types import VerdictKind

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.types import Quality, Region
    from node.verify import Examination

NAME = "verify"
HELP = "prove that objects are untouched, or show where they were changed"
EPILOG = """
The verdict is one of INTACT, HEADER_COERCED, TAMPERED, LOSSY, UNMARKED,
NOT_OUR_KEY and UNREADABLE. --picture draws the original as far as it can be
had, the marked image, their difference and the changed regions.

A file that nodectl seal --embedder wrote is LOSSY at best: its payload reads,
its original cannot be had. Files name their method; --embedder overrules them.

EXAMPLES
  nodectl --config /etc/sealnode verify image.dcm
  nodectl --config /etc/sealnode verify study/ --json
  nodectl --config /etc/sealnode verify image.dcm --picture found.png
  nodectl --config /etc/sealnode verify --from pacs-main --study 1.2.840.1

EXIT STATUS
  0   every object is INTACT; else the status of the first that is not:
  4   UNREADABLE
  10  TAMPERED, HEADER_COERCED or LOSSY
  11  UNMARKED
  12  NOT_OUR_KEY
  75  the destination did not answer
"""
EXIT = {
    VerdictKind.INTACT: 0,
    VerdictKind.UNREADABLE: 4,
    VerdictKind.HEADER_COERCED: 10,
    VerdictKind.TAMPERED: 10,
    VerdictKind.LOSSY: 10,
    VerdictKind.UNMARKED: 11,
    VerdictKind.NOT_OUR_KEY: 12,
}


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    add_source(parser)
    methods.add_embedder(parser, "read the mark of this classical method, which is not reversible")
    parser.add_argument(
        "--picture", metavar="PNG", type=Path, help="draw what was found; a folder for several"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Print a verdict for each object."""
    from node import wiring
    from node.sealing.report import picture

    config = configured(args)
    score = Score()
    with sources(args, config, out) as files, wiring.codec() as codec:
        if args.destination and not files:
            score.count(EXIT[VerdictKind.UNMARKED])
        examiner = wiring.examiner(config, codec, everywhere=True)
        pictures = (
            Target(args.picture, args.files or [f.path for f in files]) if args.picture else None
        )
        with out.progress(len(files), "verifying") as step:
            for file in files:
                by_method = methods.read(file, args.embedder, config, codec)
                if by_method is not None:
                    name, read = by_method
                    score.count(EXIT[read.verdict.kind])
                    facts = methods.findings(file, name, read)
                    out.answer(facts, f"{file.path}: {read.verdict.kind.value}: {facts['reason']}")
                    step()
                    continue
                found = examiner.examine(file.path.read_bytes())
                score.count(EXIT[found.verdict.kind])
                facts = findings(file.path, found)
                if pictures and found.pixels is not None:
                    place = pictures.place(file, "" if len(files) == 1 else ".png")
                    place.write_bytes(picture(found))
                    facts["picture"] = place
                out.answer(facts, told(facts))
                step()
    return score.status


def findings(path: Path, found: Examination) -> dict[str, Any]:
    """Return a verdict and its evidence as facts."""
    from node.sealing.report import cost

    verdict = found.verdict
    facts: dict[str, Any] = {
        "file": path,
        "verdict": verdict.kind,
        "reason": verdict.reason,
        "carrier": verdict.carrier,
        "key_id": verdict.key_id,
        "payload_bytes": verdict.payload_bytes,
        "coerced": verdict.coerced,
        "tiles": verdict.tiles,
        "regions": [_region(region) for region in verdict.regions],
        "details": [_region(region) for region in verdict.details],
        "approximate": found.approximate is not None,
        "recoverable": found.exact,
        "hospital": verdict.hospital,
        "recipient": verdict.recipient,
    }
    if paid := cost(found):
        facts |= numbers(paid)
    return facts


def numbers(quality: Quality) -> dict[str, Any]:
    """Return what a mark cost as facts; PSNR in dB."""
    return {
        "psnr": quality.psnr_stored,
        "psnr_data": quality.psnr_data,
        "ssim": quality.ssim,
        "max_change": quality.max_change,
    }


def told(facts: dict[str, Any]) -> str:
    """Return the findings as a person reads them."""
    head = f"{facts['file']}: {facts['verdict'].value}"
    lines = [f"{head}: {facts['reason']}" if facts["reason"] else head]
    if facts["coerced"]:
        lines.append(f"  header attributes that differ: {', '.join(facts['coerced'])}")
    lines += [
        f"  changed: frame {r['frame']}, rows {r['row']}..{r['end_row']}, "
        f"columns {r['column']}..{r['end_column']}"
        for r in facts["regions"]
    ]
    lines += [
        f"  surely there: frame {r['frame']}, rows {r['row']}..{r['end_row']}, "
        f"columns {r['column']}..{r['end_column']}"
        for r in facts["details"]
    ]
    if facts["approximate"]:
        lines.append("  a coarse copy shows about what was there: --picture, restore --approximate")
    return "\n".join(lines)


def _region(region: Region) -> dict[str, int]:
    """Rows and columns count from 0; the ends belong to the region."""
    return {
        "frame": region.frame,
        "row": region.row,
        "column": region.column,
        "end_row": region.row + region.rows - 1,
        "end_column": region.column + region.columns - 1,
    }

"""``nodectl extract``: read the sealed record, for those who hold the key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli import methods
from node.cli.arguments import configured
from node.cli.objects import Score, Target, add_source, sources
from node.cli.reveals import reveals
from node.cli.verify import EXIT
from node.types import VerdictKind

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.objects import Named
    from node.cli.output import Out
    from node.cli.reveals import Reveals
    from node.sealing.classical import Found
    from node.verify import Examination, Examiner

NAME = "extract"
HELP = "read the patient's data and the logo out of sealed objects"
EPILOG = """
What is printed is patient data: mind where it goes. The audit log is told of
each record before it is printed.

Where the pixels lost the record, the sealed header copy or the Encrypted
Attributes may still tell who the object is about; nothing proves it then.

From a file that nodectl seal --embedder wrote, what it carries is read: the
record, or the bytes of --payload, which --payload writes to a file here.

EXAMPLES
  nodectl --config /etc/sealnode extract sealed.dcm
  nodectl --config /etc/sealnode extract sealed.dcm --json
  nodectl --config /etc/sealnode extract sealed.dcm --logo logo.png
  nodectl --config /etc/sealnode extract sealed.dcm -o attachments/
  nodectl --config /etc/sealnode extract test.dcm --payload note.txt

EXIT STATUS
  0   every record was read; else as nodectl verify
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    add_source(parser)
    parser.add_argument(
        "--logo", metavar="PNG", type=Path, help="write the logo; a folder for several objects"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="write the attachments into this folder"
    )
    methods.add_embedder(parser, "read the mark of this classical method, which is not reversible")
    parser.add_argument(
        "--payload",
        metavar="OUT",
        type=Path,
        help="write the bytes that a classical method carried; a folder for several objects",
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Print each record."""
    from node import wiring
    from node.dicom import identity
    from node.mark import logo

    config = configured(args)
    score = Score()
    with (
        sources(args, config, out) as files,
        wiring.codec() as codec,
        reveals(config) as telling,
    ):
        examiner = wiring.examiner(config, codec, everywhere=True)
        logos = Target(args.logo, args.files or [f.path for f in files]) if args.logo else None
        cargos = (
            Target(args.payload, args.files or [f.path for f in files]) if args.payload else None
        )
        for file in files:
            by_method = methods.read(file, args.embedder, config, codec)
            if by_method is not None:
                if by_method[1].record is not None:
                    shown = by_method[1]
                    data = file.path.read_bytes()
                    telling.tell("record_extracted", data, shown.verdict, shown.record)
                score.count(_by_method(file, *by_method, cargos, out))
                continue
            data = file.path.read_bytes()
            found = examiner.examine(data)
            facts: dict[str, Any] = {
                "file": file.path,
                "verdict": found.verdict.kind,
                "reason": found.verdict.reason,
            }
            if found.record is None:
                score.count(EXIT[found.verdict.kind])
                _by_header(file, found, examiner, telling, out)
                continue
            original = found.restored or data
            telling.tell("record_extracted", original, found.verdict, found.record)
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
            facts["attachments"] = _attached(file, found, args.output, alone=len(files) == 1)
            lines += [
                f"  attachment {one['kind']}, {one['size']} bytes {one['written']}".rstrip()
                for one in facts["attachments"]
            ]
            out.answer(facts, "\n".join([f"{file.path}: {found.verdict.kind.value}", *lines]))
    return score.status


def _attached(
    file: Named, found: Examination, folder: Path | None, *, alone: bool
) -> list[dict[str, Any]]:
    """Write the attachments of an object, if a folder is given, and say what they are."""
    from node.sealing.attachments import SUFFIXES

    told = []
    for number, one in enumerate(found.attachments, start=1):
        place: Path | str = ""
        if folder is not None:
            name = f"{number}{SUFFIXES[one.kind]}"
            place = folder / (name if alone else f"{file.relative}.{name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(one.data)
        told.append({"kind": one.kind, "size": len(one.data), "written": place})
    return told


def _by_header(
    file: Named, found: Examination, examiner: Examiner, telling: Reveals, out: Out
) -> None:
    """Print who an object is about whose pixels lost the record, if its header still tells."""
    from node.dicom import identity
    from node.types import Record

    data = file.path.read_bytes()
    facts = {"file": file.path, "verdict": found.verdict.kind, "reason": found.verdict.reason}
    line = f"{file.path}: {found.verdict.kind.value}: no record can be read"
    readable = found.verdict.kind is not VerdictKind.UNREADABLE
    attributes = examiner.who(data) if readable else ()
    if not attributes:
        out.answer(facts, line)
        return
    record = Record(attributes, b"", b"", b"")
    telling.tell("record_extracted", data, found.verdict, record)
    told = dict(identity.readable(attributes))
    lines = [f"{line}; the header still says:", *(f"  {key}: {told[key]}" for key in told)]
    out.answer(facts | {"result": "header", "attributes": told}, "\n".join(lines))


def _by_method(file: Named, name: str, found: Found, target: Target | None, out: Out) -> int:
    """Print what a classical method carried; reading it is all that can be had."""
    from node.dicom import identity

    facts: dict[str, Any] = methods.findings(file, name, found)
    if found.cargo is None and found.record is None:
        out.answer(facts, f"{file.path}: {found.verdict.kind.value}: {found.verdict.reason}")
        return EXIT[found.verdict.kind]
    lines = [f"{file.path}: {found.verdict.kind.value}: {found.verdict.reason}"]
    if found.cargo is not None:
        facts["payload"] = found.cargo.hex()
        lines.append(f"  payload, {len(found.cargo)} bytes: {found.cargo.hex()}")
        if target:
            facts["written"] = target.place(file)
            facts["written"].write_bytes(found.cargo)
            lines[1:] = [f"  payload, {len(found.cargo)} bytes, written: {facts['written']}"]
    if found.record is not None:
        facts["attributes"] = dict(identity.readable(found.record.attributes))
        lines += [f"  {keyword}: {value}" for keyword, value in facts["attributes"].items()]
    out.answer(facts | {"result": "extracted"}, "\n".join(lines))
    return 0

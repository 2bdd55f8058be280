"""``nodectl inspect``: what an object is and what it carries, and whose image a picture is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli import methods
from node.cli.arguments import configured
from node.cli.objects import Score, Target, named
from node.cli.verify import numbers
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.dicom.pixels import Codec
    from node.dicom.reader import DicomObject
    from node.sealing.copies import Copies, Copy

NAME = "inspect"
HELP = "show what an object is, whether it is sealed, and how much it could carry"
EPILOG = """
Needs neither a key nor a configuration, and prints nothing about the patient.
Whether a seal is genuine is for nodectl verify to say; what sealing cost the
picture (stated_psnr, stated_ssim ...) is what the object says of itself.

With a configuration, robust marks are looked for as well: in sealed objects
as they are; in all others and in pictures (PNG, JPEG, TIFF ...), such as
screenshots, also resized, cropped, inverted, or turned by up to 6 degrees
beside quarter turns. Where there is nothing to find, that takes seconds.
It names the hospital, shows its logo, and tells the recipient of our images.
A bitmap that the mark itself carries (robust = "bitmap") goes before the logo
that is configured; --bitmap writes it to a file.

EXAMPLES
  nodectl inspect image.dcm
  nodectl inspect study/ --json
  nodectl --config /etc/sealnode inspect screenshot.jpg
  nodectl --config /etc/sealnode inspect screenshot.jpg --bitmap logo.png

EXIT STATUS
  0   every file was read
  4   one of them is neither a DICOM object nor a picture
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="files or folders")
    methods.add_embedder(parser, "say how much this classical method could carry")
    parser.add_argument(
        "--bitmap",
        metavar="PNG",
        type=Path,
        help="write the logo that a robust mark carries; a folder for several files",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="look for robust marks of any size and turn in sealed objects, too",
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Print the facts of each file."""
    from node import wiring
    from node.mark import bitmap, logo

    score = Score()
    files = named(args.files)
    bitmaps = Target(args.bitmap, args.files) if args.bitmap else None
    copies = wiring.copies(configured(args)) if args.config else None
    with wiring.codec() as codec, out.progress(len(files), "inspecting") as step:
        for file in files:
            copy = None
            try:
                data = file.path.read_bytes()
                found, copy = inspected(
                    data, codec, copies, search=args.search, embedder=args.embedder
                )
                facts = {"file": file.path} | found
            except UnreadableError as error:
                score.count(error.exit_code)
                facts = {"file": file.path, "result": "unreadable", "reason": str(error)}
            seen = copy.found.drawn if copy else None
            if seen and bitmaps:
                place = bitmaps.place(file, "" if len(files) == 1 else ".png")
                place.write_bytes(bitmap.png(seen.ink))
                facts |= {"written": place}
            out.answer(facts)
            if seen and not out.json:
                out.answer({}, drawn(seen.ink))
            elif copy and copy.logo and not out.json:
                out.answer({}, drawn(logo.decode(wiring.logo(copy.logo))))
            if not out.json and len(files) > 1:
                out.answer({}, "")
            step()
    return score.status


def inspected(
    data: bytes,
    codec: Codec,
    copies: Copies | None = None,
    *,
    search: bool = False,
    embedder: str = "",
) -> tuple[dict[str, Any], Copy | None]:
    """Return what a file is and could carry, and whose image it is; nothing about the patient.

    :raises UnreadableError: it is neither a DICOM object nor a picture.
    """
    from node.dicom import reader
    from node.sealing.copies import read_picture

    try:
        obj = reader.read(data)
    except UnreadableError as error:
        try:
            picture = read_picture(data)
        except UnreadableError:
            raise error from None
        rows, columns = picture.shape
        copy = copies.of_picture(picture) if copies else None
        reason = "" if copy else _unknown(copies)
        return {"picture": f"{rows}x{columns}", "reason": reason} | _told(copy), copy
    return _object(obj, codec, copies, search=search, embedder=embedder)


def _object(
    obj: DicomObject, codec: Codec, copies: Copies | None, *, search: bool, embedder: str
) -> tuple[dict[str, Any], Copy | None]:
    from node import wiring
    from node.dicom import derived, marked, pixels
    from node.mark import quality
    from node.sealing import signatures
    from node.sealing.classical import SEAL

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
        "pseudonym": obj.text("PatientIdentityRemoved") == "YES",
        "embedder": derived.method_of(obj),
        "signatures": [str(one) for one in signatures.check(obj)],
        "capacity": 0,
        "reason": "",
    }
    try:
        loaded = pixels.load(obj, codec, lossy="decode")
    except UnsealableError as error:
        return facts | {"reason": f"{error} ({error.code})"}, None
    shape = loaded.facts
    chosen = wiring.classical_embedder(embedder) if embedder else wiring.embedder()
    facts |= {
        "pixels": f"{shape.frames}x{shape.rows}x{shape.columns}",
        "bits_stored": shape.bits_stored,
        "capacity": max(0, chosen.capacity(loaded.carrier) - (SEAL if embedder else 0)),
    }
    copy = copies.of_pixels(loaded, search=search or not sealed) if copies else None
    stated = quality.read(marked.private_value(obj, marked.QUALITY) or b"")
    if stated:
        facts |= {f"stated_{name}": value for name, value in numbers(stated).items()}
    return facts | _told(copy), copy


def _told(copy: Copy | None) -> dict[str, Any]:
    """Return what a robust mark tells."""
    if copy is None:
        return {"hospital": ""}
    reading = copy.found.reading
    return {
        "hospital": copy.title,
        "hospital_id": copy.hospital,
        "recipient": "unknown" if copy.recipient is None else copy.recipient,
        "logo": copy.logo,
        "score": round(reading.score, 1),
        "turned": round(copy.found.degrees, 1),
        "mirrored": copy.found.mirrored,
        "inverted": reading.inverted,
        "bitmap": copy.found.drawn.dots.hex() if copy.found.drawn else "",
    }


def _unknown(copies: Copies | None) -> str:
    if copies is None:
        return "robust marks are looked for with a configuration only: --config DIR"
    return "no robust mark of a hospital that is configured"


def drawn(dots: NDArray[np.bool_]) -> str:
    """Return a bitmap in characters, two rows of it in each line."""
    ink = dots.tolist()
    if len(ink) % 2:
        ink.append([False] * len(ink[0]))
    pairs = zip(ink[::2], ink[1::2], strict=True)
    return "\n".join(
        "".join(" ▄▀█"[2 * top + bottom] for top, bottom in zip(*pair, strict=True)).rstrip()
        for pair in pairs
    )

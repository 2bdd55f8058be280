"""``nodectl shares`` for pictures: the schemes visual and keymatrix."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from node.cli import pictures
from node.cli.share_answers import COLUMNS, LEARNS, made, place, tell
from node.crypto.shares import visual
from node.errors import DamagedError, SealnodeError, UsageError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from node.cli.output import Out
    from node.cli.pictures import Label, Picture


def are_pictures(paths: list[Path]) -> bool:
    """Return whether files are PNGs.

    :raises UsageError: some are.
    """
    heads = []
    for path in paths:
        with path.open("rb") as file:
            heads.append(file.read(len(pictures.SIGNATURE)))
    if any(map(pictures.is_picture, heads)) and not all(map(pictures.is_picture, heads)):
        raise UsageError("some files are pictures and some are not")
    return all(map(pictures.is_picture, heads))


def split_picture(args: argparse.Namespace, out: Out) -> int:
    """Write the pictures that a picture becomes."""
    if args.scheme == "visual" and (args.k, args.n) != (2, 2):
        raise UsageError("visual shares are 2 of 2", hint="give -k 2 -n 2")
    if args.scheme == "keymatrix" and args.k != args.n:
        raise UsageError("of keymatrix shares all are needed", hint="give -k and -n alike")
    if args.dicom:
        raise UsageError("--dicom is for the schemes computational and perfect")
    picture = pictures.read(args.file)
    args.output.mkdir(parents=True, exist_ok=True)
    set_id = os.urandom(8).hex()
    paths = [place(args, index, ".png") for index in range(1, args.n + 1)]
    labels = [pictures.Label(args.scheme, i, args.n, set_id) for i in range(1, args.n + 1)]
    says = LEARNS[args.scheme]
    if args.scheme == "visual":
        pair = visual.split_visual(pictures.halftone(picture.pixels), os.urandom)
        for path, black, label in zip(paths, pair, labels, strict=True):
            pictures.write_black(path, black, label, says)
    else:
        parts = visual.split_pixels(picture.pixels, args.n, os.urandom)
        for path, pixels, label in zip(paths, parts, labels, strict=True):
            pictures.write_pixels(path, pixels, label, says)
    for index, path in enumerate(paths, 1):
        out.answer(made(args, path, index, set_id), f"{path}: picture {index} of {args.n}")
    tell(out, args.scheme)
    return 0


def combine_pictures(args: argparse.Namespace, out: Out) -> int:
    """Write the picture that some pictures show together."""
    read = [pictures.read(path) for path in args.files]
    name, joined = _join(read)
    if name == "visual":
        pictures.write_black(args.output, joined, None, "")
    else:
        pictures.write_pixels(args.output, joined, None, "")
        label = read[0].label
        if label and len(read) < label.n:
            out.warning(f"{label.n - len(read)} of {label.n} pictures are missing: they stay white")
    facts = {"file": args.output, "result": "combined", "reason": "", "scheme": name}
    out.answer(facts, f"{args.output}: from {len(read)} pictures")
    return 0


def check_pictures(args: argparse.Namespace, out: Out) -> int:
    """Say whether some pictures belong together."""
    read = [pictures.read(path) for path in args.files]
    state, reason = "good", ""
    if len(read) == 1:
        state, reason = "unproven", "the other pictures are needed to judge it"
    else:
        try:
            _join(read)
        except SealnodeError as error:
            state, reason = "damaged", str(error)
    rows = [
        {"file": path, **_labelled(picture.label), "state": state, "reason": reason}
        for path, picture in zip(args.files, read, strict=True)
    ]
    out.table(rows, COLUMNS)
    for name in sorted({picture.label.scheme for picture in read if picture.label}):
        tell(out, name)
    return DamagedError.exit_code if state == "damaged" else 0


def _join(read: list[Picture]) -> tuple[str, Any]:
    """Return the scheme of some pictures and what they show together.

    :raises UsageError: they are of different schemes.
    :raises DamagedError: they do not belong together.
    """
    labels = {(one.label.scheme, one.label.set_id) for one in read if one.label}
    if len(labels) > 1:
        raise DamagedError("the pictures are of different sets")
    two_tone = all(pictures.is_two_tone(one.pixels) for one in read)
    name = labels.pop()[0] if labels else "visual" if two_tone else "keymatrix"
    if name == "keymatrix":
        return name, visual.join_pixels([one.pixels for one in read])
    if len(read) != 2 or not two_tone:  # noqa: PLR2004 - the scheme is 2 of 2
        raise DamagedError("visual shares are two pictures in black and white")
    first, second = (one.pixels == 0 for one in read)
    return name, visual.join_visual(first, second)


def _labelled(label: Label | None) -> dict[str, Any]:
    if label is None:
        return {"share": "", "set": ""}
    return {"share": f"{label.index}/{label.n}", "set": label.set_id, "scheme": label.scheme}

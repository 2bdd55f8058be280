"""Pictures on the command line: PNG files that say which visual share they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from node.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 1 << 26  # 64 megapixels
DOTS_PER_INCH = 100  # coarse enough to lay prints over each other by hand

_GREY_AXES = 2
_LABEL = "Sealnode-Share"
_TEXT = re.compile(r"(visual|keymatrix) v1 ([0-9]{1,2}) of ([0-9]{1,2}) set ([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Label:
    """What a picture says of itself; scanned or edited pictures have lost it.

    :param set_id: 16 hexadecimal digits, random.
    """

    scheme: str
    index: int
    n: int
    set_id: str

    def __str__(self) -> str:
        return f"{self.scheme} v1 {self.index} of {self.n} set {self.set_id}"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was read.

    :param pixels: uint8, shape (rows, columns) or (rows, columns, 3).
    """

    pixels: NDArray[np.uint8]
    label: Label | None


def is_picture(data: bytes) -> bool:
    """Return whether a file is a PNG."""
    return data.startswith(SIGNATURE)


def read(path: Path) -> Picture:
    """Read a picture, grey or in colour, of 8 bits a channel; transparency is refused.

    :raises UnreadableError: it is none.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{path}: a picture of more than 64 megapixels")
            if image.mode not in {"1", "L", "P", "RGB"}:
                raise UnreadableError(
                    f"{path}: a picture of mode {image.mode}",
                    hint="save it as 8-bit grey or RGB without transparency",
                )
            grey = image.mode in {"1", "L"}
            text = image.info.get(_LABEL, "")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, SyntaxError, Image.DecompressionBombError):
        raise UnreadableError(
            f"{path}: is no picture that can be read",
            hint="visual and keymatrix take PNG, JPEG, BMP or TIFF; export DICOM images first",
        ) from None
    return Picture(pixels, _label(text))


def halftone(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return black dots that look like the picture (Floyd and Steinberg)."""
    return ~np.asarray(Image.fromarray(pixels).convert("L").convert("1"))


def is_two_tone(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a picture is black and white, without grey."""
    return pixels.ndim == _GREY_AXES and bool(np.isin(pixels, (0, 255)).all())


def write_black(path: Path, black: NDArray[np.bool_], label: Label | None, says: str) -> None:
    """Write a picture of one bit a pixel."""
    _write(path, Image.fromarray(~black), label, says)


def write_pixels(path: Path, pixels: NDArray[np.uint8], label: Label | None, says: str) -> None:
    """Write a grey or colour picture."""
    _write(path, Image.fromarray(pixels), label, says)


def _write(path: Path, image: Image.Image, label: Label | None, says: str) -> None:
    info = PngInfo()
    info.add_text("Software", "Sealnode")
    if label:
        info.add_text(_LABEL, str(label))
    if says:
        info.add_text("Comment", says)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: a picture is written as .png")
    image.save(path, "PNG", pnginfo=info, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))


def _label(text: object) -> Label | None:
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    return Label(found[1], int(found[2]), int(found[3]), found[4]) if found else None

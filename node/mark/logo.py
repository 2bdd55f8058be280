"""The hospital's logo as few bytes as can be: a 1-bit bitmap, in every sealed image.

Packed form: ``columns u8 | rows u8 | coding u8 | body``. The bitmap's rows are
packed to bytes, first column in the highest bit, 1 for ink. Coding 0: the
bytes. Coding 1: each row as the difference (XOR) to the one above it, then raw
DEFLATE; the encoder takes the shorter one.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from node.errors import ConfigError, UnreadableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE = 64  # most rows and columns of a packed logo
PLAIN, DEFLATED = 0, 1
MAX_PIXELS = 4096 * 4096  # of the PNG
SCALE = 4  # how much bigger a logo is drawn than it is stored


def pack(png: bytes) -> bytes:
    """Return a PNG as packed 1-bit logo of at most 64x64; always the same bytes.

    Transparent pixels are paper; a bigger picture is scaled down. What is
    darker than the middle between paper and ink is ink.

    :raises ConfigError: it is no PNG, too big, or empty of ink.
    """
    try:
        with Image.open(BytesIO(png), formats=["PNG"]) as found:
            if found.width * found.height > MAX_PIXELS:
                raise ConfigError(["the logo has too many pixels"])
            rgba = found.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise ConfigError(["the logo is no PNG that can be read"]) from None
    paper = Image.new("RGBA", rgba.size, "white")
    grey = Image.alpha_composite(paper, rgba).convert("L")
    grey.thumbnail((EDGE, EDGE), Image.Resampling.BOX)
    samples = np.asarray(grey, np.int32)
    ink = samples < (int(samples.min()) + int(samples.max()) + 1) // 2
    if not ink.any():
        raise ConfigError(["the logo is empty"])
    return encode(ink)


def encode(ink: NDArray[np.bool_]) -> bytes:
    """Return the packed form of a bitmap, true for ink, at most 64x64."""
    rows, columns = ink.shape
    plain = np.packbits(ink, axis=1)
    changes = plain.copy()
    changes[1:] ^= plain[:-1]
    stream = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    deflated = stream.compress(changes.tobytes()) + stream.flush()
    head = bytes((columns, rows))
    if len(deflated) < plain.size:
        return head + bytes((DEFLATED,)) + deflated
    return head + bytes((PLAIN,)) + plain.tobytes()


def decode(packed: bytes) -> NDArray[np.bool_]:
    """Return the bitmap, shape (rows, columns), true for ink.

    :raises UnreadableError: the bytes are no packed logo.
    """
    if len(packed) < 3 or not (1 <= packed[0] <= EDGE and 1 <= packed[1] <= EDGE):  # noqa: PLR2004
        raise UnreadableError("the logo has an impossible size", code="logo")
    columns, rows, coding = packed[:3]
    body = packed[3:]
    stride = (columns + 7) // 8
    if coding == DEFLATED:
        body = _inflate(body, rows * stride)
    if coding not in {PLAIN, DEFLATED} or len(body) != rows * stride:
        raise UnreadableError("the logo is damaged", code="logo")
    lines = np.frombuffer(body, np.uint8).reshape(rows, stride)
    if coding == DEFLATED:
        lines = np.bitwise_xor.accumulate(lines, axis=0)
    ink = np.unpackbits(lines, axis=1)
    if ink[:, columns:].any():
        raise UnreadableError("the logo is damaged", code="logo")
    return ink[:, :columns].astype(np.bool_)


def unpack(packed: bytes) -> bytes:
    """Return a packed logo as a PNG file, drawn four times as big.

    :raises UnreadableError: the bytes are no packed logo.
    """
    picture = Image.fromarray(np.where(decode(packed), 0, 255).astype(np.uint8))
    big = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)
    out = BytesIO()
    big.save(out, "PNG")
    return out.getvalue()


def _inflate(body: bytes, size: int) -> bytes:
    stream = zlib.decompressobj(-15)
    try:
        text = stream.decompress(body, size + 1)
    except zlib.error:
        raise UnreadableError("the logo is damaged", code="logo") from None
    if not stream.eof or stream.unused_data:
        raise UnreadableError("the logo is damaged", code="logo")
    return text

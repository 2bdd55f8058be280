"""Pixel words as they stand in memory, and the samples inside them (PS3.5 section 8).

A *word* is one cell of Bits Allocated bits; a *sample* is the Bits Stored bits
of it that end at High Bit, signed if Pixel Representation says so. The other
bits of a word (overlays, rubbish of old scanners) are kept as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from node.dicom.reader import PIXEL_DATA
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.dicom.elements import Buffer, Element
    from node.dicom.reader import DicomObject

    Words = NDArray[np.unsignedinteger]
    Order = Literal["<", ">"]

FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)  # Float and Double Float Pixel Data
MAX_BYTES = 2 << 30  # of the words of one object
MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"})


@dataclass(frozen=True, slots=True)
class Facts:
    """The Image Pixel module (PS3.3 C.7.6.3) of an object, checked for sense."""

    rows: int
    columns: int
    frames: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    photometric: str
    planar: int

    @property
    def size(self) -> int:
        """Bytes that all words take."""
        cells = self.rows * self.columns * self.frames * self.samples_per_pixel
        return cells * (self.bits_allocated // 8)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """Of a word, little endian."""
        return np.dtype("<u2") if self.bits_allocated == 16 else np.dtype("u1")  # noqa: PLR2004 - bits

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, rows, columns, samples: the order in which words are handed around."""
        return self.frames, self.rows, self.columns, self.samples_per_pixel

    @property
    def shift(self) -> int:
        """Bits below the sample."""
        return self.high_bit - self.bits_stored + 1

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest sample."""
        if self.pixel_representation:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1


def facts_of(obj: DicomObject) -> Facts:
    """Return the facts of an image whose samples can be marked.

    :raises UnsealableError: it has no pixels, or of a kind that cannot be
        marked: codes ``no_pixels``, ``float``, ``palette``, ``one_bit``,
        ``bits_32``, ``photometric``, ``geometry``.
    """
    return obj.once(_facts)


def _facts(obj: DicomObject) -> Facts:
    if PIXEL_DATA not in obj.index:
        if any(tag in obj.index for tag in FLOAT_PIXELS):
            raise UnsealableError("the pixels are floating-point numbers", code="float")
        raise UnsealableError("the object has no pixels", code="no_pixels")
    photometric = obj.text("PhotometricInterpretation")
    allocated = _one(obj, "BitsAllocated")
    if photometric == "PALETTE COLOR":
        raise UnsealableError("the samples are indices into a palette", code="palette")
    if allocated == 1:
        raise UnsealableError("the samples are single bits", code="one_bit")
    if allocated in {32, 64}:
        raise UnsealableError(f"the words have {allocated} bits", code="bits_32")
    facts = Facts(
        rows=_one(obj, "Rows"),
        columns=_one(obj, "Columns"),
        frames=_one(obj, "NumberOfFrames", 1),
        samples_per_pixel=_one(obj, "SamplesPerPixel", 1),
        bits_allocated=allocated,
        bits_stored=_one(obj, "BitsStored"),
        high_bit=_one(obj, "HighBit"),
        pixel_representation=_one(obj, "PixelRepresentation", 0),
        photometric=photometric,
        planar=_one(obj, "PlanarConfiguration", 0),
    )
    _check(facts)
    return facts


def _check(facts: Facts) -> None:
    if facts.photometric in MONOCHROME:
        samples = 1
    elif facts.photometric in COLOUR:
        samples = 3
    else:
        raise UnsealableError("the photometric interpretation is not known", code="photometric")
    sound = (
        facts.samples_per_pixel == samples
        and facts.rows > 0
        and facts.columns > 0
        and facts.frames > 0
        and facts.bits_allocated in {8, 16}
        and 0 < facts.bits_stored <= facts.bits_allocated
        and facts.bits_stored - 1 <= facts.high_bit < facts.bits_allocated
        and facts.pixel_representation in {0, 1}
        and facts.planar in {0, 1}
    )
    if not sound:
        raise UnsealableError("the image pixel attributes make no sense", code="geometry")
    if facts.size > MAX_BYTES:
        raise UnsealableError("the image is larger than 2 GiB", code="too_large")


def _one(obj: DicomObject, keyword: str, default: int = -1) -> int:
    try:
        values = obj.ints(keyword)
    except UnreadableError:
        raise UnsealableError(f"{keyword} is no integer", code="geometry") from None
    return values[0] if values else default


def read_words(data: Buffer, element: Element, facts: Facts, order: Order) -> Words:
    """Return the words of a native value field in the shape of ``facts``, not copied if possible.

    :param order: ``"<"`` or ``">"``, the byte order of the data set.
    :raises UnsealableError: the value field is too short (code ``geometry``).
    """
    if element.undefined or element.stop - element.value < facts.size:
        raise UnsealableError("the pixel data are too short for the image", code="geometry")
    dtype: np.dtype[np.unsignedinteger] = facts.dtype.newbyteorder(order)
    if _swapped(element, facts, order):
        if facts.size % 2:
            raise UnsealableError("the last byte shares a word with padding", code="geometry")
        flat = np.frombuffer(data, "<u2", facts.size // 2, element.value).byteswap().view(np.uint8)
    else:
        flat = np.frombuffer(data, dtype, facts.size // dtype.itemsize, element.value)
    if facts.planar and facts.samples_per_pixel > 1:
        planes = flat.reshape(facts.frames, facts.samples_per_pixel, facts.rows, facts.columns)
        return planes.transpose(0, 2, 3, 1)
    return flat.reshape(facts.shape)


def write_words(words: Words, element: Element, facts: Facts, order: Order) -> bytes:
    """Return the ``facts.size`` bytes that :func:`read_words` reads back as ``words``."""
    if facts.planar and facts.samples_per_pixel > 1:
        words = words.transpose(0, 3, 1, 2)
    if _swapped(element, facts, order):
        return np.frombuffer(words.tobytes(), "<u2").byteswap().tobytes()
    return words.astype(facts.dtype.newbyteorder(order), copy=False).tobytes()


def _swapped(element: Element, facts: Facts, order: Order) -> bool:
    # PS3.5 8.1.1: 8-bit samples in OW are pairs of bytes in the order of the syntax.
    return order == ">" and facts.bits_allocated == 8 and element.vr == "OW"  # noqa: PLR2004 - bits


@dataclass(frozen=True, eq=False)
class Plane:
    """Words of any shape, and the samples in them. What is true of all is looked up once."""

    words: Words
    facts: Facts

    @cached_property
    def plain(self) -> bool:
        """Whether every word, read as an integer, is its sample."""
        facts = self.facts
        if facts.shift:
            return False
        if facts.bits_stored == facts.bits_allocated:
            return True
        low, high = facts.range
        view = self._view()
        return bool(view.min() >= low and view.max() <= high)

    def samples(self) -> NDArray[np.int32]:
        """Return the samples, shaped like the words."""
        facts = self.facts
        if self.plain:
            return self._view().astype(np.int32)
        wide = (self.words.astype(np.int32) >> facts.shift) & ((1 << facts.bits_stored) - 1)
        if facts.pixel_representation:
            sign = 1 << (facts.bits_stored - 1)
            wide = (wide ^ sign) - sign
        return wide

    def bounds(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return how low and how high each sample may go, as arrays that broadcast.

        If a signed sample has bits above it that are not copies of its sign, then
        every sample of the image stays on its side of zero: whether those bits
        follow the sign can then be read from the marked words as from the original.
        """
        low, high = self.facts.range
        if self.facts.pixel_representation and not self._extended:
            negative = self.samples() < 0
            return (
                np.where(negative, low, 0).astype(np.int32),
                np.where(negative, -1, high).astype(np.int32),
            )
        return np.array(low, np.int32), np.array(high, np.int32)

    def with_samples(self, samples: NDArray[np.int32]) -> Words:
        """Return the words with other samples in them, all other bits as they were."""
        words, facts = self.words, self.facts
        if self.plain:
            return samples.astype(words.dtype)
        mask = ((1 << facts.bits_stored) - 1) << facts.shift
        if facts.pixel_representation and self._extended:
            mask |= _above(facts)
        other = words.astype(np.int32) & ~mask
        return ((samples << facts.shift) & mask | other).astype(words.dtype)

    @cached_property
    def _extended(self) -> bool:
        """Whether all bits above each sample are copies of its sign."""
        if self.plain:
            return True
        above = _above(self.facts)
        sign = 1 << self.facts.high_bit
        wide = self.words.astype(np.int32)
        return bool(((wide & above) == np.where(wide & sign, above, 0)).all())

    def _view(self) -> NDArray[np.signedinteger | np.unsignedinteger]:
        kind = "i" if self.facts.pixel_representation else "u"
        return self.words.view(self.words.dtype.str.replace("u", kind))


def _above(facts: Facts) -> int:
    """The bits of a word above High Bit."""
    return (1 << facts.bits_allocated) - (1 << (facts.high_bit + 1))

"""From a data set to samples that a mark may move, and back into a value field.

The law: ``load(obj).store(pixels.carrier.samples)`` are the pixels that were
there, byte for byte if they were native; else a stream that decodes to the
same words.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from node.dicom.elements import element_bytes
from node.dicom.headers import assemble, offset_tables, offset_tags, pixel_head
from node.dicom.native import (
    MONOCHROME,
    Plane,
    facts_of,
    read_words,
    write_words,
)
from node.dicom.reader import (
    EXPLICIT_LE,
    NATIVE_SYNTAXES,
    PIXEL_DATA,
    read_dataset,
    with_syntax,
)
from node.errors import ProofError, UnsealableError
from node.types import Binding, Carrier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.dicom.native import Facts, Words
    from node.dicom.reader import DicomObject


PHOTOMETRIC, PLANAR = 0x00280004, 0x00280006
# Whose decoders give RGB, whatever the stream held: JPEG with loss, and by their
# colour transform the streams of JPEG 2000. RLE, JPEG-LS and lossless JPEG give what they hold.
JPEG = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55))
TRANSFORMED = ("YBR_RCT", "YBR_ICT")

_WINDOW = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")


class Codec(Protocol):
    """Turns encapsulated value fields into words and words into value fields."""

    def check(self, transfer_syntax_uid: str, *, lossy: str = "refuse") -> None:
        """Check that a transfer syntax can be decoded.

        :raises UnsealableError: it cannot; see :mod:`node.dicom.codecs`.
        """
        ...

    def can_encode(self, facts: Facts, transfer_syntax_uid: str) -> bool:
        """Whether such words can be written in a transfer syntax without loss."""
        ...

    def decode(self, obj: DicomObject, facts: Facts, *, lossy: str = "refuse") -> Words:
        """Return the words of an encapsulated image, in the shape of ``facts``.

        :raises UnsealableError: see :mod:`node.dicom.codecs`.
        """
        ...

    def encode(self, words: Words, facts: Facts, transfer_syntax_uid: str) -> bytes:
        """Return an encapsulated value field that decodes to ``words``, exactly.

        :raises UnsealableError: there is no such encoder (code ``no_encoder``).
        """
        ...


class Stored(NamedTuple):
    """Pixels to put into the data set.

    :param value: the words, or encapsulated: the items without the sequence
        delimiter. Padding is the header's.
    :param transfer_syntax_uid: the syntax that the data set then is in.
    """

    value: bytes
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Pixels:
    """The samples of one image, and the way back.

    :param obj: the object that they are of; see :func:`load`.
    :param words: frames x rows x columns x samples, as stored.
    """

    obj: DicomObject
    facts: Facts
    words: Words
    codec: Codec | None

    @cached_property
    def carrier(self) -> Carrier:
        """What a mark may move.

        The samples of a grey image, the green plane of an RGB one (the other two move
        with it, so that grey stays grey), the luminance of a YBR one.
        """
        return _carrier(self.obj, self.facts, self._planes)

    @cached_property
    def sha256(self) -> bytes:
        """The digest of the words: little endian, colour by pixel, without padding.

        It is the same in every lossless transfer syntax.
        """
        return _digest(self.words, self.facts)

    def holds(self, sha256: bytes, twin: Pixels | None = None) -> bool:
        """Whether these are the pixels of a digest.

        :param twin: pixels at hand that should be the same: words that equal
            theirs have their digest, and comparing takes a tenth of hashing.
        """
        if twin is not None and np.array_equal(self.words, twin.words):
            return twin.sha256 == sha256
        return self.sha256 == sha256

    def store(self, samples: NDArray[np.int32]) -> Stored:
        """Return the pixels with ``samples`` instead of the carrier's, to put into ``obj``.

        :raises ProofError: a sample is out of its bounds.
        :raises UnsealableError: what was encoded does not decode to the same.
        """
        if _out_of_bounds(samples, self.carrier):
            raise ProofError("a sample is out of its bounds", code="bounds")
        return _stored(self._words_with(samples), self.obj, self.facts, self.codec)

    def restore(self, samples: NDArray[np.int32]) -> Pixels:
        """Return these pixels with ``samples`` instead of the carrier's, cut to its bounds."""
        if _out_of_bounds(samples, self.carrier):
            samples = np.clip(samples, self.carrier.low, self.carrier.high)
        return replace(self, words=self._words_with(samples))

    def written_like(self, obj: DicomObject) -> Stored:
        """Return these pixels as ``obj``, which may itself lack them, would hold them.

        :raises UnsealableError: there is no encoder for its transfer syntax
            (code ``no_encoder``), or ``obj`` describes other pixels.
        """
        facts = facts_of(obj)
        if facts.shape != self.facts.shape or facts.bits_allocated != self.facts.bits_allocated:
            raise UnsealableError("the header describes other pixels", code="geometry")
        return _stored(self.words, obj, facts, self.codec)

    def with_words(self, words: Words) -> Pixels:
        """Return an image of the same object with more or fewer rows in each frame."""
        facts = replace(self.facts, rows=words.shape[1])
        return Pixels(self.obj, facts, words, self.codec)

    @property
    def window(self) -> tuple[float, float] | None:
        """The lowest and highest stored sample of the first VOI window (PS3.3 C.11.2.1.2)."""
        values = [_number(self.obj, keyword) for keyword in _WINDOW]
        center, width, slope, intercept = values
        if center is None or width is None or width < 1:
            return None
        scale, offset = slope or 1.0, intercept or 0.0
        ends = [(center + side * width / 2 - offset) / scale for side in (-1, 1)]
        return min(ends), max(ends)

    def binding(self) -> Binding:
        """Return what a seal in these pixels is bound to."""
        facts = self.facts
        return Binding(
            self.obj.text("SOPClassUID"),
            self.obj.text("SOPInstanceUID"),
            rows=facts.rows,
            columns=facts.columns,
            frames=facts.frames,
            samples_per_pixel=facts.samples_per_pixel,
            bits_allocated=facts.bits_allocated,
            bits_stored=facts.bits_stored,
            pixel_representation=facts.pixel_representation,
        )

    def _words_with(self, samples: NDArray[np.int32]) -> Words:
        facts, planes = self.facts, self._planes
        samples = samples.reshape(planes[0].words.shape)
        if facts.samples_per_pixel == 1:
            return planes[0].with_samples(samples)[..., None]
        words = self.words.copy()
        if facts.photometric.startswith("YBR_FULL"):
            words[..., 0] = planes[0].with_samples(samples)
            return words
        change = samples - self.carrier.samples.reshape(samples.shape)
        for channel, plane in enumerate(planes):
            words[..., channel] = plane.with_samples(plane.samples() + change)
        return words

    @cached_property
    def _planes(self) -> tuple[Plane, ...]:
        return tuple(Plane(plane, self.facts) for plane in np.moveaxis(self.words, -1, 0))


def load(obj: DicomObject, codec: Codec | None = None, *, lossy: str = "refuse") -> Pixels:
    """Return the samples of an image.

    :param codec: needed for encapsulated pixels only.
    :param lossy: ``"decode"`` accepts an image that was compressed with loss,
        to be stored without further loss: ``Pixels.obj`` is then the object to
        mark and to restore to, natively encoded where the syntax has no
        lossless encoding. ``"refuse"`` does not.
    :raises UnsealableError: the image cannot be marked without loss; ``code``
        says why: those of :func:`node.dicom.native.facts_of`, ``ybr_422``,
        and those of :mod:`node.dicom.codecs`.
    """
    if obj.transfer_syntax_uid in NATIVE_SYNTAXES:
        facts = facts_of(obj)
        if facts.photometric == "YBR_FULL_422":
            raise UnsealableError("chroma is subsampled", code="ybr_422")
        words = read_words(obj.data, obj.index[PIXEL_DATA], facts, obj.encoding.order)
    elif codec is None:
        raise UnsealableError("there is no codec for encapsulated pixels", code="no_codec")
    else:
        codec.check(obj.transfer_syntax_uid, lossy=lossy)
        facts = facts_of(obj)
        words = codec.decode(obj, facts, lossy=lossy)
        if not codec.can_encode(facts, obj.transfer_syntax_uid):
            obj = _native(obj, facts, words)
            facts = facts_of(obj)
    return Pixels(obj, facts, words, codec)


def decoded(pixels: Pixels) -> DicomObject:
    """Return the object of some pixels with these in it, in explicit VR little endian."""
    return _native(pixels.obj, pixels.facts, pixels.words)


def _native(obj: DicomObject, facts: Facts, words: Words) -> DicomObject:
    """The same object with its decoded words, in explicit VR little endian."""
    changes: dict[int, bytes | None] = dict.fromkeys(offset_tags(obj))
    if facts.samples_per_pixel > 1:
        if obj.transfer_syntax_uid in JPEG or facts.photometric in TRANSFORMED:
            changes[PHOTOMETRIC] = element_bytes(PHOTOMETRIC, "CS", b"RGB", obj.encoding)
        changes[PLANAR] = element_bytes(PLANAR, "US", b"\0\0", obj.encoding)
    before, after = assemble(obj, changes)
    value = words.tobytes()
    value += b"\0" * (len(value) % 2)
    dataset = b"".join((before, pixel_head(obj, EXPLICIT_LE, len(value)), value, after))
    file = with_syntax(obj.file, EXPLICIT_LE) if obj.file else b""
    return replace(read_dataset(dataset, EXPLICIT_LE), file=file)


def _stored(words: Words, obj: DicomObject, facts: Facts, codec: Codec | None) -> Stored:
    """Return words as ``obj`` would hold them."""
    if obj.transfer_syntax_uid in NATIVE_SYNTAXES:
        value = write_words(words, obj.index[PIXEL_DATA], facts, obj.encoding.order)
        return Stored(value, obj.transfer_syntax_uid)
    if codec is None:
        raise UnsealableError("there is no codec for encapsulated pixels", code="no_codec")
    return Stored(codec.encode(words, facts, obj.transfer_syntax_uid), obj.transfer_syntax_uid)


def _number(obj: DicomObject, keyword: str) -> float | None:
    """The first value of a decimal string, None if there is none that can be read."""
    try:
        number = float(obj.text(keyword))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def field_sha256(obj: DicomObject) -> bytes:
    """Return the digest of the Pixel Data value field as it stands, of nothing without one.

    For objects that are sealed in the header alone. An Extended Offset Table
    belongs to the stream that it describes.
    """
    digest = hashlib.sha256(offset_tables(obj))
    element = obj.index.get(PIXEL_DATA)
    if element is not None:
        digest.update(memoryview(obj.data)[element.value : element.stop])
    return digest.digest()


def _out_of_bounds(samples: NDArray[np.int32], carrier: Carrier) -> bool:
    low, high = carrier.low, carrier.high
    if low.ndim or high.ndim:
        return bool((samples < low).any() or (samples > high).any())
    return bool(samples.min() < low or samples.max() > high)


def _digest(words: Words, facts: Facts) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(words, facts.dtype).data).digest()


def _carrier(obj: DicomObject, facts: Facts, planes: tuple[Plane, ...]) -> Carrier:
    tall = (facts.frames * facts.rows, facts.columns)
    if facts.samples_per_pixel == 1 or facts.photometric.startswith("YBR_FULL"):
        samples = planes[0].samples()
        low, high = planes[0].bounds()
        padding = _padding(obj, facts) if facts.photometric in MONOCHROME else None
    else:
        samples = planes[1].samples()
        low, high = np.array(facts.range[0], np.int32), np.array(facts.range[1], np.int32)
        for plane in planes:
            ahead = samples - plane.samples()
            plane_low, plane_high = plane.bounds()
            low = np.maximum(low, plane_low + ahead)
            high = np.minimum(high, plane_high + ahead)
        padding = None
    return Carrier(
        samples=samples.reshape(tall),
        low=low.reshape(tall) if low.ndim else low,
        high=high.reshape(tall) if high.ndim else high,
        frame_rows=facts.rows,
        padding=padding,
    )


def _padding(obj: DicomObject, facts: Facts) -> tuple[int, int] | None:
    """The samples that mean "no image here" (PS3.3 C.7.5.1.1.2)."""
    ends = [
        _sample(int.from_bytes(value[:2], "little" if obj.encoding.order == "<" else "big"), facts)
        for value in (obj.raw(0x00280120), obj.raw(0x00280121))
        if value is not None and len(value) >= 2  # noqa: PLR2004 - a word
    ]
    return (min(ends), max(ends)) if obj.raw(0x00280120) and ends else None


def _sample(word: int, facts: Facts) -> int:
    """The sample that a 16-bit word of a header means, as software compares it."""
    signed = word - 0x10000 if facts.pixel_representation and word & 0x8000 else word
    low, high = facts.range
    if low <= signed <= high:
        return signed
    cut = np.array(word & ((1 << facts.bits_allocated) - 1), facts.dtype)
    return int(Plane(cut[None], facts).samples()[0])

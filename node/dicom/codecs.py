"""Encapsulated pixels to words and back, through codecs in a sandbox.

What cannot be decoded without loss raises
:class:`~node.errors.UnsealableError`: ``lossy_syntax`` (it was compressed with
loss), ``video``, ``syntax_unsupported``, ``fragments``, ``decode_failed``
(damaged, or not what the header says), ``decode_disagree`` (two decoders give
different samples), ``decode_limit`` (time or memory), ``too_large``, ``ybr_422``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from node.dicom.codestreams import Claims, read_jpeg, read_jpeg2000
from node.dicom.encapsulated import frames_of, to_items
from node.dicom.native import Plane
from node.dicom.sandbox import Sandbox
from node.errors import UnsealableError

if TYPE_CHECKING:
    from node.dicom.native import Facts, Words
    from node.dicom.reader import DicomObject

RATIO_FLOOR = 64 << 20  # bytes of words that any stream may claim
RATIO = 2000  # beyond that, bytes of words for one byte of stream


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one transfer syntax is coded.

    :param codec: its name in :mod:`node.dicom.codec_child`.
    :param encoder: whether words can be written in it, without loss.
    """

    codec: str
    encoder: bool = True


# PS3.6 table A-1.
SYNTAXES = {
    "1.2.840.10008.1.2.5": Syntax("rle"),
    "1.2.840.10008.1.2.4.50": Syntax("jpeg", encoder=False),
    "1.2.840.10008.1.2.4.51": Syntax("jpeg", encoder=False),
    "1.2.840.10008.1.2.4.53": Syntax("jpeg", encoder=False),
    "1.2.840.10008.1.2.4.55": Syntax("jpeg", encoder=False),
    "1.2.840.10008.1.2.4.57": Syntax("jpeg_lossless"),
    "1.2.840.10008.1.2.4.70": Syntax("jpeg_lossless"),
    "1.2.840.10008.1.2.4.80": Syntax("jpeg_ls"),
    "1.2.840.10008.1.2.4.81": Syntax("jpeg_ls"),
    "1.2.840.10008.1.2.4.90": Syntax("jpeg_2000"),
    "1.2.840.10008.1.2.4.91": Syntax("jpeg_2000"),
    "1.2.840.10008.1.2.4.201": Syntax("htj2k"),
    "1.2.840.10008.1.2.4.202": Syntax("htj2k"),
    "1.2.840.10008.1.2.4.203": Syntax("htj2k"),
}
VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))


class Decoder:
    """Decodes and encodes encapsulated pixels; owns the sandbox it does so in."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox or Sandbox()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox."""
        self._sandbox.close()

    def check(self, transfer_syntax_uid: str, *, lossy: str = "refuse") -> None:
        """Check that a transfer syntax can be decoded.

        :raises UnsealableError: ``video``, ``syntax_unsupported``, ``lossy_syntax``.
        """
        syntax = SYNTAXES.get(transfer_syntax_uid)
        if syntax is None:
            code = "video" if transfer_syntax_uid in VIDEO else "syntax_unsupported"
            raise UnsealableError("the transfer syntax cannot be decoded", code=code)
        if not syntax.encoder and lossy != "decode":
            raise _lossy()

    def can_encode(self, facts: Facts, transfer_syntax_uid: str) -> bool:
        """Whether such words can be written in a transfer syntax without loss."""
        syntax = SYNTAXES.get(transfer_syntax_uid)
        # The irreversible and the subsampled colour spaces have no lossless encoding.
        return (
            syntax is not None
            and syntax.encoder
            and facts.photometric not in {"YBR_ICT", "YBR_FULL_422"}
        )

    def decode(self, obj: DicomObject, facts: Facts, *, lossy: str = "refuse") -> Words:
        """Return the words of an encapsulated image, in the shape of ``facts``.

        Signed samples are sign-extended, whatever the stream carries.

        :param lossy: ``"decode"`` accepts what was compressed with loss.
        :raises UnsealableError: see the module.
        """
        self.check(obj.transfer_syntax_uid, lossy=lossy)
        syntax = SYNTAXES[obj.transfer_syntax_uid]
        if facts.photometric == "YBR_FULL_422" and syntax.codec != "jpeg":
            raise UnsealableError("chroma is subsampled", code="ybr_422")
        streams = frames_of(obj, facts.frames)
        if facts.size > max(RATIO_FLOOR, RATIO * sum(map(len, streams))):
            raise UnsealableError("the image is too large for its stream", code="too_large")
        words: Words | None = None
        for number, stream in enumerate(streams):
            claims = _claims(syntax.codec, stream, facts)
            if not claims.lossless and lossy != "decode":
                raise _lossy()
            request = _request("decode", syntax.codec, claims, facts)
            frame = self._sandbox.call(request, stream, facts.size // facts.frames)
            if words is None:
                words = np.empty(facts.shape, facts.dtype)
            words[number] = np.frombuffer(frame, facts.dtype).reshape(facts.shape[1:])
        assert words is not None
        return words

    def encode(self, words: Words, facts: Facts, transfer_syntax_uid: str) -> bytes:
        """Return the items of an encapsulated value field that decodes to ``words``, exactly.

        :raises UnsealableError: there is no lossless encoder for the syntax
            (code ``no_encoder``), or what it made does not decode to the same.
        """
        if not self.can_encode(facts, transfer_syntax_uid):
            raise UnsealableError("the transfer syntax cannot be written", code="no_encoder")
        syntax = SYNTAXES[transfer_syntax_uid]
        # RLE carries whole words; so must the others if more than the samples is in them.
        plain = syntax.codec != "rle" and facts.bits_stored > 1 and Plane(words, facts).plain
        claims = Claims(
            rows=facts.rows,
            columns=facts.columns,
            samples=facts.samples_per_pixel,
            precision=facts.bits_stored if plain else facts.bits_allocated,
            lossless=True,
            signed=bool(facts.pixel_representation) and syntax.codec in {"jpeg_2000", "htj2k"},
            transformed=facts.photometric == "YBR_RCT",
        )
        request = _request("encode", syntax.codec, claims, facts)
        limit = 2 * facts.size // facts.frames + (1 << 16)
        return to_items([self._sandbox.call(request, frame.tobytes(), limit) for frame in words])


def _claims(codec: str, stream: bytes, facts: Facts) -> Claims:
    """What a stream says, checked against the header before it is decoded."""
    if codec == "rle":
        return Claims(
            facts.rows, facts.columns, facts.samples_per_pixel, facts.bits_allocated, lossless=True
        )
    claims = (read_jpeg2000 if codec in {"jpeg_2000", "htj2k"} else read_jpeg)(stream)
    same = (claims.rows, claims.columns, claims.samples) == facts.shape[1:]
    # With fewer bits than the header says, the sign must be where it says.
    sign = claims.precision >= facts.bits_stored or claims.signed == facts.pixel_representation
    if not same or not sign or claims.precision > facts.bits_allocated:
        raise UnsealableError("stream and header describe different images", code="decode_failed")
    return claims


def _request(do: str, codec: str, claims: Claims, facts: Facts) -> dict[str, Any]:
    return {
        "do": do,
        "codec": codec,
        "shape": facts.shape[1:],
        "bits": facts.bits_allocated,
        "two_complement": bool(facts.pixel_representation),
        "precision": claims.precision,
        "signed": claims.signed,
        "transformed": claims.transformed,
        "rgb": facts.photometric == "RGB",
    }


def _lossy() -> UnsealableError:
    return UnsealableError("the image was compressed with loss", code="lossy_syntax")

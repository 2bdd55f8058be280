"""The process that runs the codecs, apart from everything that must not die.

Reads requests from standard input and answers on standard output until the
input ends: ``u32 length | JSON | u32 length | bytes`` each way. Nothing that a
stream does to this process (crash, endless loop, memory) reaches the parent,
which sets the limits.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import imagecodecs
import jpeg_ls
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

_LENGTH = struct.Struct("<I")
_RLE_HEADER = struct.Struct("<16I")  # PS3.5 G.5
_MAX_SEGMENTS = 15


class Disagreement(Exception):  # noqa: N818 - a finding, not a failure
    """Two decoders gave different samples."""


def main() -> None:
    """Serve requests until standard input ends."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (head := _read(requests)) is not None:
        body = _read(requests)
        if body is None:
            return
        answer, result = _answer(json.loads(head), body)
        for part in (json.dumps(answer).encode(), result):
            answers.write(_LENGTH.pack(len(part)))
            answers.write(part)
        answers.flush()


def _read(stream: BinaryIO) -> bytes | None:
    length = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(length)[0]) if length else None


def _answer(request: dict[str, Any], body: bytes) -> tuple[dict[str, str], bytes]:
    try:
        if request["do"] == "encode":
            return {}, encode(request, body)
        return {}, decode(request, body).tobytes()
    except Disagreement:
        return {"error": "decode_disagree"}, b""
    except MemoryError:
        return {"error": "decode_limit"}, b""
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, OSError, struct.error):
        return {"error": "decode_failed"}, b""


def decode(request: dict[str, Any], stream: bytes) -> Array:
    """Return the words of one frame, as the request describes them.

    The request's ``shape`` is rows, columns, samples; ``precision`` and
    ``signed`` are the stream's; ``bits`` (8 or 16), ``stored`` and
    ``two_complement`` are the data set's.
    """
    shape = tuple(request["shape"])
    found = _DECODERS[request["codec"]](stream, request)
    if found.size != np.prod(shape) or found.shape[:2] != shape[:2]:
        raise ValueError("shape")
    if found.dtype.itemsize * 8 > request["bits"] or found.dtype.kind not in "iu":
        raise ValueError("dtype")
    words = found.reshape(shape).astype(f"<i{request['bits'] // 8}")
    precision = request["precision"]
    if request["two_complement"] and precision < request["bits"]:
        # These codecs carry the bits of a signed sample without its sign.
        if not request["signed"]:
            sign = words.dtype.type(1 << (precision - 1))
            words = (words ^ sign) - sign
    elif not request["two_complement"] and request["signed"]:
        words &= words.dtype.type((1 << precision) - 1)
    return words.view(f"<u{request['bits'] // 8}")


def encode(request: dict[str, Any], words: bytes) -> bytes:
    """Return a stream of one frame that :func:`decode` gives ``words`` back from.

    :raises ValueError: it does not.
    """
    shape = tuple(request["shape"])
    frame = np.frombuffer(words, f"<u{request['bits'] // 8}").reshape(shape)
    stream = _ENCODERS[request["codec"]](frame, request)
    if not np.array_equal(decode(request, stream), frame):
        raise ValueError("what was encoded does not decode to the same")
    return stream


def _decode_jpeg_lossless(stream: bytes, _request: dict[str, Any]) -> Array:
    """Two of three independent decoders must agree: one popular one is silently wrong."""
    results = _results(stream)
    try:
        first = next(results)
        second = next(results)
    except StopIteration:
        raise ValueError("fewer than two decoders can read it") from None
    if not np.array_equal(first, second):
        raise Disagreement
    return first


def _results(stream: bytes) -> Iterator[Array]:
    for decoder in (
        imagecodecs.jpeg8_decode,
        imagecodecs.jpegsof3_decode,
        imagecodecs.ljpeg_decode,
    ):
        try:
            yield decoder(stream)
        except (RuntimeError, ValueError):
            continue


def _encode_jpeg_lossless(frame: Array, request: dict[str, Any]) -> bytes:
    colour = "rgb" if frame.shape[2] > 1 else None
    return bytes(
        imagecodecs.jpeg8_encode(
            _squeezed(_masked(frame, request)),
            lossless=True,
            predictor=1,  # T.81 H.1.2.1; what Selection Value 1 of …4.70 demands
            bitspersample=request["precision"],
            colorspace=colour,
            outcolorspace=colour,
        )
    )


def _decode_jpeg(stream: bytes, request: dict[str, Any]) -> Array:
    # Without a marker of JFIF or Adobe the decoder would guess YCbCr for
    # three components; the header of the object knows better.
    marked = stream[2:4] in {b"\xff\xe0", b"\xff\xee"}
    colour = "rgb" if request["rgb"] and not marked else None
    return np.asarray(imagecodecs.jpeg8_decode(stream, colorspace=colour, outcolorspace=colour))


def _decode_jpegls(stream: bytes, _request: dict[str, Any]) -> Array:
    return np.asarray(imagecodecs.jpegls_decode(stream))


def _encode_jpegls(frame: Array, request: dict[str, Any]) -> bytes:
    rows, columns, samples = frame.shape
    if request["precision"] < request["bits"]:
        try:  # this encoder writes as many bits as are stored
            return bytes(
                jpeg_ls.encode_buffer(
                    _masked(frame, request).tobytes(),
                    rows,
                    columns,
                    samples,
                    request["precision"],
                    interleave_mode=2 if samples > 1 else 0,  # T.87 C.2.3: colour by pixel
                )
            )
        except RuntimeError:  # and has no buffer for a stream longer than the words
            request["precision"] = request["bits"]
    return bytes(imagecodecs.jpegls_encode(_squeezed(frame)))


def _decode_jpeg2000(stream: bytes, _request: dict[str, Any]) -> Array:
    return np.asarray(imagecodecs.jpeg2k_decode(stream))


def _encode_jpeg2000(frame: Array, request: dict[str, Any]) -> bytes:
    kind = "i" if request["signed"] else "u"
    return bytes(
        imagecodecs.jpeg2k_encode(
            _squeezed(frame.view(frame.dtype.str.replace("u", kind))),
            level=0,
            codecformat="J2K",
            bitspersample=request["precision"],
            reversible=True,
            mct=request["transformed"],
        )
    )


def _encode_htj2k(frame: Array, request: dict[str, Any]) -> bytes:
    kind = "i" if request["signed"] else "u"
    return bytes(
        imagecodecs.htj2k_encode(
            _squeezed(frame.view(frame.dtype.str.replace("u", kind))),
            rgb=request["transformed"],
            reversible=True,
            tlm=True,
        )
    )


def _decode_rle(stream: bytes, request: dict[str, Any]) -> Array:
    """PS3.5 annex G: one PackBits segment for each byte of each sample, highest byte first."""
    rows, columns, samples = request["shape"]
    count, *offsets = _RLE_HEADER.unpack_from(stream)
    width = request["bits"] // 8
    if count != samples * width or count > _MAX_SEGMENTS or offsets[0] != _RLE_HEADER.size:
        raise ValueError("segments")
    ends = [*offsets[1:count], len(stream)]
    planes = np.empty((samples, width, rows * columns), np.uint8)
    for segment in range(count):
        start, end = offsets[segment], ends[segment]
        if not _RLE_HEADER.size <= start <= end <= len(stream):
            raise ValueError("offsets")
        plane = planes[segment // width, width - 1 - segment % width]
        unpacked = imagecodecs.packbits_decode(stream[start:end], out=plane.size + 1)
        if len(unpacked) < plane.size:
            raise ValueError("segment is too short")
        plane[:] = np.frombuffer(unpacked, np.uint8, plane.size)
    words = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f"<u{width}")
    return words.reshape(samples, rows, columns).transpose(1, 2, 0)


def _encode_rle(frame: Array, request: dict[str, Any]) -> bytes:
    width = request["bits"] // 8
    bytes_of = np.ascontiguousarray(frame).view(np.uint8).reshape(*frame.shape, width)
    segments = []
    for sample in range(frame.shape[2]):
        for byte in reversed(range(width)):
            plane = bytes_of[:, :, sample, byte].copy()
            segment = bytes(imagecodecs.packbits_encode(plane, axis=-1))
            segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [_RLE_HEADER.size]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    padding = [0] * (_MAX_SEGMENTS - len(segments))
    return _RLE_HEADER.pack(len(segments), *offsets, *padding) + b"".join(segments)


def _masked(frame: Array, request: dict[str, Any]) -> Array:
    """The bits that codecs without signed samples carry."""
    masked: Array = frame & frame.dtype.type((1 << request["precision"]) - 1)
    return masked


def _squeezed(frame: Array) -> Array:
    return frame[..., 0] if frame.shape[2] == 1 else frame


_DECODERS: dict[str, Callable[[bytes, dict[str, Any]], Array]] = {
    "rle": _decode_rle,
    "jpeg": _decode_jpeg,
    "jpeg_lossless": _decode_jpeg_lossless,
    "jpeg_ls": _decode_jpegls,
    "jpeg_2000": _decode_jpeg2000,
    "htj2k": _decode_jpeg2000,
}
_ENCODERS: dict[str, Callable[[Array, dict[str, Any]], bytes]] = {
    "rle": _encode_rle,
    "jpeg_lossless": _encode_jpeg_lossless,
    "jpeg_ls": _encode_jpegls,
    "jpeg_2000": _encode_jpeg2000,
    "htj2k": _encode_htj2k,
}

if __name__ == "__main__":
    main()

"""What the headers of JPEG, JPEG-LS and JPEG 2000 streams claim, read before any decoder runs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node.errors import UnsealableError

_SOF_LOSSLESS = 0xC3
_SOF_LS = 0xF7  # ITU-T T.87 C.1.1
# ITU-T T.81 table B.1: C4, C8 and CC mean other things.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_SOF_LS}
_SOS = 0xDA
_EOI = 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_SIZ = 0xFF51
_COD = 0xFF52
_SOT = 0xFF90
_REVERSIBLE = 1  # ITU-T T.800 table A.20: the 5-3 filter


@dataclass(frozen=True, slots=True)
class Claims:
    """What a stream says of itself.

    :param lossless: whether its coding process can give back every sample.
    :param transformed: whether JPEG 2000's component transformation is used.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    lossless: bool
    signed: bool = False
    transformed: bool = False


def read_jpeg(stream: bytes) -> Claims:
    """Return the claims of a JPEG or JPEG-LS stream.

    :raises UnsealableError: it is none (code ``decode_failed``).
    """
    if stream[:2] != b"\xff\xd8":
        raise _failed()
    frame: tuple[int, int, int, int, int] | None = None
    at = 2
    try:
        while stream[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
            marker = stream[at + 1]
            if marker == 0xFF:  # noqa: PLR2004 - fill byte, T.81 B.1.1.2
                at += 1
                continue
            if marker in _ALONE:
                at += 2
                continue
            (length,) = struct.unpack_from(">H", stream, at + 2)
            if marker in _SOF:
                frame = marker, *struct.unpack_from(">BHHB", stream, at + 4)
            if marker == _SOS and frame is not None:
                near = stream[at + 5 + 2 * stream[at + 4]]
                kind, precision, rows, columns, samples = frame
                lossless = kind == _SOF_LOSSLESS or (kind == _SOF_LS and near == 0)
                return Claims(rows, columns, samples, precision, lossless)
            if marker in {_SOS, _EOI}:
                break
            at += 2 + length
    except (IndexError, struct.error):
        pass
    raise _failed()


def read_jpeg2000(stream: bytes) -> Claims:
    """Return the claims of a bare JPEG 2000 codestream, high-throughput or not.

    :raises UnsealableError: it is none, or wrapped in boxes, which PS3.5
        A.4.4 forbids and which can carry a palette (code ``decode_failed``).
    """
    if stream[:4] != b"\xff\x4f\xff\x51":
        raise _failed()
    at = 2
    size: tuple[int, ...] = ()
    depths: set[int] = set()
    subsampled = False
    try:
        while True:
            marker, length = struct.unpack_from(">HH", stream, at)
            if marker == _SIZ:
                size = struct.unpack_from(">8IH", stream, at + 6)
                if size[8] > 4:  # noqa: PLR2004 - components; no image here has more
                    raise _failed()
                for component in range(size[8]):
                    depth, across, down = stream[at + 40 + 3 * component : at + 43 + 3 * component]
                    depths.add(depth)
                    subsampled |= (across, down) != (1, 1)
            elif marker == _COD:
                transformed, kind = stream[at + 8], stream[at + 13]
                break
            elif marker == _SOT:
                raise _failed()
            at += 2 + length
    except (IndexError, ValueError, struct.error):
        raise _failed() from None
    if len(depths) != 1 or subsampled:
        raise _failed()
    (depth,) = depths
    return Claims(
        rows=size[1] - size[3],
        columns=size[0] - size[2],
        samples=size[8],
        precision=(depth & 0x7F) + 1,
        lossless=kind == _REVERSIBLE,
        signed=bool(depth & 0x80),
        transformed=bool(transformed),
    )


def _failed() -> UnsealableError:
    return UnsealableError("the stream is damaged or of another kind", code="decode_failed")

"""Histogram shifting: Ni, Shi, Ansari and Su, "Reversible data hiding", IEEE Trans. Circuits
Syst. Video Technol. 16 (2006) 354.

Values between a peak of the histogram and its least value are shifted by one
towards the latter; samples at the peak then carry a bit each. Where the least
value occurs, its places go with the payload. One pass after the other, each
with its own pair, until everything has found room. Two choices of pairs are
tried: the highest peak, as in the paper, and the pair that carries most for each
sample that it shifts.

What the paper hands to the receiver beside the image (peak and least value)
lies here in the lowest bits of the first samples, whose own bits go with the
payload: the payload is net.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.baselines.container import NoRoomError, bits_of, bytes_of, number, put, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.baselines.container import Bits, Samples

NAME = "Ni 2006"
LEVEL, LENGTH, PASSES = 8, 20, 32
HEADER = 2 * LEVEL + LENGTH + 1  # peak, least, bits of payload, whether a pass came before
PLACES = np.arange(HEADER)


def embed(image: NDArray[np.uint8], payload: bytes) -> NDArray[np.uint8]:
    """Return the marked image.

    :raises NoRoomError: the payload does not fit.
    """
    tries = [_passes(image, bits_of(payload), thrifty=thrifty) for thrifty in (False, True)]
    done = [found for found in tries if found is not None]
    if not done:
        raise NoRoomError(NAME)
    return min(done, key=lambda found: float(np.sum((found.astype(np.int64) - image) ** 2)))


def _passes(image: NDArray[np.uint8], rest: Bits, *, thrifty: bool) -> NDArray[np.uint8] | None:
    flat = image.astype(np.int64).reshape(-1)
    for turn in range(PASSES):
        try:
            rest = _put(flat, rest, first=turn == 0, thrifty=thrifty)
        except NoRoomError:
            return None
        if not len(rest):
            return flat.reshape(image.shape).astype(np.uint8)
    return None


def extract(marked: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint8]]:
    """Return the payload and the image as it was."""
    flat = marked.astype(np.int64).reshape(-1)
    parts: list[Bits] = []
    more = True
    while more:
        part, more = _take(flat)
        parts.insert(0, part)
    return bytes_of(np.concatenate(parts)), flat.reshape(marked.shape).astype(np.uint8)


def _put(flat: Samples, rest: Bits, *, first: bool, thrifty: bool) -> Bits:
    """Embed what fits in one pass; return what is left."""
    body = flat[HEADER:]
    counts = np.bincount(body, minlength=256)
    width = max(1, (len(flat) - 1).bit_length())
    peak, least = _pair(counts, width, len(rest), thrifty=thrifty)
    lost = np.flatnonzero(body == least)
    listed = np.concatenate(
        [number(len(lost), width), *(number(int(place), width) for place in lost)]
    )
    room = int(counts[peak]) - len(listed) - HEADER
    part, rest = rest[:room], rest[room:]
    header = np.concatenate(
        [number(peak, LEVEL), number(least, LEVEL), number(len(part), LENGTH),
         number(int(not first), 1)]
    )  # fmt: skip
    saved = put(flat, PLACES, header)
    way = 1 if least > peak else -1
    between = (body - peak) * way > 0
    between &= (least - body) * way > 0
    at_peak = np.flatnonzero(body == peak)
    body[between] += way
    message = np.concatenate([saved, listed, part])
    body[at_peak[: len(message)]] += way * message.astype(np.int64)
    return rest


def _pair(counts: Samples, width: int, wanted: int, *, thrifty: bool) -> tuple[int, int]:
    """Return the peak and the least value that carry most; if thrifty, for each sample shifted.

    :raises NoRoomError: none carries anything.
    """
    room = counts[:, None] - width * (counts[None, :] + 1) - HEADER
    np.fill_diagonal(room, 0)
    below = np.concatenate([[0], np.cumsum(counts)])
    low, high = np.sort(np.indices(room.shape), axis=0)
    shifted = below[high] - below[np.minimum(low + 1, high)] + counts[:, None] // 2
    worth = np.minimum(room, wanted) / np.maximum(shifted, 1) if thrifty else room - 1e-6 * shifted
    peak, least = np.unravel_index(np.argmax(worth), worth.shape)
    if room[peak, least] <= 0:
        raise NoRoomError(NAME)
    return int(peak), int(least)


def _take(flat: Samples) -> tuple[Bits, bool]:
    """Undo the last pass; return its bits, and whether a pass came before."""
    header = (flat[PLACES] & 1).astype(np.uint8)
    peak, least = value(header[:LEVEL]), value(header[LEVEL : 2 * LEVEL])
    size = value(header[2 * LEVEL : 2 * LEVEL + LENGTH])
    way = 1 if least > peak else -1
    body = flat[HEADER:]
    width = max(1, (len(flat) - 1).bit_length())
    carriers = np.flatnonzero((body == peak) | (body == peak + way))
    message = (body[carriers] != peak).astype(np.uint8)
    count = value(message[HEADER : HEADER + width])
    start = HEADER + width * (count + 1)
    listed = message[HEADER + width : start].reshape(count, width)
    lost = [value(row) for row in listed]
    moved = ((body - peak) * way > 0) & ((least - body) * way >= 0)
    body[moved] -= way
    body[lost] = least
    put(flat, PLACES, message[:HEADER])
    return message[start : start + size], bool(header[-1])

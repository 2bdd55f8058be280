"""Dispersal: n chunks of which any k give the whole back, each a k-th as long. No secrecy.

Source: Rabin 1989, "Efficient dispersal of information"; the systematic code of
docs/formats/share-v1.md, section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.crypto.shares import field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Buffer = bytes | bytearray | memoryview


def chunk_bytes(length: int, k: int) -> int:
    """Return how long each chunk of so many bytes is."""
    return -(-length // (k * field.STRIPS)) * field.STRIPS


def disperse(parts: Sequence[NDArray[np.uint8]], more: Sequence[NDArray[np.uint8]]) -> None:
    """Write the chunks k + 1 to n; the first k are the parts of what is dispersed.

    :param parts: k flat arrays, uint8, each :func:`chunk_bytes` long.
    :param more: n - k such arrays.
    """
    if more:
        k = len(parts)
        field.apply(field.interpolation(range(k), range(k, k + len(more))), parts, more)


def gather(chunks: Mapping[int, Buffer], k: int) -> list[Buffer]:
    """Return the parts of what was dispersed.

    :param chunks: any k of them, equally long, by number, counting from 0.
    """
    known = sorted(chunks)
    rows = [np.frombuffer(chunks[number], np.uint8) for number in known]
    lost = [number for number in range(k) if number not in chunks]
    found = [np.empty(len(rows[0]), np.uint8) for _ in lost]
    if lost:
        field.apply(field.interpolation(known, lost), rows, found)
    again = dict(zip(lost, (row.data for row in found), strict=True))
    return [again[number] if number in again else chunks[number] for number in range(k)]

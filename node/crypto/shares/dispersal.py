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


def disperse(padded: NDArray[np.uint8], k: int, chunks: Sequence[NDArray[np.uint8]]) -> None:
    """Write n chunks; the first k are the parts of what is dispersed.

    :param padded: uint8, k times :func:`chunk_bytes` long, zeros at the end.
    :param chunks: n flat arrays, uint8, each :func:`chunk_bytes` long.
    """
    rows = list(padded.reshape(k, -1))
    for chunk, row in zip(chunks[:k], rows, strict=True):
        chunk[:] = row
    if len(chunks) > k:
        field.apply(field.interpolation(range(k), range(k, len(chunks))), rows, chunks[k:])


def gather(chunks: Mapping[int, Buffer], k: int) -> NDArray[np.uint8]:
    """Return what was dispersed, with its padding.

    :param chunks: any k of them, equally long, by number, counting from 0.
    """
    known = sorted(chunks)
    rows = [np.frombuffer(chunks[number], np.uint8) for number in known]
    whole = np.empty((k, len(rows[0])), np.uint8)
    for number, row in zip(known, rows, strict=True):
        if number < k:
            whole[number] = row
    lost = [number for number in range(k) if number not in chunks]
    if lost:
        field.apply(field.interpolation(known, lost), rows, [whole[number] for number in lost])
    return whole.reshape(-1)

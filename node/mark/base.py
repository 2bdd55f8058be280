"""The seam of the mark: one law, ``extract(embed(carrier, payload)) == (payload, carrier)``.

An embedder whose traits say that it is not reversible keeps half of it: the
payload comes back, the carrier does not. The node's routes never use one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from node.mark.tiles import Field
    from node.types import Carrier, Extraction


@dataclass(frozen=True, slots=True)
class Traits:
    """What an embedder can do.

    :param reversible: taking the mark out gives the samples as they were.
        Without it, ``extract`` gives the samples as found.
    :param localises: an edit is told and placed. Without it, ``altered`` is
        empty whatever happened.
    :param robust: the payload survives loss, such as JPEG.
    """

    reversible: bool
    localises: bool
    robust: bool


class Embedder(Protocol):
    """Hides bytes in samples so that both come back, bit for bit."""

    name: str
    """The wire name, such as ``tiles-1``; frozen once released."""

    traits: Traits
    """What it can do, and so what it cannot."""

    def capacity(self, carrier: Carrier) -> int:
        """Return how many payload bytes surely fit (0 for none)."""
        ...

    def embed(self, carrier: Carrier, payload: bytes, key: bytes) -> NDArray[np.int32]:
        """Return the marked samples, every one inside its bounds.

        Deterministic; changes no sample that may not move.

        :param key: 32 bytes, secret; without it the mark cannot be forged.
        :raises DoesNotFitError: the carrier cannot hold the payload.
        """
        ...

    def extract(self, carrier: Carrier, key: bytes) -> Extraction:
        """Read the mark and take it out again.

        The carrier holds the samples as found, with bounds computed from them.

        :raises UnmarkedError: there is no mark under this key.
        """
        ...


class Kernel(Protocol):
    """Hides data in the tiles of one field; all kernels give the same samples."""

    name: str

    def __init__(self, field: Field) -> None: ...

    def rooms(self, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        ...

    def choose(self, size: int, amplitude: int) -> tuple[list[int], set[int]]:
        """Return for each tile the header that should carry a shard at least harm, or -1.

        And the tiles for which that is doubtful.
        """
        ...

    def second(
        self, data: Mapping[int, tuple[int, bytes]], amplitude: int, most: int
    ) -> dict[int, int]:
        """Return for tiles where data does not fit the best other header by which it would.

        Those without any are left out; once they are more than ``most``, so are all others.
        """
        ...

    def hide(self, data: Mapping[int, tuple[int, bytes]], marked: NDArray[np.int32]) -> set[int]:
        """Write tiles, by header and data, into ``marked``; return those that are too full."""
        ...

    def reveal(self) -> tuple[NDArray[np.int32], dict[int, tuple[int, bytes]]]:
        """Return the samples before, and header and data of each tile; proves nothing."""
        ...

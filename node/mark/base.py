"""The seam of the mark: one law, ``extract(embed(carrier, payload)) == (payload, carrier)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from node.types import Carrier, Extraction


class Embedder(Protocol):
    """Hides bytes in samples so that both come back, bit for bit."""

    name: str
    """The wire name, such as ``tiles-1``; frozen once released."""

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

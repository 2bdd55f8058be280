"""Having the fast path of the mark compiled, or loaded, before the first image needs it."""

from __future__ import annotations

import numpy as np

from node.mark import quality
from node.mark.embedder import TiledEmbedder
from node.mark.fine.embedder import FineEmbedder
from node.types import Carrier

KEY = bytes(32)
PAYLOAD = bytes(600)  # so that some tile is too full at first


def rehearse(*, finer: bool = False) -> None:
    """Mark and read a made-up image for each kind of bounds, shallow and deep.

    :param finer: one by the finer mark, too.
    """
    rows, columns = np.mgrid[0:256, 0:256]
    calm = (rows * 3 + columns * 5 + (rows * columns) % 7).astype(np.int32)
    # The kernel works on 16 bits where the samples span less than 13, else on 32.
    for image in (calm, calm * 9):
        for shape in ((), image.shape):
            low, high = np.full(shape, 0, np.int32), np.full(shape, 32767, np.int32)
            marked = TiledEmbedder().embed(Carrier(image, low, high, 256), PAYLOAD, KEY)
            quality.measure(image, marked, 15)
            TiledEmbedder().extract(Carrier(marked, low, high, 256), KEY)
        TiledEmbedder().capacity(Carrier(image, low, high, 256))
    if finer:
        fine = FineEmbedder(whole=True)
        marked = fine.embed(Carrier(calm, low, high, 256), PAYLOAD, KEY)
        fine.extract(Carrier(marked, low, high, 256), KEY)

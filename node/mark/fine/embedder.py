"""The finer reversible mark, ``tiles-2``, behind the seam of :mod:`node.mark.base`.

It shares grids, frames, shards and tags with ``tiles-1``, and hides what a
tile carries with less harm, in more time. Format: docs/formats/mark-v2.md.
"""

from __future__ import annotations

import struct
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from node.mark.embedder import TiledEmbedder
from node.mark.fine.kernel import FineKernel
from node.mark.fine.plain import PlainEngine
from node.mark.framing import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.mark.base import Kernel
    from node.mark.fine.kernel import Engine
    from node.mark.tiles import Field

TILES_2 = Dialect(b"tiles-2", struct.Struct(">II"))


class FineEmbedder(TiledEmbedder):
    """Marks tile by tile as :class:`TiledEmbedder` does: better over one tile, and slower.

    The parameters, and what they mean, are the same.
    """

    name = "tiles-2"
    dialect = TILES_2

    def _choose(self, kernel: str) -> Callable[[Field], Kernel]:
        return partial(FineKernel, engine=_engine(kernel))


def _engine(name: str) -> Engine:
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return PlainEngine()
    if name in {"numba", "auto"}:
        from node.mark.fine.fast import NumbaEngine  # noqa: PLC0415 - an extra that may be absent

        return NumbaEngine()
    raise ValueError(f"no kernel is called {name!r}")

"""A marker and an examiner with real parts and keys that only memory holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.data import get_testdata_file

from node.mark.embedder import TiledEmbedder
from node.seal import Marker
from node.sealing.order import Order
from node.verify import Examiner

if TYPE_CHECKING:
    from node.crypto.keyring import MemoryKeys

RECEIVED_AT = 1_700_000_000.0
ORDER = Order(received_at=RECEIVED_AT)


def sample(name: str) -> bytes:
    """Return a file of pydicom's, or of its data package; never from a network."""
    path = get_testdata_file(name, download=False)
    assert path, f"{name} is not installed"
    return Path(str(path)).read_bytes()


def marker(keys: MemoryKeys, codec=None) -> Marker:
    mark = TiledEmbedder()
    return Marker(keys.sealer(), mark, codec, Examiner(keys.prover(), mark, codec))


def examiner(keys: MemoryKeys, codec=None) -> Examiner:
    return Examiner(keys.opener(), TiledEmbedder(), codec)

"""How little the reversible mark changes, at equal net payload, beside the baselines."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.baselines import ni, planes, sachnev
from bench.baselines.container import NoRoomError
from bench.robust import load
from node.errors import DoesNotFitError
from node.mark.embedder import TiledEmbedder
from node.mark.fine.embedder import FineEmbedder
from node.mark.quality import measure
from node.mark.tiles import BIG

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from node.types import Carrier

KEY = bytes(range(32))
BITS = (10_000, 20_000)
"""Net payloads of the literature."""

BYTES = (256, 1024, 4096, 16384)
"""Net payloads of medical files: a record, one with a logo, one with a coarse copy, and plenty."""

PICTURES = (".png", ".bmp", ".pgm", ".tif", ".tiff")
BASELINES: tuple[ModuleType, ...] = (sachnev, ni, planes)
OURS = {
    "tiles-2, one tile": FineEmbedder(whole=True),
    "tiles-1, one tile": TiledEmbedder(whole=True),
    "tiles-1": TiledEmbedder(),
}
METHODS = (*OURS, *(one.NAME for one in BASELINES))
GOALS = {
    "cb68a23f9d418214": ("Lena", (62.2, 58.5)),
    "9a6238be18d05766": ("Barbara", (62.0, 58.1)),
    "b6c8cbadd4f8a7ea": ("Peppers", (60.1, 56.0)),
    "5da692fdfdddeb62": ("Plane", (64.2, 60.5)),
    "db1aa1de99123929": ("Baboon", (56.3, 50.2)),
}
"""Goals of single pictures, known by the start of the SHA-256 of their samples: several that
differ by almost 1 dB go by the same name."""


def pictures(folder: Path) -> list[Path]:
    """Return the 8-bit pictures of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def published(path: Path) -> dict[str, Any]:
    """Return PSNR at the payloads of the literature, by method; None where it does not fit."""
    scene = load(path.stem, path)
    image = scene.carrier.samples.astype(np.uint8)
    name, goals = GOALS.get(hashlib.sha256(image.tobytes()).hexdigest()[:16], (path.stem, ()))
    rows = []
    for index, bits in enumerate(BITS):
        payload = np.random.default_rng(bits).bytes(bits // 8)
        found = {key: _ours(scene.carrier, payload, one, 8) for key, one in OURS.items()}
        decibels = {key: row and row["psnr"] for key, row in found.items()}
        decibels |= {one.NAME: _theirs(image, payload, one) for one in BASELINES}
        goal = goals[index] if goals else None
        rows.append({"bits": bits, "psnr": decibels, "goal": goal})
    return {"image": name, "rows": rows}


def medical(name: str, carrier: Carrier) -> dict[str, Any]:
    """Return what payloads of several lengths cost one medical image, in tiles and as one.

    The finer mark is left out where it would not be one tile.
    """
    bits = (int(carrier.high.max()) - int(carrier.low.min())).bit_length()
    rows = []
    for size in BYTES:
        payload = np.random.default_rng(size).bytes(size)
        found = {
            key: _ours(carrier, payload, one, bits)
            for key, one in OURS.items()
            if one.name == "tiles-1" or carrier.samples.size <= BIG
        }
        rows.append({"bytes": size, "found": found})
    return {"image": name, "bits": bits, "rows": rows}


def _ours(
    carrier: Carrier, payload: bytes, embedder: TiledEmbedder, bits: int
) -> dict[str, Any] | None:
    """Return what one mark costs; None where it does not fit.

    :raises AssertionError: it does not come back exactly.
    """
    try:
        marked = embedder.embed(carrier, payload, KEY)
    except DoesNotFitError:
        return None
    found = embedder.extract(replace(carrier, samples=marked), KEY)
    _insist(embedder.name, found.payload == payload, found.samples, carrier.samples)
    seen = measure(carrier.samples, marked, bits)
    return {
        "psnr": round(seen.psnr_stored, 2),
        "psnr_data": round(seen.psnr_data, 2),
        "max_change": seen.max_change,
        "tiles": found.tiles,
    }


def _theirs(image: NDArray[np.uint8], payload: bytes, method: ModuleType) -> float | None:
    try:
        marked = method.embed(image, payload)
    except NoRoomError:
        return None
    back, restored = method.extract(marked)
    _insist(method.NAME, back == payload, restored, image)
    return round(measure(image.astype(np.int32), marked.astype(np.int32), 8).psnr_stored, 2)


def _insist(name: str, same: bool, restored: NDArray[Any], image: NDArray[Any]) -> None:  # noqa: FBT001
    if not same or not np.array_equal(restored, image):
        raise AssertionError(f"{name} did not give payload and image back")

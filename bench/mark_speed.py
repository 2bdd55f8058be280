"""Measure the speed of the reversible mark: scripts/bench mark_speed [FILE...].

CPU time of one process (``time.process_time``), best of some runs, compiled
code warm. Prints JSON; :func:`measure` is there for other benches.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from node.dicom import pixels, reader
from node.dicom.codecs import Decoder
from node.errors import DoesNotFitError
from node.mark import quality
from node.mark.embedder import TiledEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.types import Carrier

NAMES = {
    "CT 512x512, 14 bits": "693_UNCR.dcm",
    "CT 128x128, 16 bits": "CT_small.dcm",
    "MR 484x484": "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "MR 1024x1024": "MR2_UNCR.dcm",
    "US 640x480, colour": "US1_UNCR.dcm",
    "MR, 10 frames": "emri_small.dcm",
    "CR 1760x1760, 10 bits": "RG3_UNCR.dcm",
    "CR 1955x1841, 15 bits, noisy": "RG1_UNCR.dcm",
}
"""pydicom's own files."""

LARGE = "DX 2560x4096, 14 bits (made of a CR)"
KEY = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of CPU time that one image takes, and what it looks like afterwards.

    ``embed`` and ``extract`` are None where the payload does not fit.
    """

    name: str
    megabytes: float  #: of samples as two bytes each
    payload: int
    embed: float | None = None
    extract: float | None = None
    psnr: float | None = None  #: against the range that the bounds allow
    change: int | None = None


def measure(name: str, carrier: Carrier, payload: bytes, *, runs: int = 5) -> Speed:
    """Time embedding and extraction; the least of ``runs``, after one that does not count."""
    embedder = TiledEmbedder()
    megabytes = carrier.samples.size * 2 / 1e6
    try:
        embed, marked = _least(lambda: embedder.embed(carrier, payload, KEY), runs)
    except DoesNotFitError:
        return Speed(name, megabytes, len(payload))
    copy = replace(carrier, samples=marked)
    extract, found = _least(lambda: embedder.extract(copy, KEY), runs)
    if found.payload != payload or not np.array_equal(found.samples, carrier.samples):
        raise AssertionError(f"{name}: not restored")
    bits = (int(carrier.high.max()) - int(carrier.low.min())).bit_length()
    seen = quality.measure(carrier.samples, marked, bits)
    return Speed(name, megabytes, len(payload), embed, extract, seen.psnr_stored, seen.max_change)


def _least(work: Callable, runs: int) -> tuple:
    work()
    least = float("inf")
    for _ in range(runs):
        start = time.process_time()
        result = work()
        least = min(least, time.process_time() - start)
    return least, result


def carriers(paths: list[Path]) -> list[tuple[str, Carrier]]:
    """Return the carriers of the files, or of pydicom's and a large one made of them."""
    files = {path.name: path for path in paths} or {
        name: Path(get_testdata_file(file)) for name, file in NAMES.items()
    }
    with Decoder() as codec:
        found = [
            (name, pixels.load(reader.read(path.read_bytes()), codec, lossy="decode").carrier)
            for name, path in files.items()
        ]
    if not paths:
        found.append((LARGE, large(found[-1][1])))
    return found


def large(carrier: Carrier) -> Carrier:
    """Return an image of 21 MB: another one and its mirror images, one bit less deep."""
    quarter = carrier.samples[:1280] >> 1
    half = np.hstack([quarter, quarter[:, ::-1], quarter[:, : 4096 - 2 * quarter.shape[1]]])
    samples = np.ascontiguousarray(np.vstack([half, half[::-1]]))
    return replace(
        carrier, samples=samples, high=carrier.high >> 1, frame_rows=len(samples), padding=None
    )


def main() -> None:
    """Print one JSON object for each file and size of payload."""
    parser = argparse.ArgumentParser(prog="scripts/bench mark_speed", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="DICOM files; default: pydicom's")
    parser.add_argument("--payload", type=int, default=1024, help="bytes")
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    payload = np.random.default_rng(1).bytes(chosen.payload)
    speeds = [
        asdict(measure(name, carrier, payload, runs=chosen.runs))
        for name, carrier in carriers(chosen.files)
    ]
    json.dump(speeds, sys.stdout, indent=1)


if __name__ == "__main__":
    main()

"""What each classical method survives: scripts/bench classical [--help].

Every picture is marked with a payload and attacked; the share of payloads that
read back exactly is printed as a Markdown table, and written as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.lab.circumstances import RESULTS, circumstances
from node.dicom import pixels, reader
from node.errors import DoesNotFitError, SealnodeError
from node.mark.classical.dct import CosineEmbedder
from node.mark.classical.dft import FourierEmbedder
from node.mark.classical.dwt_svd import SingularValueEmbedder
from node.mark.classical.lsb import LsbEmbedder
from node.mark.quality import measure
from node.mark.strength import displayed
from node.sealing.copies import window_of
from node.types import Carrier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from node.mark.base import Embedder

NAMES = "693_UNCR.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm", "MR2_UNCR.dcm", "RG3_UNCR.dcm"
METHODS: tuple[Embedder, ...] = (
    LsbEmbedder(), CosineEmbedder(), FourierEmbedder(), SingularValueEmbedder(),
)  # fmt: skip


def saved(kind: str, **how: object) -> Callable[[Image.Image, int], Image.Image]:
    def attack(picture: Image.Image, _: int) -> Image.Image:
        out = io.BytesIO()
        picture.save(out, kind, **how)
        return Image.open(out).convert("L")

    return attack


def noisy(sigma: float) -> Callable[[Image.Image, int], Image.Image]:
    def attack(picture: Image.Image, seed: int) -> Image.Image:
        noise = np.random.default_rng(seed).normal(0, sigma, (picture.height, picture.width))
        return values(np.asarray(picture) + noise)

    return attack


def values(samples: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(samples), 0, 255).astype(np.uint8))


def halved(picture: Image.Image, _: int) -> Image.Image:
    small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


ATTACKS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "nothing": lambda picture, _: picture,
    "JPEG 90": saved("JPEG", quality=90),
    "JPEG 70": saved("JPEG", quality=70),
    "JPEG 50": saved("JPEG", quality=50),
    "JPEG 30": saved("JPEG", quality=30),
    "JPEG 2000 10:1": saved(
        "JPEG2000", quality_mode="rates", quality_layers=[10], irreversible=True
    ),
    "noise 3": noisy(3),
    "median 3": lambda picture, _: picture.filter(ImageFilter.MedianFilter(3)),
    "half size and back": halved,
    "brighter by 10": lambda picture, _: values(np.asarray(picture).astype(float) + 10),
    "gamma 0.9": lambda picture, _: values(255 * (np.asarray(picture) / 255.0) ** 0.9),
    "shifted by 8": lambda picture, _: values(np.roll(np.asarray(picture), (8, 8), (0, 1))),
    "burnt-in box": lambda picture, _: boxed(picture),
    "turned by 1 degree": lambda picture, _: picture.rotate(1, Image.Resampling.BICUBIC),
}


def boxed(picture: Image.Image) -> Image.Image:
    changed = picture.copy()
    changed.paste(255, (20, 20, 20 + picture.width // 4, 20 + picture.height // 8))
    return changed


def pictures(folder: Path | None) -> Iterator[np.ndarray]:
    """Yield pictures of 8 bits: those of a folder, or DICOM test images through their window."""
    for path in sorted(folder.iterdir()) if folder else []:
        yield np.asarray(Image.open(path).convert("L")).astype(np.int32)
    for name in [] if folder else NAMES:
        found = get_testdata_file(name, download=False)
        if found:
            image = pixels.load(reader.read(Path(str(found)).read_bytes()))
            yield displayed(image.carrier.samples, window_of(image)).astype(np.int32)


def carrier_of(samples: np.ndarray) -> Carrier:
    return Carrier(samples, np.array([[0]], np.int32), np.array([[255]], np.int32), len(samples))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of pictures")
    parser.add_argument("--bytes", type=int, default=16, help="payload (default: 16)")
    parser.add_argument("--seeds", type=int, default=5, help="messages a picture (default: 5)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for classical.json")
    args = parser.parse_args()
    about = circumstances()
    good = {name: [0] * len(METHODS) for name in ATTACKS}
    decibels: list[list[float]] = [[] for _ in METHODS]
    rooms: list[list[int]] = [[] for _ in METHODS]
    tries = 0
    for samples in pictures(args.images):
        clean = carrier_of(samples)
        for index, method in enumerate(METHODS):
            rooms[index].append(method.capacity(clean))
        for seed in range(args.seeds):
            tries += 1
            random = np.random.default_rng(seed)
            key, payload = random.bytes(32), random.bytes(args.bytes)
            for index, method in enumerate(METHODS):
                try:
                    marked = method.embed(clean, payload, key)
                except DoesNotFitError:
                    continue
                decibels[index].append(measure(samples, marked, 8).psnr_stored)
                for name, attack in ATTACKS.items():
                    copy = np.asarray(attack(values(marked), seed)).astype(np.int32)
                    try:
                        found = method.extract(replace(clean, samples=copy), key).payload
                    except SealnodeError:
                        found = None
                    good[name][index] += found == payload
    rows = {
        "capacity, bytes": [f"{min(room)} to {max(room)}" for room in rooms],
        "PSNR, dB": [f"{min(d):.1f} to {max(d):.1f}" for d in decibels],
    }
    rows |= {name: [f"{100 * n / tries:.0f} %" for n in counts] for name, counts in good.items()}
    names = [method.name for method in METHODS]
    print("| | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(METHODS))
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")
    report = about | {"bytes": args.bytes, "tries": tries, "methods": names, "rows": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "classical.json").write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

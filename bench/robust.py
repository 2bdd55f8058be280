"""Measure the robust mark: scripts/bench robust [--help].

Every image is marked with several messages, every copy attacked with several
seeds, and read without knowing what was done to it. Writes JSON and Markdown.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from node.dicom import pixels, reader
from node.dicom.codecs import Decoder
from node.errors import DoesNotFitError, SealnodeError
from node.mark import robust
from node.mark.embedder import TiledEmbedder
from node.mark.finding import find
from node.mark.message import own
from node.mark.quality import measure
from node.mark.strength import displayed
from node.sealing.copies import window_of
from node.types import Carrier

if TYPE_CHECKING:
    from collections.abc import Callable

    Picture = Image.Image
    Random = np.random.Generator

NAMES = {
    "ct-head": "693_UNCR.dcm",
    "mr-head": "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "mr-1024": "MR2_UNCR.dcm",
    "cr-chest": "RG3_UNCR.dcm",
    "us-colour": "US1_UNCR.dcm",
}
RECIPIENT = 1042
PAYLOAD = 1024  # bytes sealed beside the way back
Z = 1.96  # of a 95 % interval


def jpeg(quality: int) -> Callable[[Picture, Random], Picture]:
    def attack(picture: Picture, _: Random) -> Picture:
        return _saved(picture, "JPEG", quality=quality)

    return attack


def jpeg2000(ratio: float) -> Callable[[Picture, Random], Picture]:
    def attack(picture: Picture, _: Random) -> Picture:
        how = {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True}
        return _saved(picture, "JPEG2000", **how)

    return attack


def _saved(picture: Picture, kind: str, **how: Any) -> Picture:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return Image.open(file).convert("L")


def gaussian(deviation: float) -> Callable[[Picture, Random], Picture]:
    def attack(picture: Picture, random: Random) -> Picture:
        values = np.asarray(picture, float)
        return _picture(values + random.standard_normal(values.shape) * deviation)

    return attack


def speckle(picture: Picture, random: Random) -> Picture:
    values = np.asarray(picture, float)
    return _picture(values * (1 + 0.05 * random.standard_normal(values.shape)))


def curve(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Picture, Random], Picture]:
    def attack(picture: Picture, _: Random) -> Picture:
        return _picture(change(np.asarray(picture, float)))

    return attack


def equalised(values: np.ndarray) -> np.ndarray:
    whole = values.astype(int)
    counts = np.bincount(whole.ravel(), minlength=256).cumsum()
    return counts[whole] * 255 / counts[-1]


def filtered(kind: Any) -> Callable[[Picture, Random], Picture]:
    return lambda picture, _: picture.filter(kind)


def resized(scale: float) -> Callable[[Picture, Random], Picture]:
    def attack(picture: Picture, _: Random) -> Picture:
        size = round(picture.width * scale), round(picture.height * scale)
        return picture.resize(size, Image.Resampling.LANCZOS)

    return attack


def turned(most: float) -> Callable[[Picture, Random], Picture]:
    def attack(picture: Picture, random: Random) -> Picture:
        return picture.rotate(random.uniform(-most, most), Image.Resampling.BICUBIC)

    return attack


def cropped(share: float) -> Callable[[Picture, Random], Picture]:
    """Keep a rectangle of this share of the area, anywhere near the middle."""

    def attack(picture: Picture, random: Random) -> Picture:
        edge = math.sqrt(share)
        width, height = int(picture.width * edge), int(picture.height * edge)
        left = int((picture.width - width) * random.uniform(0.25, 0.75))
        top = int((picture.height - height) * random.uniform(0.25, 0.75))
        return picture.crop((left, top, left + width, top + height))

    return attack


def moved(method: Image.Transpose) -> Callable[[Picture, Random], Picture]:
    return lambda picture, _: picture.transpose(method)


def screenshot(picture: Picture, random: Random) -> Picture:
    """On a desktop with a frame and a bar, at another size, saved as JPEG."""
    shown = resized(random.uniform(0.8, 1.6))(picture, random)
    desk = Image.new("L", (shown.width + 240, shown.height + 160), 70)
    desk.paste(220, (10, 10, desk.width - 10, 40))
    desk.paste(shown, (200, 80))
    return _saved(desk, "JPEG", quality=80)


def labelled(picture: Picture, random: Random) -> Picture:
    """Grey blocks over it, as text burnt in would be."""
    out = picture.copy()
    for _ in range(12):
        left, top = random.integers(0, picture.width), random.integers(0, picture.height)
        out.paste(int(random.integers(0, 256)), (left, top, left + 60, top + 14))
    return out


def _picture(values: np.ndarray) -> Picture:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


ATTACKS: dict[str, Callable[[Picture, Random], Picture]] = {
    "none": lambda picture, _: picture,
    **{f"JPEG {quality}": jpeg(quality) for quality in (90, 70, 50, 30)},
    **{f"JPEG 2000 {ratio}:1": jpeg2000(ratio) for ratio in (5, 10, 20)},
    "noise 4": gaussian(4),
    "noise 10": gaussian(10),
    "speckle 5 %": speckle,
    "median 3": filtered(ImageFilter.MedianFilter(3)),
    "blur 1": filtered(ImageFilter.GaussianBlur(1)),
    "sharpen": filtered(ImageFilter.UnsharpMask(2, 100)),
    "gamma 0.7": curve(lambda v: 255 * (v / 255) ** 0.7),
    "gamma 1.4": curve(lambda v: 255 * (v / 255) ** 1.4),
    "window +20 % x 1.25": curve(lambda v: (v - 51 - 127.5) / 1.25 + 127.5),
    "equalised": curve(equalised),
    "inverted": curve(lambda v: 255 - v),
    "labels": labelled,
    "crop to 50 %": cropped(0.5),
    **{f"scale {scale}": resized(scale) for scale in (0.5, 0.75, 1.3, 2.0)},
    "turn to 5 degrees": turned(5),
    "quarter turn": moved(Image.Transpose.ROTATE_90),
    "mirrored": moved(Image.Transpose.FLIP_LEFT_RIGHT),
    "half size, JPEG 50": lambda p, r: jpeg(50)(resized(0.5)(p, r), r),
    "turn, crop, JPEG 70": lambda p, r: jpeg(70)(cropped(0.6)(turned(3)(p, r), r), r),
    "screenshot": screenshot,
}


@dataclass(frozen=True)
class Scene:
    """One image, as it is marked and displayed."""

    name: str
    carrier: Carrier
    window: tuple[float, float] | None
    bits: int


def load(name: str, path: Path) -> Scene:
    if path.suffix.lower() in {".png", ".tif", ".tiff", ".bmp"}:
        samples = np.asarray(Image.open(path).convert("L"), np.int32)
        carrier = Carrier(samples, np.array(0), np.array(255), len(samples))
        return Scene(name, carrier, (0.0, 255.0), 8)
    with Decoder() as codec:
        found = pixels.load(reader.read(path.read_bytes()), codec, lossy="decode")
    whole, rows = found.carrier, found.carrier.frame_rows
    low, high = (b[:rows] if b.ndim else b for b in (whole.low, whole.high))
    frame = replace(whole, samples=whole.samples[:rows], low=low, high=high)
    return Scene(name, frame, window_of(found), found.facts.bits_stored)


def measured(
    name: str,
    path: Path,
    messages: int,
    seeds: int,
    attacks: list[str],
    *,
    configured: bool,
    window: tuple[float, float] | None = None,
) -> dict:
    """Mark one image with each message, and attack it with each seed.

    :param window: to display it by, instead of its own.
    """
    try:
        scene = load(name, path)
        scene = replace(scene, window=window or scene.window)
    except SealnodeError as error:
        return {"image": name, "skipped": str(error)}
    rows: list[dict] = []
    facts: dict[str, Any] = {"image": name, "shape": list(scene.carrier.samples.shape)}
    for message in range(messages):
        hospital = own(np.random.default_rng(message).bytes(32))
        hospital = replace(hospital, recipients=(RECIPIENT,) if configured else ())
        start = time.perf_counter()
        try:
            said = hospital.message(RECIPIENT)
            added = robust.add(scene.carrier, said, scene.window)
        except DoesNotFitError as error:
            return facts | {"skipped": str(error)}
        spent = time.perf_counter() - start
        marked = replace(scene.carrier, samples=added.samples)
        exact = np.array_equal(robust.remove(marked, added.undo), scene.carrier.samples)
        facts |= _costs(scene, added) | {"exact": bool(exact), "seconds": round(spent, 3)}
        shown = _picture(displayed(added.samples, scene.window))
        for attack in attacks:
            for seed in range(seeds):
                copy = ATTACKS[attack](shown, np.random.default_rng((message, seed)))
                found = find(np.asarray(copy, np.float64), [hospital])
                rows.append(
                    {
                        "attack": attack,
                        "hospital": found is not None,
                        "recipient": found is not None and found.reading.recipient == RECIPIENT,
                        "score": found.reading.score if found else 0.0,
                    }
                )
    return facts | {"rows": rows}


def _costs(scene: Scene, added: robust.Added) -> dict[str, float | None]:
    before, after = scene.carrier.samples, added.samples
    found = measure(before, after, scene.bits)
    facts: dict[str, float | None] = {
        "psnr_stored": round(found.psnr_stored, 1),
        "psnr_displayed": _shown_psnr(scene, after),
        "max_change": found.max_change,
        "undo_bytes": len(added.undo),
    }
    try:  # and the seal on top, that carries the way back
        payload = np.random.default_rng(1).bytes(PAYLOAD + len(added.undo))
        sealed = TiledEmbedder().embed(replace(scene.carrier, samples=after), payload, bytes(32))
    except DoesNotFitError:
        return facts | {"sealed_stored": None, "sealed_displayed": None}
    stored = round(measure(before, sealed, scene.bits).psnr_stored, 1)
    return facts | {"sealed_stored": stored, "sealed_displayed": _shown_psnr(scene, sealed)}


def _shown_psnr(scene: Scene, samples: np.ndarray) -> float:
    shown, before = (displayed(s, scene.window) for s in (samples, scene.carrier.samples))
    error = float(np.mean((shown - before) ** 2))
    return round(10 * math.log10(255**2 / error), 1) if error else math.inf


def interval(good: int, count: int) -> tuple[float, float]:
    """Return the Wilson interval of a share, 95 %."""
    share = good / count
    middle = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    spread = math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    spread *= Z / (1 + Z * Z / count)
    return max(0.0, middle - spread), min(1.0, middle + spread)


def table(results: list[dict], attacks: list[str]) -> list[dict]:
    rows = [(result["image"], row) for result in results for row in result.get("rows", ())]
    found = []
    for attack in attacks:
        here = [(image, row) for image, row in rows if row["attack"] == attack]
        if not here:
            continue
        good = sum(row["hospital"] for _, row in here)
        low, high = interval(good, len(here))
        missed = sorted({image for image, row in here if not row["hospital"]})
        found.append(
            {
                "attack": attack,
                "count": len(here),
                "hospital": good / len(here),
                "low": round(low, 4),
                "high": round(high, 4),
                "recipient": sum(row["recipient"] for _, row in here) / len(here),
                "least_score": min(row["score"] for _, row in here),
                "missed": missed,
            }
        )
    return found


def markdown(results: list[dict], rows: list[dict]) -> str:
    lines = [
        "| image | size | stored dB | displayed dB | max change | way back | exact | sealed: | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        if "skipped" in one:
            lines.append(f"| {one['image']} | {one['skipped']} |")
            continue
        size = "x".join(map(str, one["shape"]))
        lines.append(
            f"| {one['image']} | {size} | {one['psnr_stored']} | {one['psnr_displayed']} "
            f"| {one['max_change']} | {one['undo_bytes']} B | {'yes' if one['exact'] else 'NO'} "
            f"| {one['sealed_stored']} | {one['sealed_displayed']} |"
        )
    lines += [
        "",
        "| attack | copies | hospital named | 95 % | recipient read | missed |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['attack']} | {row['count']} | {row['hospital']:.1%} "
        f"| {row['low']:.1%} to {row['high']:.1%} | {row['recipient']:.1%} "
        f"| {', '.join(row['missed'])} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="more images: DICOM or 8-bit pictures")
    parser.add_argument("--messages", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--attacks", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="stored values that are displayed as black and white, for all images",
    )
    parser.add_argument(
        "--stranger", action="store_true", help="the recipient is none that is configured"
    )
    parser.add_argument("--only", action="store_true", help="leave out the images of pydicom")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/results/robust"))
    args = parser.parse_args()
    images = {path.stem: path for path in args.files}
    if not args.only:
        images |= {key: Path(str(get_testdata_file(name))) for key, name in NAMES.items()}
    with ProcessPoolExecutor(args.jobs) as pool:
        works = [
            pool.submit(
                measured,
                name,
                path,
                args.messages,
                args.seeds,
                args.attacks,
                configured=not args.stranger,
                window=tuple(args.window) if args.window else None,
            )
            for name, path in images.items()
        ]
        results = [work.result() for work in works]
    rows = table(results, args.attacks)
    text = markdown(results, rows)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"images": results, "attacks": rows}
    args.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

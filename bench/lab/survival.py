"""What the robust mark survives, beside other packages: same pictures, payload, attacks, seeds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from bench import robust
from bench.baselines.packages import installed
from bench.robust import ATTACKS, interval, load
from node.errors import SealnodeError
from node.mark.strength import displayed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.baselines.packages import Bits, Package

OURS = "robust-1"
PAYLOAD = 160
"""Bits: 20 bytes, of the hospital and of the recipient."""

CHANCE = 1e-9
"""Of unmarked pictures, such a part may be named by chance: that of our 6 deviations."""

LEAST = 256
"""Pixels along an edge that the packages need."""


def allowed(bits: int = PAYLOAD) -> int:
    """Return how many wrong bits may be overlooked when a payload is looked for that is known."""
    total, wrong = 0, 0
    while (total + math.comb(bits, wrong)) / 2**bits <= CHANCE:
        total += math.comb(bits, wrong)
        wrong += 1
    return wrong - 1


def own(name: str, path: Path, counts: tuple[int, int], attacks: list[str]) -> dict[str, Any]:
    """Return what became of the copies of one picture with our mark.

    :param counts: messages, and for each seeds of the attacks.
    """
    begun = time.process_time()
    found = robust.measured(name, path, *counts, attacks, configured=True)
    rows = [
        {"attack": row["attack"], "named": row["hospital"], "read": row["recipient"]}
        for row in found.get("rows", ())
    ]
    return {
        "image": name,
        "method": OURS,
        "psnr": found.get("psnr_displayed"),
        "exact": found.get("exact"),
        "skipped": found.get("skipped", ""),
        "cpu": round(time.process_time() - begun, 1),
        "rows": rows,
    }


def other(
    number: int, name: str, path: Path, counts: tuple[int, int], attacks: list[str]
) -> dict[str, Any]:
    """Return what became of the copies of one picture with the mark of a package."""
    package = installed()[number]
    facts: dict[str, Any] = {"image": name, "method": package.name, "psnr": None, "rows": []}
    try:
        scene = load(name, path)
    except SealnodeError as error:
        return facts | {"skipped": str(error)}
    shown = displayed(scene.carrier.samples, scene.window)
    grey = np.clip(np.rint(shown), 0, 255).astype(np.uint8)
    if min(grey.shape) < LEAST:
        return facts | {"skipped": f"smaller than {LEAST} pixels"}
    (messages, seeds), rows = counts, []
    begun = time.process_time()
    for message in range(messages):
        bits = np.random.default_rng((message, 7)).integers(0, 2, PAYLOAD, np.uint8)
        marked = package.add(grey, bits)
        error = float(np.mean((marked.astype(float) - grey) ** 2))
        facts["psnr"] = round(10 * math.log10(255**2 / error), 1) if error else math.inf
        for attack in attacks:
            for seed in range(seeds):
                copy = ATTACKS[attack](
                    Image.fromarray(marked), np.random.default_rng((message, seed))
                )
                wrong = _wrong(package, copy, grey.shape, bits)
                rows.append({"attack": attack, "named": wrong <= allowed(), "read": wrong == 0})
    return facts | {"rows": rows, "cpu": round(time.process_time() - begun, 1)}


def _wrong(package: Package, copy: Image.Image, shape: tuple[int, ...], bits: Bits) -> int:
    """Return how many bits are wrong; the package is told the size that the picture had."""
    size = shape[1], shape[0]
    if copy.size != size:
        copy = copy.resize(size, Image.Resampling.LANCZOS)
    return int(np.count_nonzero(package.read(np.asarray(copy), len(bits)) != bits))


def table(results: Sequence[dict[str, Any]], attacks: Sequence[str]) -> list[dict[str, Any]]:
    """Return, for each attack and method, how many copies were named and read, with intervals."""
    found = []
    methods = list(dict.fromkeys(one["method"] for one in results))
    for attack in attacks:
        for method in methods:
            rows = [
                (one["image"], row)
                for one in results
                for row in one["rows"]
                if one["method"] == method and row["attack"] == attack
            ]
            if not rows:
                continue
            named, read = (sum(row[key] for _, row in rows) for key in ("named", "read"))
            found.append(
                {
                    "attack": attack,
                    "method": method,
                    "count": len(rows),
                    "named": named,
                    "named_95": _rounded(interval(named, len(rows))),
                    "read": read,
                    "read_95": _rounded(interval(read, len(rows))),
                    "missed": sorted({image for image, row in rows if not row["named"]}),
                }
            )
    return found


def _rounded(pair: tuple[float, float]) -> list[float]:
    return [round(one, 4) for one in pair]

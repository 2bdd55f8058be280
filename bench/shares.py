"""Measure splitting and combining; write JSON and Markdown.

usage: scripts/bench shares [FOLDER] [--rounds N] [--size BYTES]

Each figure is MB of object a second, by one thread: of the best round, and of the median one.
"bound" sets commit to the object, as sets made by hand do; sealed objects need that not. "worst"
combines the last k shares, which takes the most arithmetic; "all" gives all n. All sets are
signed. With zfec and others on the same bytes for comparison.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import zfec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder's node.py

from bench.lab.circumstances import circumstances
from node.crypto.shares import scheme
from node.crypto.shares.share import Mode
from node.crypto.shares.signer import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

GOALS = {("computational", 3, 5): 1000, ("perfect", 3, 5): 500}  # MB/s, split and combine
NUMBERS = ((2, 3), (3, 5), (5, 8))


def rate(work: Callable[[], object], size: int, rounds: int) -> dict[str, float]:
    """Return MB/s of some work on so many bytes."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    best, median = (round(size / t / 1e6, 1) for t in (min(times), statistics.median(times)))
    return {"best": best, "median": median}


def measure(data: bytes, mode: Mode, k: int, n: int, rounds: int) -> list[dict[str, object]]:
    """Return rows for one scheme and its numbers."""
    by = Signer(os.urandom(32))
    trusted = [by.public]
    rows = []
    for bind in (False, True):
        shares = scheme.split(data, k, n, mode=mode, by=by, bind=bind)
        total = sum(len(share) for share in shares)
        works: dict[str, Callable[[], object]] = {
            "split": partial(scheme.split, data, k, n, mode=mode, by=by, bind=bind),
            "combine": partial(scheme.combine, shares[:k], trusted=trusted),
            "combine worst": partial(scheme.combine, shares[-k:], trusted=trusted),
            "combine all": partial(scheme.combine, shares, trusted=trusted),
        }
        rows += [
            {
                "scheme": mode.name.lower(), "k": k, "n": n, "work": name, "bound": bind,
                **rate(work, len(data), rounds),
                "goal": None if bind else GOALS.get((mode.name.lower(), k, n)),
                "expansion": round(total / len(data), 4),
            }
            for name, work in works.items()
        ]  # fmt: skip
    return rows


def compare(data: bytes, rounds: int) -> list[dict[str, object]]:
    """Return rows for what others do with the same bytes."""
    size = -(-len(data) // 3)
    chunks = [data[at : at + size].ljust(size, b"\0") for at in range(0, len(data), size)]
    encoder, decoder = zfec.Encoder(3, 5), zfec.Decoder(3, 5)
    coded = encoder.encode(chunks)
    works: dict[str, Callable[[], object]] = {
        "zfec (3,5) encode alone": lambda: encoder.encode(chunks, (3, 4)),
        "zfec (3,5) decode alone": lambda: decoder.decode(coded[2:], [2, 3, 4]),
        "SHA-256 alone": lambda: hashlib.sha256(data).digest(),
        "os.urandom alone": lambda: os.urandom(len(data)),
    }
    return [{"work": name, **rate(work, len(data), rounds)} for name, work in works.items()]


def markdown(report: dict[str, object]) -> str:
    """Return the report for people."""
    lines = [
        f"# Shares of {report['size']} bytes, MB/s",
        "",
        f"{report['machine']}, load {report['load']}",
        "",
        "| scheme | (k, n) | work | bound | best | median | goal | size of all shares |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in report["rows"]:
        cells = (
            row["scheme"], f"({row['k']}, {row['n']})", row["work"],
            "yes" if row["bound"] else "no", f"{row['best']:.0f}", f"{row['median']:.0f}",
            row["goal"] or "", row["expansion"],
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| for comparison | best | median |", "| --- | --- | --- |"]
    lines += [
        f"| {row['work']} | {row['best']:.0f} | {row['median']:.0f} |"
        for row in report["comparison"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "results")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--size", type=int, default=512 * 1024)
    args = parser.parse_args()
    about = circumstances()
    data = os.urandom(args.size)
    rows = [
        row for mode in Mode for k, n in NUMBERS for row in measure(data, mode, k, n, args.rounds)
    ]
    report = {
        "size": args.size,
        "rounds": args.rounds,
        **about,
        "rows": rows,
        "comparison": compare(data, args.rounds),
    }
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "shares.json").write_text(json.dumps(report, indent=1) + "\n")
    text = markdown(report)
    (args.folder / "shares.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()

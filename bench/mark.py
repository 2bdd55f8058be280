"""Measure the mark: what it changes, survives, tells and takes. One command for all of it.

usage: scripts/bench mark [FOLDER...] [--quick | --full] [--parts PART...]

Writes mark.json, mark.md and, with matplotlib (the extra ``bench``), plots to bench/results;
then scripts/docs makes docs/benchmarks.md of it. FOLDERs hold more 8-bit pictures, which are
measured as the public ones are, and DICOM files, which are measured as the medical ones are.
Parts that are not measured keep the results that they had.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.data import get_testdata_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import mark_speed, robust
from bench.baselines.packages import installed
from bench.lab import alarms, distortion, page, plots, survival, tampering
from bench.lab.circumstances import RESULTS, circumstances
from node.dicom.codecs import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED = Path(__file__).resolve().parents[2] / "shared" / "dicom"
"""Where the project's collection of test files lies, if it is there."""

STUDY = SHARED / "study_ptct" / "ct_10.dcm"

SCENES = ("ct-head", "mr-head", "us-colour")
"""Of the images of bench/robust.py: those whose size the packages read in seconds."""

PHOTOGRAPHS = 2
EDITED = {  # part of all edits, by file of pydicom's
    "693_UNCR.dcm": 0.10,
    "MR-SIEMENS-DICOM-WithOverlays.dcm": 0.10,
    "US1_UNCR.dcm": 0.04,
    "emri_small.dcm": 0.40,
    "CT_small.dcm": 0.36,
}
SEALED = "CT_small.dcm"
LOT = 2000
"""Edits of one task; every task marks anew under another key."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is measured.

    :param megabytes: the largest file that is searched for a mark that is not there.
    """

    messages: int = 2
    seeds: int = 1
    attacks: Sequence[str] = tuple(robust.ATTACKS)
    words: int = 50_000
    searches: int = 20
    edits: int = 100_000
    file_edits: int = 300
    unmarked: int = 10_000
    megabytes: float = 8.0
    images: int = 99
    runs: int = 5


QUICK = Counts(
    1, 1, ("none", "JPEG 50", "quarter turn"), 5_000, 0, 200, 30, 10, 0.2, images=1, runs=1
)
FULL = Counts(20, 10, searches=400, edits=100_000, file_edits=3000, megabytes=1000)


class Bench:
    """Runs parts of the bench in processes of their own.

    :param folders: with more pictures and DICOM files.
    """

    def __init__(self, counts: Counts, folders: Sequence[Path], pool: ProcessPoolExecutor) -> None:
        self._counts = counts
        self._folders = folders
        self._pool = pool

    def published(self) -> dict[str, Any]:
        """PSNR at the payloads of the literature, beside the baselines."""
        return {
            "methods": distortion.METHODS,
            "images": list(self._pool.map(distortion.published, self._pictures())),
        }

    def medical(self) -> dict[str, Any]:
        """What 256 bytes to 16 KB cost medical images."""
        own = mark_speed.carriers([])[: self._counts.images]
        if STUDY.is_file():
            own += [(page.STUDY, carrier) for _, carrier in mark_speed.carriers([STUDY])]
        given = [path for folder in self._folders for path in sorted(folder.rglob("*.dcm"))]
        found = own + (mark_speed.carriers(given) if given else [])
        works = [self._pool.submit(distortion.medical, *one) for one in found]
        return {"images": [work.result() for work in works]}

    def robust(self) -> dict[str, Any]:
        """What the robust mark and those of other packages survive."""
        counts, attacks = self._counts, list(self._counts.attacks)
        images = {key: Path(str(get_testdata_file(robust.NAMES[key]))) for key in SCENES}
        images |= {path.stem: path for path in self._pictures()[:PHOTOGRAPHS]}
        chosen = list(images.items())[: counts.images]
        each = counts.messages, counts.seeds
        works: list[Future[dict[str, Any]]] = []
        for name, path in chosen:
            works += [
                self._pool.submit(survival.other, number, name, path, each, attacks)
                for number in range(len(installed()))
            ]
            works.append(self._pool.submit(survival.own, name, path, each, attacks))
        results = [work.result() for work in works]
        costs = [{key: one[key] for key in one if key != "rows"} for one in results]
        return {
            "messages": counts.messages,
            "seeds": counts.seeds,
            "images": costs,
            "attacks": survival.table(results, attacks),
        }

    def alarms(self) -> dict[str, Any]:
        """How often the robust mark would be found by chance."""
        counts = self._counts
        images = {key: Path(str(get_testdata_file(name))) for key, name in robust.NAMES.items()}
        images |= {path.stem: path for path in self._pictures()[:PHOTOGRAPHS]}
        chosen = list(images.items())[: counts.images]
        works = [
            self._pool.submit(alarms.scored, *image, counts.words, searches, marked=marked)
            for marked, searches in ((False, counts.searches), (True, counts.searches // 4))
            for image in chosen
        ]
        return alarms.summary([work.result() for work in works])

    def tamper(self) -> dict[str, Any]:
        """Whether edits are told and placed, and whether anything unmarked is called marked."""
        works, kinds, told = [], {}, 0
        for name, part in list(EDITED.items())[-2 * self._counts.images :]:
            [(_, carrier)] = mark_speed.carriers([Path(str(get_testdata_file(name)))])
            left, seed = round(part * self._counts.edits), 0
            while left > 0:
                lot = min(left, LOT)
                works.append(self._pool.submit(tampering.edited, carrier, lot, seed))
                left, seed = left - lot, seed + 1
        for work in works:
            found = work.result()
            told += found["alarms"]
            for kind, seen in found["kinds"].items():
                kinds.setdefault(kind, Counter()).update(seen)
        with Decoder() as codec:
            data = Path(str(get_testdata_file(SEALED))).read_bytes()
            kinds |= tampering.edited_file(data, self._counts.file_edits, 1, codec)
            searched = Counter(tampering.unmarked(path, codec) for path in self._unmarked())
        return {
            "kinds": {kind: dict(seen) for kind, seen in kinds.items()},
            "untouched": len(works),
            "untouched_alarms": told,
            "unmarked": searched[""] + searched["alarm"],
            "unmarked_alarms": searched["alarm"],
            "unmarked_skipped": searched["skipped"],
        }

    def speed(self) -> dict[str, Any]:
        """CPU time of embedding and reading 1 KB, one core."""
        payload = bytes(range(256)) * 4
        images = mark_speed.carriers([])[-self._counts.images :]
        return {
            "images": [
                asdict(mark_speed.measure(*one, payload, runs=self._counts.runs)) for one in images
            ]
        }

    def _pictures(self) -> list[Path]:
        folders = [SHARED / "images8", *self._folders]
        found = [
            path for folder in folders if folder.is_dir() for path in distortion.pictures(folder)
        ]
        return found[: self._counts.images]

    def _unmarked(self) -> list[Path]:
        own = {Path(str(get_testdata_file(name))).parent for name in EDITED}
        found = [path for folder in sorted(own) for path in sorted(folder.rglob("*.dcm"))]
        found += sorted(SHARED.rglob("*.dcm"))
        found += [path for folder in self._folders for path in sorted(folder.rglob("*.dcm"))]
        small = [path for path in found if path.stat().st_size <= self._counts.megabytes * 1e6]
        return small[: self._counts.unmarked]


PARTS = ("published", "medical", "robust", "alarms", "tamper", "speed")


def main() -> int:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench mark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--quick", action="store_true", help="a few of everything, in seconds")
    much.add_argument("--full", action="store_true", help="20 messages x 10 seeds; takes hours")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"of {', '.join(PARTS)}; all by default")  # fmt: skip
    parser.add_argument("--messages", type=int, help="for each image of the part robust")
    parser.add_argument("--images", type=int, help="no more than so many of each kind")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    args = parser.parse_args()
    for folder in args.folders:
        if not folder.is_dir():
            parser.error(f"no such folder: {folder}")
    counts = QUICK if args.quick else FULL if args.full else Counts()
    counts = replace(
        counts,
        messages=args.messages or counts.messages,
        images=args.images or counts.images,
    )
    if not SHARED.is_dir():
        print("no shared/dicom beside the project: only pydicom's files and the folders given")
    if not installed():
        print("neither blind-watermark nor invisible-watermark is installed: no comparison")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "mark.json"
    load = os.getloadavg()[0]
    with ProcessPoolExecutor(args.jobs) as pool:
        bench = Bench(counts, args.folders, pool)
        for part in args.parts:
            print(f"{part}: {getattr(Bench, part).__doc__}", flush=True)
            found = getattr(bench, part)()
            report: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
            report[part] = circumstances(load) | found
            file.write_text(json.dumps(report, indent=1) + "\n")
    text = page.mark(report)
    (args.out / "mark.md").write_text("# The mark\n\n" + text)
    print(text)
    for line in plots.draw(report, args.out):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())

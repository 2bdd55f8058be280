"""Edits marked images and sealed files, and counts what is told and placed.

An edit is *told* if reading the mark gives anything else than the payload and
nothing altered. It is *placed* if every sample that changed lies in a tile
that is called altered, and every such tile holds one. Where an edit leaves
too few tiles for the payload, placing is not asked for.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom

from node.crypto.keyring import MemoryKeys
from node.dicom import pixels, reader
from node.errors import SealnodeError, UnmarkedError
from node.mark.embedder import TiledEmbedder
from node.seal import Marker
from node.sealing.order import Order
from node.types import VerdictKind
from node.verify import Examiner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from node.dicom.codecs import Decoder
    from node.types import Carrier, Extraction

    Samples = NDArray[np.int32]
    Random = np.random.Generator
    Edit = Callable[[Samples, Samples, Random], None]

LARGEST = 24
"""Edge of a region that is edited, in samples."""

RECEIVED_AT = 1_700_000_000.0


def least_bit(samples: Samples, _: Samples, random: Random) -> None:
    row, column = _place(samples, random)
    samples[row, column] ^= 1


def one_sample(samples: Samples, _: Samples, random: Random) -> None:
    row, column = _place(samples, random)
    samples[row, column] = random.integers(samples.min(), samples.max() + 1)


def some_bits(samples: Samples, _: Samples, random: Random) -> None:
    for _turn in range(int(random.integers(2, 20))):
        least_bit(samples, samples, random)


def painted(samples: Samples, _: Samples, random: Random) -> None:
    samples[_region(samples, random)] = random.integers(samples.min(), samples.max() + 1)


def brightened(samples: Samples, _: Samples, random: Random) -> None:
    samples[_region(samples, random)] += 1


def noisy_region(samples: Samples, _: Samples, random: Random) -> None:
    there = samples[_region(samples, random)]
    there += random.integers(-2, 3, there.shape, np.int32)


def copied_within(samples: Samples, _: Samples, random: Random) -> None:
    target = samples[_region(samples, random)]
    rows, columns = target.shape
    row = int(random.integers(0, samples.shape[0] - rows + 1))
    column = int(random.integers(0, samples.shape[1] - columns + 1))
    target[...] = samples[row : row + rows, column : column + columns].copy()


def copied_across(samples: Samples, other: Samples, random: Random) -> None:
    where = _region(samples, random)
    samples[where] = other[where]


def tiles_swapped(samples: Samples, _: Samples, random: Random) -> None:
    (a, b), (c, d) = (_tile(samples, random) for _turn in range(2))
    one, two = samples[a : a + 64, b : b + 64], samples[c : c + 64, d : d + 64]
    rows, columns = min(one.shape[0], two.shape[0]), min(one.shape[1], two.shape[1])
    kept = one[:rows, :columns].copy()
    one[:rows, :columns] = two[:rows, :columns]
    two[:rows, :columns] = kept


def tile_across(samples: Samples, other: Samples, random: Random) -> None:
    row, column = _tile(samples, random)
    samples[row : row + 64, column : column + 64] = other[row : row + 64, column : column + 64]


def row_shifted(samples: Samples, _: Samples, random: Random) -> None:
    row, _column = _place(samples, random)
    samples[row] = np.roll(samples[row], 1)


def noise(samples: Samples, _: Samples, random: Random) -> None:
    hit = random.random(samples.shape) < 10 ** random.uniform(-4, 0)
    samples[hit] += random.integers(0, 2, int(hit.sum()), np.int32) * 2 - 1


EDITS: dict[str, Edit] = {
    "least bit of one sample": least_bit,
    "one sample, any value": one_sample,
    "2 to 19 least bits": some_bits,
    "region painted over": painted,
    "region brighter by 1": brightened,
    "noise in a region": noisy_region,
    "copy within the image": copied_within,
    "copy from another image": copied_across,
    "two tiles swapped": tiles_swapped,
    "tile of another marked image": tile_across,
    "a row shifted by one": row_shifted,
    "noise all over": noise,
}
"""Change samples in place; the second array is another image, of the same shape, marked for
another object."""

SHARE = {"least bit of one sample": 4, "one sample, any value": 3}
"""Kinds that are tried so many times as often as the others: they are the hardest to tell."""


def edited(carrier: Carrier, count: int, seed: int) -> dict[str, Any]:
    """Edit a marked image so many times; return the counts of each kind."""
    random = np.random.default_rng(seed)
    embedder, key = TiledEmbedder(), random.bytes(32)
    payload = random.bytes(300)
    marked = embedder.embed(carrier, payload, key)
    turned = np.ascontiguousarray(carrier.samples[::-1])  # the same limits, another object
    other = embedder.embed(replace(carrier, samples=turned), payload, random.bytes(32))
    untouched = embedder.extract(replace(carrier, samples=marked), key)
    alarms = int(not _sound(untouched, payload))
    kinds = [kind for kind in EDITS for _turn in range(SHARE.get(kind, 1))]
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in EDITS}
    for number in range(count):
        kind = kinds[number % len(kinds)]
        samples = marked.copy()
        while np.array_equal(samples, marked):
            EDITS[kind](samples, other, random)
        seen = counts[kind]
        seen["edits"] += 1
        try:
            found = embedder.extract(replace(carrier, samples=samples), key)
        except UnmarkedError:
            seen["told"] += 1
            continue
        seen["told"] += not _sound(found, payload)
        if found.payload is not None:
            seen["placeable"] += 1
            placed = _placed(found, samples != marked, carrier.frame_rows)
            seen["placed"] += placed
            seen["unplaced"] += found.unplaced and not placed
            seen["restored"] += placed and _restored(found, carrier)
    return {"alarms": alarms, "kinds": counts}


def _sound(found: Extraction, payload: bytes) -> bool:
    return found.payload == payload and not found.altered and not found.unplaced


def _placed(found: Extraction, touched: NDArray[np.bool_], frame_rows: int) -> bool:
    left = touched.copy()
    for region in found.altered:
        top = region.frame * frame_rows + region.row
        there = left[top : top + region.rows, region.column : region.column + region.columns]
        if not there.any():
            return False
        there[...] = False
    return not left.any()


def _restored(found: Extraction, carrier: Carrier) -> bool:
    """Return whether everything outside the altered tiles is the original."""
    same = found.samples == carrier.samples
    for region in found.altered:
        top = region.frame * carrier.frame_rows + region.row
        same[top : top + region.rows, region.column : region.column + region.columns] = True
    return bool(same.all())


BINDING: dict[str, Callable[[Any, Random], Any]] = {
    "SOPClassUID": lambda _, random: f"1.2.840.10008.5.1.4.1.1.{random.integers(3, 90)}",
    "SOPInstanceUID": lambda now, random: f"{now[:40]}.{random.integers(1, 10**9)}",
    "Rows": lambda now, random: max(1, now // int(random.integers(2, 5))),
    "Columns": lambda now, random: max(1, now // int(random.integers(2, 5))),
    "BitsStored": lambda now, random: now - int(random.integers(1, 5)),
    "PixelRepresentation": lambda now, _: 1 - now,
    "SamplesPerPixel": lambda now, random: now + int(random.integers(1, 3)),
    "BitsAllocated": lambda now, _: 24 - now if now in {8, 16} else 8,
    "NumberOfFrames": lambda _, random: int(random.integers(2, 9)),
}
"""Header fields that a seal is bound to, and other values for them."""

DESCRIBING = ("PatientID", "PatientName", "AccessionNumber", "StudyID", "InstanceNumber")


def edited_file(data: bytes, count: int, seed: int, codec: Decoder) -> dict[str, Counter[str]]:
    """Edit header and pixels of a sealed file; an edit is told if the verdict is not INTACT."""
    random, keys, embedder = np.random.default_rng(seed), MemoryKeys([bytes(32)]), TiledEmbedder()
    prover = Examiner(keys.prover(), embedder, codec)
    order = Order(received_at=RECEIVED_AT)
    sealed = Marker(keys.sealer(), embedder, codec, prover).mark(data, order).data
    examiner = Examiner(keys.opener(), embedder, codec)
    if examiner.examine(sealed).verdict.kind is not VerdictKind.INTACT:
        raise AssertionError("the sealed file is not intact")
    counts: dict[str, Counter[str]] = {}
    for number in range(count):
        ds = pydicom.dcmread(io.BytesIO(sealed))
        kind = _edit_file(ds, number, random)
        file = io.BytesIO()
        ds.save_as(file)
        seen = counts.setdefault(kind, Counter())
        seen["edits"] += 1
        verdict = examiner.examine(file.getvalue()).verdict.kind
        seen["told"] += verdict is not VerdictKind.INTACT
    return counts


def _edit_file(ds: pydicom.Dataset, number: int, random: Random) -> str:
    names = [*BINDING, *DESCRIBING, "PixelData"]
    name = names[number % len(names)]
    if name == "PixelData":
        data = bytearray(ds.PixelData)
        data[int(random.integers(0, len(data)))] ^= 1 << int(random.integers(0, 8))
        ds.PixelData = bytes(data)
        return "file: one bit of Pixel Data"
    if name in DESCRIBING:
        word = str(random.integers(10**7, 10**8))
        setattr(ds, name, word)
        return "file: a header field that only describes"
    setattr(ds, name, BINDING[name](ds.get(name), random))
    if name == "SOPInstanceUID":
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    if name == "SOPClassUID":
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    return "file: a header field that binds"


def unmarked(path: Path, codec: Decoder) -> str:
    """Look for a mark where there is none: ``""`` if none is found, ``skipped`` or ``alarm``."""
    try:
        carrier = pixels.load(reader.read(path.read_bytes()), codec, lossy="decode").carrier
    except SealnodeError:
        return "skipped"
    try:
        TiledEmbedder().extract(carrier, bytes(range(32)))
    except UnmarkedError:
        return ""
    return "alarm"


def _place(samples: Samples, random: Random) -> tuple[int, int]:
    return int(random.integers(0, samples.shape[0])), int(random.integers(0, samples.shape[1]))


def _region(samples: Samples, random: Random) -> tuple[slice, slice]:
    row, column = _place(samples, random)
    rows, columns = (int(random.integers(1, LARGEST + 1)) for _turn in range(2))
    return slice(row, row + rows), slice(column, column + columns)


def _tile(samples: Samples, random: Random) -> tuple[int, int]:
    row, column = _place(samples, random)
    return row // 64 * 64, column // 64 * 64

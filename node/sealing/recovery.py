"""What an image showed where it was changed: about what was there, from the sealed coarse copy.

Never passed off as the original: a file made of it is another instance, says
in its header what it is, and cannot be sealed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import node
from node.dicom import margin, marked, reader
from node.dicom.declaration import Work
from node.dicom.elements import element_bytes
from node.dicom.native import facts_of
from node.errors import UnreadableError
from node.mark import coarse
from node.types import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.types import Carrier, Extraction
    from node.verify import Examination

SOP_INSTANCE_UID = 0x00080018
METHOD = "APPROXIMATE, NOT FOR DIAGNOSIS: changed regions filled from a coarse copy"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a coarse copy tells of a changed image.

    :param samples: int32: of the whole carrier; in the changed regions approximate.
    :param details: what surely changed in them, one box for each region of
        which that can be told; the rest of the region may have changed as well.
    """

    samples: NDArray[np.int32]
    details: tuple[Region, ...]


def recover(
    copy: bytes, carrier: Carrier, extraction: Extraction, columns: int
) -> Recovered | None:
    """Fill the changed regions of an image from its coarse copy.

    A region is filled whole: what stands in it is not proved by anything.

    :param carrier: the samples as found.
    :param extraction: what came out of them.
    :returns: None if there is no copy that can be read.
    """
    if not copy:
        return None
    try:
        seen = coarse.unpack(copy, (carrier.samples.shape[0], columns))
    except UnreadableError:
        return None
    moved = int(np.abs(carrier.samples - extraction.samples).max())
    differs = seen.differs(extraction.samples, moved)
    shown, samples = seen.samples(), extraction.samples.copy()
    for region in extraction.altered:
        place = _place(region, carrier.frame_rows)
        samples[place] = shown[place]
    boxes = (_box(region, differs, carrier.frame_rows) for region in extraction.altered)
    return Recovered(samples, tuple(box for box in boxes if box))


def approximation(found: Examination, at: float) -> bytes | None:
    """Return what was recovered as a Part 10 file of its own; None if nothing was.

    It has a SOP Instance UID of its own (PS3.3 C.12.4.1.1: the change is
    expected to affect interpretation), always the same for the same image.

    :param at: seconds since the epoch, UTC, that its header names.
    """
    if found.approximate is None or found.restored is None or found.pixels is None:
        return None
    obj = reader.read(found.restored)
    uid = obj.text("SOPInstanceUID")
    digest = hashlib.sha256(uid.encode() + found.approximate.tobytes()).digest()
    own = f"2.25.{int.from_bytes(digest[:15], 'big')}"  # PS3.5 B.2
    work = Work(METHOD, found.verdict.key_id, node.__version__, at)
    changes = marked.plan(obj, work, image=True)
    changes.elements[SOP_INSTANCE_UID] = element_bytes(
        SOP_INSTANCE_UID, "UI", own.encode(), obj.encoding
    )
    shown = margin.cut(found.pixels.restore(found.approximate), facts_of(obj).rows)
    samples, stored = shown.carrier.samples, shown.written_like(obj)
    extremes = int(samples.min()), int(samples.max())
    dataset = marked.dress(obj, changes, stored, private={}, extremes=extremes)
    syntax = stored.transfer_syntax_uid
    wired = reader.wire(dataset, syntax)
    return reader.write_part10(obj.text("SOPClassUID"), own, syntax, wired)


def _place(region: Region, frame_rows: int) -> tuple[slice, slice]:
    top = region.frame * frame_rows + region.row
    return slice(top, top + region.rows), slice(region.column, region.column + region.columns)


def _box(region: Region, differs: NDArray[np.bool_], frame_rows: int) -> Region | None:
    """Return the box around the blocks of a region that surely changed."""
    edge = coarse.EDGES[0]
    down, right = _place(region, frame_rows)
    top, left = down.start // edge, right.start // edge
    blocks = np.argwhere(differs[top : -(-down.stop // edge), left : -(-right.stop // edge)])
    if not len(blocks):
        return None
    blocks += np.array([top, left])
    first, last = blocks.min(axis=0) * edge, (blocks.max(axis=0) + 1) * edge
    rows = max(int(first[0]), down.start), min(int(last[0]), down.stop)
    columns = max(int(first[1]), right.start), min(int(last[1]), right.stop)
    row = rows[0] - region.frame * frame_rows
    return Region(region.frame, row, columns[0], rows[1] - rows[0], columns[1] - columns[0])

"""A logo that viewers show over the image, as an overlay plane: no pixel changes.

PS3.3 C.9.2 (Overlay Plane Module), PS3.5 8.1.2. Restoring takes it out like
every element that marking adds.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from node.dicom.declaration import FUNCTIONAL_GROUPS
from node.dicom.elements import element_bytes
from node.dicom.native import facts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.dicom.reader import DicomObject

GROUPS = range(0x6000, 0x6020, 2)
PART = 8
"""The logo is about so small a part of the shorter side, in the lower right corner."""

DESCRIPTION = b"Sealnode: this image is sealed"


def elements(obj: DicomObject, ink: NDArray[np.bool_]) -> dict[int, bytes | None]:
    """Return the elements of an overlay plane that shows a logo on every frame.

    Nothing if every group has a plane already, or the object is of an enhanced
    kind, which has no such module.

    :param ink: shape (rows, columns), true for ink.
    :raises UnsealableError: the object's pixels cannot be described.
    """
    used = {element.tag >> 16 for element in obj.elements}
    group = next((group for group in GROUPS if group not in used), None)
    if group is None or any(tag in obj.index for tag in FUNCTIONAL_GROUPS):
        return {}
    facts = facts_of(obj)
    shorter = min(facts.rows, facts.columns)
    scale = shorter // (PART * max(ink.shape))
    drawn = np.repeat(np.repeat(ink, max(1, scale), axis=0), max(1, scale), axis=1)
    drawn = drawn[: facts.rows, : facts.columns]
    gap = shorter // 64
    rows, columns = drawn.shape
    top = max(1, facts.rows - rows - gap + 1)  # PS3.3 C.9.2: counted from 1
    left = max(1, facts.columns - columns - gap + 1)
    data = np.packbits(drawn, bitorder="little").tobytes()
    data += b"\0" * (len(data) % 2)
    order = obj.encoding.order
    if order == ">":  # words of 16 bits
        data = np.frombuffer(data, "<u2").astype(">u2").tobytes()
    values = (
        (0x0010, "US", struct.pack(order + "H", rows)),
        (0x0011, "US", struct.pack(order + "H", columns)),
        (0x0022, "LO", DESCRIPTION),
        (0x0040, "CS", b"G"),
        (0x0050, "SS", struct.pack(order + "hh", top, left)),
        (0x0100, "US", struct.pack(order + "H", 1)),
        (0x0102, "US", struct.pack(order + "H", 0)),
        (0x3000, "OW", data),
    )
    return {
        group << 16 | element: element_bytes(group << 16 | element, vr, value, obj.encoding)
        for element, vr, value in values
    }

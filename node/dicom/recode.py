"""Elements written in another encoding: explicit or implicit VR, either byte order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.dicom.elements import ITEM, SHORT_VRS, Encoding, header, items, walk
from node.dicom.reader import implicit_vr
from node.errors import UnreadableError

if TYPE_CHECKING:
    from node.dicom.elements import Buffer

MAX_DEPTH = 64  # nested sequences
MAX_SHORT = 0xFFFF  # bytes of a value with a 16-bit length
WORD_SIZES = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}  # bytes that the byte order turns round (PS3.5 7.3)


def turned(value: bytes, vr: str) -> bytes:
    """Return a value in the other byte order; one that is no whole number of words stays."""
    size = WORD_SIZES.get(vr, 1)
    if size == 1 or len(value) % size:
        return value
    return np.frombuffer(value, np.dtype(f"u{size}")).byteswap().tobytes()


def recode(data: Buffer, source: Encoding, target: Encoding, depth: int = 0) -> bytes:
    """Return the elements of ``data``, written in another encoding with defined lengths.

    :raises UnreadableError: they cannot be walked, or are nested too deep.
    """
    if depth > MAX_DEPTH:
        raise UnreadableError("sequences are nested too deep", code="depth")
    written: list[bytes] = []
    for element in walk(data, source):
        vr = element.vr or implicit_vr(element.tag)
        if vr == "SQ" or element.undefined:
            inner = Encoding.IMPLICIT_LE if vr == "UN" else source  # PS3.5 6.2.2
            contents = [
                recode(data[start:stop], inner, target, depth + 1)
                for start, stop in items(data, element, inner)
            ]
            vr = "SQ"
            value = b"".join(header(ITEM, "", len(c), target) + c for c in contents)
        else:
            value = data[element.value : element.stop]
            if source.order != target.order:
                value = turned(value, vr)
        if len(value) > MAX_SHORT and vr.encode() in SHORT_VRS:
            vr = "UN"  # PS3.5 6.2.2: what is too long for its VR
        written += header(element.tag, vr, len(value), target), value
    return b"".join(written)

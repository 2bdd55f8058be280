"""An image that was changed for good is another image: its own UID, its source named.

For marks that cannot be taken out again. PS3.3 C.7.6.1.1.2 and C.7.6.1.1.3:
Image Type DERIVED, Derivation Description, Source Image Sequence; a SOP
Instance UID of its own (C.12.4.1.1), the same in every run. Lossy Image
Compression (C.7.6.1.1.5) stays as it was: nothing was compressed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from node.dicom import marked
from node.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED, Encoding, element_bytes, header
from node.dicom.reader import wire, write_part10

if TYPE_CHECKING:
    from node.dicom.declaration import Work
    from node.dicom.marked import Changes
    from node.dicom.pixels import Stored
    from node.dicom.reader import DicomObject

SOP_INSTANCE_UID = 0x00080018
SOURCE_IMAGE = 0x00082112
PURPOSE = b"121322", b"DCM", b"Source image for image processing operation"  # CID 7202


def uid_of(obj: DicomObject, method: str, key_id: str) -> str:
    """Return the UID of what a method under a key makes of an object (PS3.5 B.2)."""
    origin = "\0".join(("sealnode/v1/derived", obj.text("SOPInstanceUID"), method, key_id))
    digest = hashlib.sha256(origin.encode("ascii")).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def plan(obj: DicomObject, work: Work, uid: str) -> Changes:
    """Return what becomes of the header.

    :raises UnsealableError: as :func:`node.dicom.marked.plan`.
    """
    changes = marked.plan(obj, work, image=True)
    own = element_bytes(SOP_INSTANCE_UID, "UI", uid.encode("ascii"), obj.encoding)
    more = {SOP_INSTANCE_UID: own, SOURCE_IMAGE: _source(obj)}
    return replace(changes, elements={**changes.elements, **more})


def write(
    obj: DicomObject, changes: Changes, stored: Stored, uid: str, *,
    method: str, key_id: str, extremes: tuple[int, int],
) -> bytes:  # fmt: skip
    """Return the Part 10 file of the derived image.

    :param method: what marked it; anybody may read it, nothing depends on it.
    :param extremes: the smallest and the largest sample.
    """
    private = {
        marked.KEY_HINT: key_id.encode("ascii"),
        marked.METHOD: method.encode("ascii"),
    }
    dataset = marked.dress(obj, changes, stored, private=private, extremes=extremes)
    syntax = stored.transfer_syntax_uid
    return write_part10(obj.text("SOPClassUID"), uid, syntax, wire(dataset, syntax))


def method_of(obj: DicomObject) -> str:
    """Return the method that an object says it was marked by; ``""`` if it says none."""
    value = marked.private_value(obj, marked.METHOD) or b""
    return value.strip(b" \0").decode("ascii", "replace")


def _source(obj: DicomObject) -> bytes:
    """Source Image Sequence with this image added (PS3.3 C.7.6.1.1.4)."""
    element = obj.index.get(SOURCE_IMAGE)
    vr = element.vr if element else "SQ"
    inner = Encoding.IMPLICIT_LE if vr == "UN" else obj.encoding  # PS3.5 6.2.2
    purpose = _item(
        b"".join(
            element_bytes(tag, name, value, inner)
            for tag, name, value in zip(
                (0x00080100, 0x00080102, 0x00080104), ("SH", "SH", "LO"), PURPOSE, strict=True
            )
        ),
        inner,
    )
    item = _item(
        element_bytes(0x00081150, "UI", obj.text("SOPClassUID").encode("ascii"), inner)
        + element_bytes(0x00081155, "UI", obj.text("SOPInstanceUID").encode("ascii"), inner)
        + element_bytes(0x0040A170, "SQ", purpose, inner),
        inner,
    )
    theirs = obj.raw(SOURCE_IMAGE) or b""
    if element is not None and element.undefined:
        start = header(SOURCE_IMAGE, vr, UNDEFINED, obj.encoding)
        return start + theirs + item + header(SEQUENCE_END, "", 0, inner)
    return header(SOURCE_IMAGE, vr, len(theirs + item), obj.encoding) + theirs + item


def _item(content: bytes, encoding: Encoding) -> bytes:
    return header(ITEM, "", len(content), encoding) + content

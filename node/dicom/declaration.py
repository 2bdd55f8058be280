"""What the header of a changed object says of the change, and of who made it.

PS3.3 C.7.6.1.1.2 (Image Type, Derivation Description), C.12.1 (Contributing
Equipment), C.7.1.2 and PS3.15 E.1.1 (what was done to the patient's identity).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED, Encoding, element_bytes, header

if TYPE_CHECKING:
    from node.dicom.reader import DicomObject
    from node.types import Profile

IMAGE_TYPE = 0x00080008
DERIVATION_DESCRIPTION = 0x00082111
CONTRIBUTING_EQUIPMENT = 0x0018A001
IDENTITY_REMOVED, METHOD, METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
TIMES_MODIFIED = 0x00280303
FUNCTIONAL_GROUPS = (0x52009229, 0x52009230)  # shared, per-frame

MAX_DERIVATION = 1024  # characters of an ST (PS3.5 6.2)

MODIFYING = (b"109103", b"Modifying Equipment")  # PS3.16 CID 7005

# PS3.16 CID 7050
BASIC = (b"113100", b"Basic Application Confidentiality Profile")
CONTENT = (b"113104", b"Clean Structured Content Option")
OPTIONS = {
    "graphics": (b"113103", b"Clean Graphics Option"),
    "descriptors": (b"113105", b"Clean Descriptors Option"),
    "dates": (b"113106", b"Retain Longitudinal Temporal Information Full Dates Option"),
    "shift": (b"113107", b"Retain Longitudinal Temporal Information Modified Dates Option"),
    "characteristics": (b"113108", b"Retain Patient Characteristics Option"),
    "device": (b"113109", b"Retain Device Identity Option"),
    "safe_private": (b"113111", b"Retain Safe Private Option"),
    "institution": (b"113112", b"Retain Institution Identity Option"),
}


@dataclass(frozen=True, slots=True)
class Work:
    """What was done to an object, for people who read its header.

    :param method: such as ``"reversible mark tiles-1"``; plain ASCII text.
    :param key_id: of the sealing key, in hex.
    :param version: of this software.
    :param at: seconds since the epoch, UTC; the time the object was received,
        so that sealing again gives the same bytes.
    :param masked: whether the patient's identity was taken out.
    :param dated: whether the header may say when; that tells of the examination.
    """

    method: str
    key_id: str
    version: str
    at: float
    masked: bool = False
    dated: bool = True


def of_image(obj: DicomObject, work: Work) -> dict[int, bytes | None]:
    """Return the elements that say what was done to an image."""
    elements: dict[int, bytes | None] = {
        DERIVATION_DESCRIPTION: derivation(obj, work),
        CONTRIBUTING_EQUIPMENT: equipment(obj, work),
    }
    kind = image_type(obj)
    if kind is not None:
        elements[IMAGE_TYPE] = kind
    return elements


def of_profile(profile: Profile, encoding: Encoding) -> dict[int, bytes | None]:
    """Return the elements that say how the patient's identity was taken out."""
    chosen = {
        **dict.fromkeys(profile.retained, True),
        "graphics": profile.graphics,
        "descriptors": bool(profile.descriptors),
        "shift": profile.dates == "shift",
        "safe_private": bool(profile.safe_private),
    }
    codes = [BASIC, CONTENT, *(code for word, code in OPTIONS.items() if chosen.get(word))]
    content = b"".join(_item(_code(value, meaning, encoding), encoding) for value, meaning in codes)
    method = b"PS3.15 Basic Application Level Confidentiality Profile"
    times = {"keep": b"UNMODIFIED", "shift": b"MODIFIED"}.get(profile.dates, b"REMOVED")
    return {
        IDENTITY_REMOVED: element_bytes(IDENTITY_REMOVED, "CS", b"YES", encoding),
        METHOD: element_bytes(METHOD, "LO", method, encoding),
        METHOD_CODES: header(METHOD_CODES, "SQ", len(content), encoding) + content,
        TIMES_MODIFIED: element_bytes(TIMES_MODIFIED, "CS", times, encoding),
    }


def image_type(obj: DicomObject) -> bytes | None:
    """Image Type with value 1 DERIVED (PS3.3 C.7.6.1.1.2); None if it stays.

    It stays in enhanced multi-frame objects: there it must agree with the
    Frame Type of every frame, and decides which attributes describing the
    acquisition may be present (PS3.3 C.8.16.1, C.8.13.4).
    """
    value = obj.raw(IMAGE_TYPE)
    if not value or any(tag in obj.index for tag in FUNCTIONAL_GROUPS):
        return None
    first, *others = value.rstrip(b" \0").split(b"\\")
    if first.strip() != b"ORIGINAL":
        return None
    return element_bytes(IMAGE_TYPE, "CS", b"\\".join((b"DERIVED", *others)), obj.encoding)


def derivation(obj: DicomObject, work: Work) -> bytes:
    """Derivation Description with a line added, or as it was if that is too long."""
    ours = f"Sealnode {work.version}: {work.method}; key {work.key_id}".encode("ascii")
    theirs = (obj.raw(DERIVATION_DESCRIPTION) or b"").rstrip(b" \0")
    # CR LF also ends what escape sequences of ISO 2022 began (PS3.5 6.1.2.5.3).
    text = theirs + b"\r\n" + ours if theirs else ours
    if len(text) > MAX_DERIVATION:
        text = theirs
    return element_bytes(DERIVATION_DESCRIPTION, "ST", text, obj.encoding)


def equipment(obj: DicomObject, work: Work) -> bytes:
    """Contributing Equipment Sequence with an item added (PS3.3 C.12.1)."""
    element = obj.index.get(CONTRIBUTING_EQUIPMENT)
    vr = element.vr if element else "SQ"
    inner = Encoding.IMPLICIT_LE if vr == "UN" else obj.encoding  # PS3.5 6.2.2
    at = datetime.fromtimestamp(work.at, UTC).strftime("%Y%m%d%H%M%S.%f+0000").encode("ascii")
    when = element_bytes(0x0018A002, "DT", at, inner) if work.dated else b""
    what = (b"109104", b"De-identifying Equipment") if work.masked else MODIFYING
    purpose = _item(_code(*what, inner), inner)  # PS3.3 C.12.1: one item
    ours = _item(
        element_bytes(0x00080070, "LO", b"Sealnode", inner)
        + element_bytes(0x00081090, "LO", b"Sealnode", inner)
        + element_bytes(0x00181020, "LO", work.version.encode("ascii"), inner)
        + when
        + element_bytes(0x0018A003, "ST", work.method.encode("ascii"), inner)
        + element_bytes(0x0040A170, "SQ", purpose, inner),
        inner,
    )
    theirs = obj.raw(CONTRIBUTING_EQUIPMENT) or b""
    if element is not None and element.undefined:
        start = header(CONTRIBUTING_EQUIPMENT, vr, UNDEFINED, obj.encoding)
        return start + theirs + ours + header(SEQUENCE_END, "", 0, inner)
    return header(CONTRIBUTING_EQUIPMENT, vr, len(theirs + ours), obj.encoding) + theirs + ours


def _item(content: bytes, encoding: Encoding) -> bytes:
    return header(ITEM, "", len(content), encoding) + content


def _code(value: bytes, meaning: bytes, encoding: Encoding) -> bytes:
    """A code of DCM (PS3.3 8.8)."""
    return (
        element_bytes(0x00080100, "SH", value, encoding)
        + element_bytes(0x00080102, "SH", b"DCM", encoding)
        + element_bytes(0x00080104, "LO", meaning, encoding)
    )

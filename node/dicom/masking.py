"""A header without the patient: PS3.15 annex E on raw elements.

Says what becomes of each top-level element; what need not change keeps its
bytes. Sequences are gone through to any depth. What cannot be gone through is
left out. Nothing is lost: whoever calls this keeps the original, sealed.

SECURITY: reads patients; no value may appear in an error or a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydicom.datadict import keyword_for_tag

from node.dicom.actions import Act, act, kept_descriptor
from node.dicom.charset import decode
from node.dicom.elements import ITEM, Encoding, element_bytes, header, items, walk
from node.dicom.headers import pixel_span
from node.dicom.reader import NATIVE_SYNTAXES, PIXEL_DATA, implicit_vr
from node.dicom.values import dummy, shifted
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    from node.dicom.elements import Buffer, Element
    from node.dicom.reader import DicomObject
    from node.types import Profile

STANDARD = b"1.2.840.10008."  # the root of what DICOM itself defines
PATIENT_NAME, PATIENT_ID, ISSUER, BIRTH_DATE = 0x00100010, 0x00100020, 0x00100021, 0x00100030
ACCESSION_NUMBER = 0x00080050
STUDY_UID = 0x0020000D
ENCAPSULATED_DOCUMENT = 0x00420011
BURNED_IN = 0x00280301
NAMING = (PATIENT_NAME, PATIENT_ID, 0x00101000, 0x00101001, 0x00101005, ACCESSION_NUMBER)
READABLE = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR", "AE"})
MIN_WORD = 3  # characters of a name that is looked for elsewhere
MIN_NUMBER = 6  # characters of an integer that may be a patient's number
MAX_DEPTH = 64  # nested sequences
CODE = (  # (0008,0100), (0008,0102), (0008,0104); PS3.3 8.8
    (0x00080100, "SH", b"REMOVED"),
    (0x00080102, "SH", b"99SEALNODE"),
    (0x00080104, "LO", b"REMOVED"),
)


class Mapping(Protocol):
    """What stands for what, for ever the same, under a key that is not known here."""

    def uid(self, uid: bytes) -> bytes:
        """Return the UID that stands for another."""
        ...

    def code(self, kind: str, value: bytes) -> bytes:
        """Return 16 capital letters and digits that stand for a value of a kind."""
        ...

    def days(self, patient: bytes) -> int:
        """Return by how many days the dates of a patient move."""
        ...


def mask(obj: DicomObject, profile: Profile, mapping: Mapping) -> dict[int, bytes | None]:
    """Return by tag what becomes of the elements that change: the new one, or None.

    :raises UnsealableError: who it is may show where no element is: names
        burned into the picture (code ``burned_in``), an overlay in unused bits
        of the pixels (``overlay_in_pixels``), text behind the pixels
        (``pixel_tail``), a whole document (``document``).
    """
    _refuse(obj, profile)
    return _Mask(obj, profile, mapping).changes()


def mask_uids(obj: DicomObject, mapping: Mapping) -> dict[int, bytes | None]:
    """Return what becomes of the elements that name instances by SOP Instance UID; no others."""
    return _Instances(mapping).changes(obj)


def patient_key(obj: DicomObject) -> bytes:
    """Return what tells patients apart: id and issuer; without an id, name and birth date.

    Without either it is the study, so that strangers are never taken for one.
    """

    def value(tag: int) -> bytes:
        return (obj.raw(tag) or b"").strip(b" \0")

    if value(PATIENT_ID):
        return b"id\0" + value(PATIENT_ID) + b"\0" + value(ISSUER)
    if value(PATIENT_NAME):
        return b"name\0" + value(PATIENT_NAME) + b"\0" + value(BIRTH_DATE)
    return b"study\0" + value(STUDY_UID)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where elements lie: the bytes, how they are written, how deep."""

    data: Buffer
    encoding: Encoding
    depth: int

    def raw(self, element: Element) -> bytes:
        return self.data[element.start : element.end]

    def value(self, element: Element) -> bytes:
        return self.data[element.value : element.stop]

    def vr(self, element: Element) -> str:
        """The VR as stated, else the dictionary's."""
        return element.vr if element.vr not in {"", "UN"} else implicit_vr(element.tag)

    def inside(self, element: Element) -> _Place:
        inner = Encoding.IMPLICIT_LE if element.vr == "UN" else self.encoding  # PS3.5 6.2.2
        return _Place(self.data, inner, self.depth + 1)

    def made(self, element: Element, value: bytes) -> bytes:
        if self.vr(element) == "UI" and len(value) % 2:  # else padded as text in implicit VR
            value += b"\0"
        return element_bytes(element.tag, element.vr, value, self.encoding)


class _Rewriter:
    """Goes through elements and the items of sequences, and puts changes in their place."""

    def element(self, place: _Place, element: Element, owner: bytes) -> bytes | None:
        """Return the element to have instead: the same bytes if nothing changes.

        :param owner: the private creator of its block; ``b""`` otherwise.
        """
        raise NotImplementedError

    def all(self, place: _Place, elements: tuple[Element, ...]) -> dict[int, bytes | None]:
        """Return what becomes of those elements that change."""
        owners: dict[int, bytes] = {}
        changes: dict[int, bytes | None] = {}
        for element in elements:
            owner = b""
            if element.tag >> 16 & 1:
                if 0x10 <= element.tag & 0xFFFF <= 0xFF:  # noqa: PLR2004 - PS3.5 7.8.1
                    owner = place.value(element).strip(b" \0")
                    owners[element.tag] = owner
                else:
                    block = element.tag >> 16 << 16 | element.tag >> 8 & 0xFF
                    owner = owners.get(block, b"")
            new = self.element(place, element, owner)
            if new is None or new != place.raw(element):
                changes[element.tag] = new
        return changes

    def sequence(self, place: _Place, element: Element) -> bytes | None:
        """Return a sequence with its items gone through; None if that is impossible."""
        inside = place.inside(element)
        if inside.depth > MAX_DEPTH:
            return None
        contents: list[bytes] = []
        changed = False
        try:
            for start, stop in items(place.data, element, inside.encoding):
                found = walk(place.data, inside.encoding, start, stop)
                changes = self.all(inside, found)
                changed = changed or bool(changes)
                contents.append(
                    b"".join(
                        (changes[child.tag] or b"") if child.tag in changes else inside.raw(child)
                        for child in found
                    )
                )
        except UnreadableError:
            return None
        if not changed:
            return place.raw(element)
        value = b"".join(header(ITEM, "", len(c), inside.encoding) + c for c in contents)
        return header(element.tag, element.vr, len(value), place.encoding) + value


class _Instances(_Rewriter):
    """Maps the UIDs of SOP instances and leaves all else alone."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def changes(self, obj: DicomObject) -> dict[int, bytes | None]:
        return self.all(_Place(obj.data, obj.encoding, 0), _but_pixels(obj))

    def element(self, place: _Place, element: Element, owner: bytes) -> bytes | None:
        vr = place.vr(element)
        if vr == "SQ" or element.undefined:
            # What cannot be gone through cannot be understood by others, either.
            return self.sequence(place, element) or place.raw(element)
        if vr == "UI" and not owner and _names_sop_instance(element.tag):
            return place.made(element, mapped(place.value(element), self._mapping))
        return place.raw(element)


class _Mask(_Rewriter):
    """Applies a profile to one object."""

    def __init__(self, obj: DicomObject, profile: Profile, mapping: Mapping) -> None:
        self._obj = obj
        self._profile = profile
        self._mapping = mapping
        self._patient = patient_key(obj)
        self._own_id = (obj.raw(PATIENT_ID) or b"").strip(b" \0")
        self._own_name = (obj.raw(PATIENT_NAME) or b"").strip(b" \0")
        self._words = _words(obj)
        self._charset = obj.raw(0x00080005) or b""
        self._safe = {
            (entry.group, entry.element, entry.creator.encode("ascii"))
            for entry in profile.safe_private
        }

    def changes(self) -> dict[int, bytes | None]:
        obj = self._obj
        return self.all(_Place(obj.data, obj.encoding, 0), _but_pixels(obj))

    def element(self, place: _Place, element: Element, owner: bytes) -> bytes | None:
        if element.tag & 0xFFFF == 0:  # group lengths; those at the top are made true later
            own = element.tag >> 16 & 1 or place.depth
            return None if own else place.raw(element)
        if element.tag >> 16 & 1 and not self._is_safe(element.tag, owner):
            return None
        vr = place.vr(element)
        what = Act.KEEP if owner else act(element.tag, vr, self._profile)
        if vr == "UI" and owner:
            what = Act.MAP
        if vr == "SQ" or element.undefined:
            return self._sequence(place, element, what)
        value = place.value(element)
        if not value and what is not Act.REMOVE:
            return place.raw(element)
        return self._leaf(place, element, vr, what)

    def _sequence(self, place: _Place, element: Element, what: Act) -> bytes | None:
        if what is Act.REMOVE:
            return None
        if what is Act.EMPTY:
            return header(element.tag, element.vr, 0, place.encoding)
        if what is Act.CODE:
            inner = place.inside(element).encoding
            code = b"".join(element_bytes(tag, vr, value, inner) for tag, vr, value in CODE)
            value = header(ITEM, "", len(code), inner) + code
            return header(element.tag, element.vr, len(value), place.encoding) + value
        return self.sequence(place, element)

    def _leaf(self, place: _Place, element: Element, vr: str, what: Act) -> bytes | None:
        value = place.value(element)
        pseudonym = self._pseudonym(element.tag, value.strip(b" \0"))
        if pseudonym is not None:
            return place.made(element, pseudonym)
        number = vr == "IS" and len(value) >= MIN_NUMBER
        text = decode(value, self._charset) if vr in READABLE or number else ""
        if what in {Act.REMOVE, Act.EMPTY, Act.DUMMY} and text:
            listed = kept_descriptor(element.tag, text, self._profile)
            what = Act.KEEP if listed else what
        if what is Act.KEEP and text and self._words and self._words.search(text):
            what = Act.DUMMY
        if what is Act.REMOVE:
            return None
        new = self._instead(what, vr, value)
        return place.raw(element) if new is None else place.made(element, new)

    def _instead(self, what: Act, vr: str, value: bytes) -> bytes | None:
        """Return the value to have instead; None for the one that is there."""
        if what is Act.EMPTY:
            return b""
        if what is Act.MAP or (what is Act.DUMMY and vr == "UI"):
            return mapped(value, self._mapping)
        if what is Act.SHIFT and vr in {"DA", "DT"}:
            moved = shifted(value, self._mapping.days(self._patient))
            return dummy(vr, value) if moved is None else moved
        return dummy(vr, value) if what is Act.DUMMY else None

    def _pseudonym(self, tag: int, value: bytes) -> bytes | None:
        """Return what stands for a name, an id or an accession number; None for all else."""
        if not value:
            return None
        if tag == PATIENT_ID:
            key = self._patient if value == self._own_id else b"id\0" + value + b"\0"
            return self._mapping.code("patient", key)
        if tag == PATIENT_NAME:
            key = self._patient if value == self._own_name else b"name\0" + value
            return b"Pseudonym^" + self._mapping.code("patient", key)
        if tag == ACCESSION_NUMBER:
            return self._mapping.code("accession", value)
        return None

    def _is_safe(self, tag: int, owner: bytes) -> bool:
        group, number = tag >> 16, tag & 0xFFFF
        if number <= 0xFF:  # noqa: PLR2004 - a private creator
            return any((group, owner) == (safe[0], safe[2]) for safe in self._safe)
        return (group, number & 0xFF, owner) in self._safe


def mapped(value: bytes, mapping: Mapping) -> bytes:
    """Return UIDs mapped, but for those that DICOM itself defines."""
    parts = [part.strip(b" \0") for part in value.split(b"\\")]
    return b"\\".join(
        part if not part or part.startswith(STANDARD) else mapping.uid(part) for part in parts
    )


def _but_pixels(obj: DicomObject) -> tuple[Element, ...]:
    return tuple(element for element in obj.elements if element.tag != PIXEL_DATA)


def _names_sop_instance(tag: int) -> bool:
    return "SOPInstanceUID" in keyword_for_tag(tag)


def _words(obj: DicomObject) -> re.Pattern[str] | None:
    """Return what finds the patient's names and numbers in other text."""
    charset = obj.raw(0x00080005) or b""
    found: set[str] = set()
    for tag in NAMING:
        text = decode(obj.raw(tag) or b"", charset)
        found |= {text.strip(" \0"), *re.split(r"[\\^= \0]+", text)}
    words = sorted((re.escape(w) for w in found if len(w) >= MIN_WORD), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None


def _refuse(obj: DicomObject, profile: Profile) -> None:
    if ENCAPSULATED_DOCUMENT in obj.index:
        raise UnsealableError("a whole document says who it is about", code="document")
    if profile.burned_in == "hold" and (obj.raw(BURNED_IN) or b"").strip(b" \0") == b"YES":
        raise UnsealableError("the picture itself says who it is of", code="burned_in")
    for tag in obj.index:
        if tag >> 24 == 0x60 and tag & 0xFFFF == 0x0102 and any(obj.raw(tag) or b""):  # noqa: PLR2004
            raise UnsealableError("an overlay lies in the pixels", code="overlay_in_pixels")
    element = obj.index.get(PIXEL_DATA)
    native = element is not None and obj.transfer_syntax_uid in NATIVE_SYNTAXES
    if native and obj.data[pixel_span(obj)[1] : obj.index[PIXEL_DATA].stop].strip(b" \0"):
        raise UnsealableError("something follows the pixels", code="pixel_tail")

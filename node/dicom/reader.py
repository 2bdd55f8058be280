"""Reading a Part 10 file (PS3.10 section 7) without decoding its data set, and writing one.

What can be kept is kept byte for byte: a wrong meta group length, unknown
elements, zeros after the last element. What would mean different things to
different readers is refused with :class:`~node.errors.UnreadableError`: the
codes of :mod:`node.dicom.elements`, and ``no_dicm``, ``meta``, ``duplicate``,
``inflate`` and ``uid``.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

from pydicom.datadict import dictionary_VR, tag_for_keyword

from node.dicom.charset import decode
from node.dicom.deflated import deflate, inflate
from node.dicom.elements import Element, Encoding, header, leading, walk
from node.errors import MismatchError, UnreadableError
from node.types import ROUTING_KEYWORDS, Instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.dicom.elements import Buffer
    from node.types import Peer

T = TypeVar("T")

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
PLAIN_SYNTAXES = frozenset({IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE})  # a file holds the data set
NATIVE_SYNTAXES = PLAIN_SYNTAXES | {DEFLATED_LE}

PIXEL_DATA = 0x7FE00010
META_LENGTH = 0x00020000
TRANSFER_SYNTAX_UID = 0x00020010
FIRST_DATA_GROUP = 0x0004  # PS3.5 7.1: below are commands and file meta information
MAX_UID = 64  # PS3.5 9.1
MAX_TEXT = 64  # characters of one routing value: SH, CS and LO are no longer

# PS3.5 9.1 and B.2; a UUID of this implementation.
IMPLEMENTATION_UID = "2.25.183947162026340598164329740962518407361"
IMPLEMENTATION_NAME = "SEALNODE_010"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_INTEGERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i"}
_SPECIFIC_CHARACTER_SET = 0x00080005


@dataclass(frozen=True, slots=True)
class DicomObject:
    """A data set as it was received, and where its elements lie.

    :param data: what holds the data set: the file, or the inflated data set.
    :param origin: where the data set begins in ``data``.
    :param file: preamble and file meta information as read; ``b""`` for what
        never was a file.
    :param elements: the top-level elements in the order in which they stand.
    :param index: the same by tag.
    :param memo: what was found out about it, by what; see :meth:`once`.
    """

    data: Buffer
    origin: int
    file: bytes
    transfer_syntax_uid: str
    encoding: Encoding
    elements: tuple[Element, ...]
    index: dict[int, Element]
    memo: dict[object, object] = field(init=False, default_factory=dict, repr=False, compare=False)

    def once(self, find: Callable[[DicomObject], T]) -> T:
        """Return what ``find`` finds out about this object; it is called once for each."""
        if find not in self.memo:
            self.memo[find] = find(self)
        return cast("T", self.memo[find])

    @property
    def dataset(self) -> bytes:
        """The bytes of the data set, inflated if it was deflated."""
        return self.data[self.origin :]

    @property
    def ordered(self) -> bool:
        """Whether the tags ascend, as PS3.5 7.1 demands."""
        tags = [element.tag for element in self.elements]
        return tags == sorted(tags)

    def element(self, keyword: str) -> Element | None:
        """Return where an attribute lies, or None if it is absent."""
        return self.index.get(tag_of(keyword))

    def raw(self, tag: int) -> bytes | None:
        """Return the value bytes as they stand, or None if the element is absent."""
        element = self.index.get(tag)
        return None if element is None else self.data[element.value : element.stop]

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of a text attribute without padding; ``()`` if absent or empty.

        Bytes that are not in the declared character set show as U+FFFD.
        """
        return self.texts_of(tag_of(keyword))

    def texts_of(self, tag: int) -> tuple[str, ...]:
        """Return the same of an attribute by its tag."""
        value = self.raw(tag)
        if not value:
            return ()
        text = decode(value, self.raw(_SPECIFIC_CHARACTER_SET) or b"")
        return tuple(part.strip(" \0") for part in text.split("\\")) if text.strip(" \0") else ()

    def text(self, keyword: str) -> str:
        """Return the first value of a text attribute; ``""`` if absent or empty."""
        values = self.texts(keyword)
        return values[0] if values else ""

    def ints(self, keyword: str) -> tuple[int, ...]:
        """Return the values of an integer attribute (binary or IS); ``()`` if absent.

        :raises UnreadableError: the value is no integer (code ``value``).
        """
        element = self.element(keyword)
        if element is None or element.stop == element.value:
            return ()
        value = self.data[element.value : element.stop]
        code = _INTEGERS.get(self.vr(element))
        try:
            if code is not None:
                return tuple(v for (v,) in struct.iter_unpack(self.encoding.order + code, value))
            return tuple(int(part) for part in value.decode("ascii").strip(" \0").split("\\"))
        except (ValueError, struct.error):
            # The cause would quote the value.
            raise UnreadableError(f"{keyword} is no integer", code="value") from None

    def vr(self, element: Element) -> str:
        """Return the element's VR; in implicit VR the dictionary's, ``"UN"`` if unknown."""
        if element.vr:
            return element.vr
        return implicit_vr(element.tag, signed=self._signed)

    @property
    def _signed(self) -> bool:
        return self.raw(0x00280103) in {b"\1\0", b"\0\1"}


def read(data: Buffer) -> DicomObject:
    """Read a Part 10 file; a file without preamble must begin with its meta information.

    ``data`` may be a memory-mapped file: pixels are not touched.

    :raises UnreadableError: see the module.
    """
    meta = _meta(data)
    syntaxes = [data[e.value : e.stop] for e in meta if e.tag == TRANSFER_SYNTAX_UID]
    if len(syntaxes) != 1:
        raise UnreadableError("the file does not name one transfer syntax", code="meta")
    syntax = check_uid(syntaxes[0].decode("ascii", "replace").strip(" \0"))
    origin = meta[-1].end
    return _parsed(data, origin, data[:origin], syntax)


def file_part(data: Buffer) -> bytes:
    """Return preamble and file meta information of a Part 10 file.

    :raises UnreadableError: see the module.
    """
    meta = _meta(data)
    if not meta:
        raise UnreadableError("the file does not name one transfer syntax", code="meta")
    return data[: meta[-1].end]


def _meta(data: Buffer) -> tuple[Element, ...]:
    """The elements of the file meta information."""
    if data[128:132] == b"DICM":
        return leading(data, 0x0002, 132)
    if data[:4] == b"\x02\0\0\0":
        return leading(data, 0x0002, 0)
    raise UnreadableError("no DICOM file: neither preamble nor meta information", code="no_dicm")


def read_dataset(dataset: Buffer, transfer_syntax_uid: str) -> DicomObject:
    """Read a bare data set, as it came over the network.

    :raises UnreadableError: see the module.
    """
    return _parsed(dataset, 0, b"", transfer_syntax_uid)


def _parsed(data: Buffer, origin: int, file: bytes, syntax: str) -> DicomObject:
    if syntax == DEFLATED_LE:
        data, origin = inflate(data, origin), 0
    encoding = encoding_of(syntax)
    elements = walk(data, encoding, origin)
    if elements and min(elements).tag >> 16 < FIRST_DATA_GROUP:
        raise UnreadableError("command or meta elements inside the data set", code="group")
    index = {element.tag: element for element in elements}
    if len(index) != len(elements):
        raise UnreadableError("an element occurs twice", code="duplicate")
    return DicomObject(data, origin, file, syntax, encoding, elements, index)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how data sets of a transfer syntax are written (PS3.5 annex A).

    Every syntax but two writes explicit VR little endian; an unknown one is
    taken to do so, too.
    """
    if transfer_syntax_uid == IMPLICIT_LE:
        return Encoding.IMPLICIT_LE
    if transfer_syntax_uid == EXPLICIT_BE:
        return Encoding.EXPLICIT_BE
    return Encoding.EXPLICIT_LE


def describe(obj: DicomObject, blob: str, size: int, peer: Peer, received_at: float) -> Instance:
    """Return what routing and bookkeeping need to know; nothing about the patient.

    :raises UnreadableError: a UID is missing where one must be, or malformed.
    """
    attributes: dict[str, str | tuple[str, ...]] = {"TransferSyntaxUID": obj.transfer_syntax_uid}
    for keyword in sorted(ROUTING_KEYWORDS - attributes.keys()):
        values = _routing_values(obj, keyword)
        if values:
            attributes[keyword] = values[0] if len(values) == 1 else values
    return Instance(
        sop_class_uid=check_uid(_uid(obj, "SOPClassUID")),
        sop_instance_uid=check_uid(_uid(obj, "SOPInstanceUID")),
        study_instance_uid=_optional_uid(obj, "StudyInstanceUID"),
        series_instance_uid=_optional_uid(obj, "SeriesInstanceUID"),
        transfer_syntax_uid=obj.transfer_syntax_uid,
        blob=blob,
        size=size,
        attributes=attributes,
        peer=peer,
        received_at=received_at,
    )


def check_command(obj: DicomObject, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Check that a data set is the one that the C-STORE command announced (PS3.4 B.2.3).

    :raises MismatchError: it names another class or instance.
    """
    if _uid(obj, "SOPClassUID") != sop_class_uid:
        raise MismatchError("command and data set name different SOP classes")
    if _uid(obj, "SOPInstanceUID") != sop_instance_uid:
        raise MismatchError("command and data set name different SOP instances")


def check_uid(uid: str) -> str:
    """Return a UID that has the syntax of PS3.5 9.1, but for leading zeros of a component.

    Old modalities write leading zeros; nothing here depends on their absence.

    :raises UnreadableError: it is empty, too long or has other characters.
    """
    if len(uid) > MAX_UID or not _UID.fullmatch(uid):
        raise UnreadableError("a UID is missing or malformed", code="uid")
    return uid


def write_part10(
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    dataset: bytes,
    source_aet: str = "",
) -> bytes:
    """Return a Part 10 file; ``dataset`` is as it goes over the wire."""
    return part10_header(sop_class_uid, sop_instance_uid, transfer_syntax_uid, source_aet) + dataset


def part10_header(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_aet: str = ""
) -> bytes:
    """Return preamble and file meta information (PS3.10 7.1); always the same bytes.

    The preamble is zero, whatever the peer would have liked to put there.
    """
    values = [
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", _even(sop_class_uid, "\0")),
        (0x00020003, "UI", _even(sop_instance_uid, "\0")),
        (TRANSFER_SYNTAX_UID, "UI", _even(transfer_syntax_uid, "\0")),
        (0x00020012, "UI", _even(IMPLEMENTATION_UID, "\0")),
        (0x00020013, "SH", _even(IMPLEMENTATION_NAME, " ")),
    ]
    if source_aet:
        values.append((0x00020016, "AE", _even(source_aet, " ")))
    group = b"".join(
        header(tag, vr, len(value), Encoding.EXPLICIT_LE) + value for tag, vr, value in values
    )
    length = header(META_LENGTH, "UL", 4, Encoding.EXPLICIT_LE) + struct.pack("<I", len(group))
    return bytes(128) + b"DICM" + length + group


def with_syntax(file: bytes, transfer_syntax_uid: str) -> bytes:
    """Return preamble and file meta information that name a transfer syntax; unchanged if they do.

    :raises UnreadableError: the bytes name no transfer syntax.
    """
    meta = leading(file, 0x0002, 132 if file[128:132] == b"DICM" else 0)
    element = next((e for e in meta if e.tag == TRANSFER_SYNTAX_UID), None)
    if element is None:
        raise UnreadableError("the file does not name one transfer syntax", code="meta")
    value = _even(transfer_syntax_uid, "\0")
    if file[element.value : element.stop].rstrip(b" \0") == value.rstrip(b"\0"):
        return file
    new = header(TRANSFER_SYNTAX_UID, "UI", len(value), Encoding.EXPLICIT_LE) + value
    change = len(new) - (element.end - element.start)
    file = file[: element.start] + new + file[element.end :]
    first = meta[0]
    if first.tag == META_LENGTH:
        (length,) = struct.unpack_from("<I", file, first.value)
        file = file[: first.value] + struct.pack("<I", length + change) + file[first.stop :]
    return file


def wire(dataset: bytes, transfer_syntax_uid: str) -> bytes:
    """Return a data set as its transfer syntax sends it: deflated, or as it is."""
    return deflate(dataset) if transfer_syntax_uid == DEFLATED_LE else dataset


@cache
def tag_of(keyword: str) -> int:
    """Return the tag of a keyword of PS3.6.

    :raises KeyError: there is no such keyword.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def implicit_vr(tag: int, *, signed: bool = False) -> str:
    """Return the VR that the dictionary gives a tag; ``"UN"`` if it has none.

    Where PS3.6 leaves a choice, PS3.5 annex A.1 and Pixel Representation
    (``signed``) decide.
    """
    if tag & 0xFFFF == 0:
        return "UL"  # PS3.5 7.2: group length
    if tag >> 16 & 1:
        return "UN" if tag & 0xFF00 or not tag & 0xF0 else "LO"  # PS3.5 7.8.1: private creator
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if " or " not in vr:
        return vr
    if "OW" in vr:
        return "OW"
    return "SS" if signed else "US"


def _routing_values(obj: DicomObject, keyword: str) -> tuple[str, ...]:
    element = obj.element(keyword)
    if element is None:
        return ()
    if obj.vr(element) in _INTEGERS:
        return tuple(str(value) for value in obj.ints(keyword))
    return tuple(value[:MAX_TEXT] for value in obj.texts(keyword))


def _uid(obj: DicomObject, keyword: str) -> str:
    return "\\".join(obj.texts(keyword))


def _optional_uid(obj: DicomObject, keyword: str) -> str:
    uid = _uid(obj, keyword)
    return check_uid(uid) if uid else ""


def _even(text: str, pad: str) -> bytes:
    value = text.encode("ascii")
    return value + pad.encode("ascii") * (len(value) % 2)

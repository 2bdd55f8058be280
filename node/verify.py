"""Stage 4: a file, or an object fetched back, becomes a verdict with evidence, and the original.

The same code proves an object before it is sent (stage 2) and judges it when
it comes back: it starts from the bytes alone and trusts nothing else.

SECURITY: holds an :class:`Opener`, so it can read every sealed record. What
it returns may hold patient data; what it logs never does.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from node.crypto import record as records
from node.dicom import compare, derived, encrypted, headers, identity, margin, marked, reader, undo
from node.dicom import pixels as pixel_data
from node.errors import (
    DamagedError,
    NotOurKeyError,
    UnmarkedError,
    UnreadableError,
    UnsealableError,
)
from node.mark import robust
from node.sealing import attachments
from node.sealing.carrying import HEADER, RECORD, header_binding, unframe
from node.sealing.recovery import recover
from node.types import Binding, Region, Verdict, VerdictKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from node.crypto.base import Opener
    from node.crypto.envelope import Custodian
    from node.dicom.pixels import Codec, Pixels
    from node.dicom.reader import DicomObject
    from node.mark.base import Embedder
    from node.sealing.copies import Copies
    from node.types import Attachment, Attribute, Extraction, Record


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that examining an object brought to light.

    :param restored: the original as a Part 10 file, or the best that can be
        had of it, or None.
    :param exact: ``restored`` is the original, proved by its digests.
    :param extraction: what was read from the pixels, where a mark was found.
    :param attachments: what other systems gave to be sealed with the object.
    :param approximate: samples with the changed regions as a coarse copy shows
        them, if one was sealed; see :mod:`node.sealing.recovery`.
    """

    verdict: Verdict
    record: Record | None = None
    restored: bytes | None = None
    exact: bool = False
    pixels: Pixels | None = None
    extraction: Extraction | None = None
    approximate: NDArray[np.int32] | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class _Header:
    """The original header as far as it can be had.

    :param original: a header (:mod:`node.dicom.headers`).
    :param exact: its digest is the sealed one.
    :param coerced: keywords of what differs from it in the object at hand.
    :param parsed: what it is a header of, if that is at hand.
    """

    original: bytes | None
    exact: bool
    coerced: tuple[str, ...]
    parsed: DicomObject | None = None


class Examiner:
    """Reads marks, opens seals, compares, restores.

    :param copies: recognises lossy copies where the mark is gone.
    :param custodian: opens Encrypted Attributes where the header copy is gone.
    :param finer: a slower mark, looked for where the embedder's is not found.
    :param everywhere: look for that even in objects that do not say that they are sealed.
    """

    def __init__(
        self,
        opener: Opener,
        embedder: Embedder,
        codec: Codec | None,
        copies: Copies | None = None,
        custodian: Custodian | None = None,
        *,
        finer: Embedder | None = None,
        everywhere: bool = False,
    ) -> None:
        self._custodian = custodian
        self._finer, self._everywhere = finer, everywhere
        self._copies = copies
        self._opener = opener
        self._embedder = embedder
        self._codec = codec

    def examine(self, data: bytes, *, twin: Pixels | None = None) -> Examination:
        """Return the verdict on one object (a Part 10 file), with all evidence.

        Never raises for what the bytes hold: that is what the verdict is for.

        :param twin: the pixels that should come out, if they are at hand: saves
            the time to hash them again, and changes no verdict.
        """
        try:
            obj = reader.read(data)
        except UnreadableError as error:
            return Examination(Verdict(VerdictKind.UNREADABLE, f"{error} ({error.code})"))
        if marked.private_value(obj, marked.SEALED_RECORD) is not None:
            return self._examine_header_carrier(obj)
        try:
            pixels = pixel_data.load(obj, self._codec, lossy="decode")
        except UnsealableError as error:
            return self._without_mark(obj, None, error.code)
        except UnreadableError as error:
            return Examination(Verdict(VerdictKind.UNREADABLE, f"{error} ({error.code})"))
        binding = pixels.binding()
        for embedder, (key_id, key) in product(self._marks(obj), self._opener.tag_keys(binding)):
            try:
                extraction = embedder.extract(pixels.carrier, key)
            except UnmarkedError:
                continue
            return self._examine_pixels(obj, pixels, binding, key_id, extraction, twin=twin)
        return self._without_mark(obj, pixels, "")

    def _marks(self, obj: DicomObject) -> list[Embedder]:
        """Return the marks that are looked for, each under all keys."""
        said = marked.private_value(obj, marked.KEY_HINT) is not None
        finer = self._finer if said or self._everywhere else None
        return [self._embedder] if finer is None else [self._embedder, finer]

    def is_of(self, found: Examination, original: bytes) -> bool:
        """Return whether what was sealed is an original: its header and its pixels.

        :raises UnreadableError: the original cannot be parsed.
        """
        obj, record = reader.read(original), found.record
        if record is None or _digest(headers.header_bytes(obj)) != record.object_sha256:
            return False
        if found.verdict.carrier == "header":
            return pixel_data.field_sha256(obj) == record.pixels_sha256
        pixels = pixel_data.load(obj, self._codec, lossy="decode")
        return pixels.sha256 == record.pixels_sha256

    def who(self, data: bytes) -> tuple[Attribute, ...]:
        """Return who an object is about, by what its header still carries; () if nothing opens.

        For objects whose pixels lost the record. Nothing proves that these pixels are theirs.

        :raises UnreadableError: the bytes are no object.
        """
        obj = reader.read(data)
        bindings = [header_binding(obj)]
        with suppress(UnsealableError, UnreadableError):
            bindings.append(pixel_data.load(obj, self._codec, lossy="decode").binding())
        for binding in bindings:
            copy = self._header_copy(obj, binding)
            if copy is not None:
                return identity.collect(headers.parse_header(copy))
        kept = encrypted.opened(obj, self._custodian.open) if self._custodian else None
        return identity.collect(kept) if kept else ()

    def same_pixels(self, one: DicomObject, other: DicomObject) -> bool:
        """Return whether two objects hold the same pixels, in whatever transfer syntax."""
        if pixel_data.field_sha256(one) == pixel_data.field_sha256(other):
            return True
        try:
            digests = {
                pixel_data.load(obj, self._codec, lossy="decode").sha256 for obj in (one, other)
            }
        except (UnsealableError, UnreadableError):
            return False
        return len(digests) == 1

    def _examine_pixels(
        self,
        obj: DicomObject,
        pixels: Pixels,
        binding: Binding,
        key_id: bytes,
        extraction: Extraction,
        *,
        twin: Pixels | None,
    ) -> Examination:
        found = Verdict(
            VerdictKind.TAMPERED,
            regions=extraction.altered,
            key_id=key_id.hex(),
            carrier="pixels",
            payload_bytes=len(extraction.payload or b""),
            tiles=extraction.tiles,
        )
        evidence = Examination(found, pixels=pixels, extraction=extraction)
        if extraction.payload is None:
            reason = "too little of the seal is left in the pixels"
            verdict = self._lossy(pixels) or replace(found, reason=reason)
            return replace(evidence, verdict=verdict)
        try:
            record = self._open_record(extraction.payload, binding)
        except (DamagedError, NotOurKeyError, UnreadableError):
            reason = "what the pixels carry is not what was sealed for this object"
            return replace(evidence, verdict=replace(found, reason=reason))
        header = self._original_header(obj, record, binding)
        attached = attachments.opened(self._opener, obj, record, binding)
        if attached is None:
            header = replace(header, coerced=(*header.coerced, "Attachments"))
        extraction = _without_robust(pixels, extraction, record)
        evidence = replace(evidence, extraction=extraction)
        restored = pixels.restore(extraction.samples)
        restored = margin.cut(restored, margin.rows_before(record.undo) or restored.facts.rows)
        pixels_exact = restored.holds(record.pixels_sha256, twin)
        verdict = replace(found, coerced=header.coerced)
        if extraction.altered or extraction.unplaced or not pixels_exact:
            verdict = replace(verdict, reason="the pixels differ from what was sealed")
            width = pixels.facts.columns
            if again := recover(record.coarse, pixels.carrier, extraction, width):
                verdict = replace(verdict, details=again.details)
                evidence = replace(evidence, approximate=again.samples)
        else:
            verdict = _header_verdict(verdict, header)
        whole = header.original
        file = marked.rebuild(whole, restored, record.file, header.parsed) if whole else None
        return replace(
            evidence,
            verdict=verdict,
            record=record,
            restored=file,
            exact=file is not None and header.exact and pixels_exact,
            attachments=attached or (),
        )

    def _examine_header_carrier(self, obj: DicomObject) -> Examination:
        """Judge an object whose record rides in the header alone."""
        payload = unframe(marked.private_value(obj, marked.SEALED_RECORD))
        binding = header_binding(obj)
        found = Verdict(VerdictKind.TAMPERED, carrier="header", payload_bytes=len(payload))
        try:
            record = self._open_record(payload, binding)
        except NotOurKeyError as error:
            return Examination(replace(found, kind=VerdictKind.NOT_OUR_KEY, reason=str(error)))
        except (DamagedError, UnreadableError):
            reason = "what the header carries is not what was sealed for this object"
            return Examination(replace(found, reason=reason))
        found = replace(found, key_id=payload[2:6].hex())
        header = self._original_header(obj, record, binding)
        attached = attachments.opened(self._opener, obj, record, binding)
        if attached is None:
            header = replace(header, coerced=(*header.coerced, "Attachments"))
        pixels_exact = pixel_data.field_sha256(obj) == record.pixels_sha256
        verdict = replace(found, coerced=header.coerced)
        if pixels_exact:
            verdict = _header_verdict(verdict, header)
        else:
            verdict = replace(verdict, reason="the pixels differ from what was sealed")
        file = marked.refill(header.original, obj, record.file) if header.original else None
        exact = file is not None and header.exact and pixels_exact
        return Examination(verdict, record, file, exact, attachments=attached or ())

    def _without_mark(self, obj: DicomObject, pixels: Pixels | None, code: str) -> Examination:
        """Judge an object in whose pixels there is no mark under any of our keys."""
        hint = (marked.private_value(obj, marked.KEY_HINT) or b"").strip(b" \0")
        shown = hint.decode("ascii", "replace")
        ours = not hint or hint in {key_id.hex().encode() for key_id in self._key_ids()}
        lossy = self._lossy(pixels) if ours else None
        if lossy is not None:
            return Examination(replace(lossy, key_id=shown), pixels=pixels)
        if not hint:
            reason = f"cannot carry a mark: {code}" if code else "no mark under any key of the ring"
            return Examination(Verdict(VerdictKind.UNMARKED, reason), pixels=pixels)
        if not ours:
            reason = f"sealed under key {shown}, which {self._opener.fate(shown)}"
            return Examination(
                Verdict(VerdictKind.NOT_OUR_KEY, reason, key_id=shown), pixels=pixels
            )
        binding = pixels.binding() if pixels else header_binding(obj)
        if method := derived.method_of(obj):
            reason = f"made by nodectl seal --embedder {method}, which is not reversible"
            return Examination(Verdict(VerdictKind.UNMARKED, reason, key_id=shown), pixels=pixels)
        if self._header_copy(obj, binding) is None:
            reason = (
                f"names key {shown}, but nothing of the seal is left: another instance or size, "
                "or made anew"
            )
        else:
            reason = "the header is ours, but the pixels carry no mark: replaced or resampled"
        lossy_now = obj.text("LossyImageCompression") == "01"
        verdict = Verdict(
            VerdictKind.TAMPERED,
            reason + (", compressed with loss" if lossy_now else ", or compressed with loss"),
            regions=_whole(pixels),
            key_id=shown,
            carrier="pixels",
        )
        return Examination(verdict, pixels=pixels)

    def _lossy(self, pixels: Pixels | None) -> Verdict | None:
        """Return the verdict on a lossy copy, if a robust mark tells whose it is."""
        copy = self._copies.of_pixels(pixels) if self._copies and pixels else None
        if copy is None:
            return None
        reason = f"a lossy copy of an image of {copy.title}"
        if copy.recipient:
            reason += f", given to recipient {copy.recipient}"
        return Verdict(
            VerdictKind.LOSSY,
            reason,
            carrier="pixels",
            hospital=copy.hospital,
            recipient=copy.recipient or 0,
        )

    def _key_ids(self) -> list[bytes]:
        return [key_id for key_id, _ in self._opener.tag_keys(Binding("", ""))]

    def _open_record(self, payload: bytes, binding: Binding) -> Record:
        return records.decode(self._opener.open(payload, binding, RECORD), binding)

    def _header_copy(self, obj: DicomObject, binding: Binding) -> bytes | None:
        """Return the original header from the sealed copy in the object, or None."""
        value = marked.private_value(obj, marked.HEADER_COPY)
        if value is None:
            return None
        try:
            return headers.open_copy(self._opener.open(unframe(value), binding, HEADER))
        except (DamagedError, NotOurKeyError, UnreadableError):
            return None

    def _original_header(self, obj: DicomObject, record: Record, binding: Binding) -> _Header:
        """Turn the header back, by the undo data, and by the copy where it was coerced."""
        copy = self._header_copy(obj, binding)
        if copy is not None and _digest(copy) != record.object_sha256:
            copy = None
        original = headers.parse_header(copy) if copy is not None else None
        if original is None and self._custodian is not None:
            kept = encrypted.opened(obj, self._custodian.open)
        else:
            kept = original
        try:
            undone = marked.undress(obj, record.undo, kept)
        except (UnreadableError, UnsealableError):
            undone = None
        if undone is not None and _digest(undone) == record.object_sha256:
            return _Header(undone, exact=True, coerced=(), parsed=original)
        if copy is not None and original is not None:
            ours = set(undo.unpack(record.undo).elements)
            ours |= {tag for tag in obj.index if tag >> 16 == marked.PRIVATE_GROUP}
            return _Header(copy, exact=True, coerced=compare.differences(original, obj, ours))
        coerced = compare.known_differences(obj, record.attributes, record.undo)
        return _Header(undone, exact=False, coerced=coerced)


def _without_robust(pixels: Pixels, extraction: Extraction, record: Record) -> Extraction:
    """Take the robust mark out as well; where that is damaged, leave all as it is."""
    if not record.robust:
        return extraction
    carrier = replace(pixels.carrier, samples=extraction.samples)
    try:
        return replace(extraction, samples=robust.remove(carrier, record.robust))
    except UnreadableError:
        return extraction


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _header_verdict(verdict: Verdict, header: _Header) -> Verdict:
    if header.exact and not header.coerced:
        return replace(verdict, kind=VerdictKind.INTACT)
    reason = "the pixels are intact" if header.coerced else "the pixels are intact, the header not"
    return replace(verdict, kind=VerdictKind.HEADER_COERCED, reason=reason)


def _whole(pixels: Pixels | None) -> tuple[Region, ...]:
    if pixels is None:
        return ()
    facts = pixels.facts
    return tuple(Region(n, 0, 0, facts.rows, facts.columns) for n in range(facts.frames))

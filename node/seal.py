"""The object to send: identity taken out and sealed, embedded, and proved from the very bytes.

Fail closed: the only way from here to a destination whose route says ``seal``
leads through :meth:`Marker.mark`, which ends with the proof.

SECURITY: holds the sealing key and what it takes to prove; needs no network.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import node
from node.crypto import record as records
from node.dicom import headers, identity, margin, marked, overlay, reader
from node.dicom import pixels as pixel_data
from node.dicom import signatures as signed
from node.dicom.declaration import Work
from node.dicom.native import facts_of
from node.errors import DoesNotFitError, ProofError, QualityError, UnsealableError
from node.mark import coarse, logo, quality, robust
from node.sealing import attachments
from node.sealing.carrying import HEADER, RECORD, frame, header_binding
from node.sealing.copies import window_of
from node.sealing.order import Evidence, Extras, Marked
from node.sealing.report import measured
from node.sealing.signatures import check
from node.types import Limits, Record, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from node.crypto.base import Sealer
    from node.dicom.pixels import Codec, Pixels, Stored
    from node.dicom.reader import DicomObject
    from node.mark.base import Embedder
    from node.mark.robust import Added
    from node.sealing.order import Order
    from node.types import Binding, Quality
    from node.verify import Examination, Examiner

    Facts = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class _Draft:
    """An object on its way: what becomes of its header, and what its seal is bound to.

    :param obj: as received, or decoded where it was compressed with loss.
    :param copy: of its header, to ride sealed in the object.
    :param raw: the longest element that rides in the record nevertheless.
    """

    obj: DicomObject
    order: Order
    changes: marked.Changes
    binding: Binding
    copy: bytes | None
    raw: int


SPARED = 32  # samples for each bit of attachments in the pixels: 1 KiB in 512 x 512
SHARES = (1.0, 0.25)
"""How large the coarse copy may be that is tried, in its usual size."""


class Marker:
    """Turns an object as received into the object to send, and proves it.

    :param limits_of: what the mark may cost an image, by its Modality.
    """

    def __init__(
        self,
        sealer: Sealer,
        embedder: Embedder,
        codec: Codec | None,
        examiner: Examiner,
        limits_of: Callable[[str], Limits] = lambda _modality: Limits(),
    ) -> None:
        self._limits_of = limits_of
        self._sealer = sealer
        self._embedder = embedder
        self._codec = codec
        self._examiner = examiner

    def mark(self, data: bytes, order: Order) -> Marked:
        """Return the marked, proved object for a Part 10 file.

        :raises UnreadableError: the bytes are no object that can be parsed.
        :raises UnsealableError: it cannot be marked without loss.
        :raises QualityError: marked, it would be changed more than is allowed.
        :raises DoesNotFitError: the pixels cannot carry the payload.
        :raises ProofError: the marked object did not give the original back.
        """
        obj = reader.read(data)
        count = None if order.attachments is None else len(order.attachments)
        return replace(self._mark(obj, order), signatures=check(obj), attachments=count)

    def _mark(self, obj: DicomObject, order: Order) -> Marked:
        if order.carrier == "header":
            return self._prove(obj, self._in_header(obj, order), order)
        try:
            pixels = pixel_data.load(obj, self._codec, lossy=order.lossy)
            made = self._in_pixels_shown(pixels, order)
        except (UnsealableError, DoesNotFitError):
            if order.carrier != "auto":
                raise
            return self._prove(obj, self._in_header(obj, order), order)
        return self._prove(pixels.obj, made, order, pixels)

    def _in_pixels_shown(self, pixels: Pixels, order: Order) -> Marked:
        """Mark with the logo in a margin, where that is ordered, and can be and fits."""
        ink = logo.decode(order.logo) if order.visible == "margin" and order.logo else None
        page = None if ink is None else margin.add(pixels, ink)
        if page is not None:
            with suppress(DoesNotFitError, QualityError):
                return replace(self._in_pixels_best(page, order), margin=True)
        return self._in_pixels_best(pixels, order)

    def _in_pixels_best(self, pixels: Pixels, order: Order) -> Marked:
        """Mark with all that is ordered and fits: without the copy before without robust mark.

        :raises DoesNotFitError: not even the seal alone fits.
        :raises QualityError: that alone changes too much.
        """
        window, image = pixels.window, pixels.carrier.samples
        copies = [coarse.pack(image, window, share) for share in SHARES] if order.recovery else []
        marks = (*_robust(pixels, order), None)
        places = self._places(pixels, order)
        extras = [
            (mark, copy, place) for mark in marks for copy in (*copies, b"") for place in places
        ]
        for mark, copy, place in extras[:-1]:
            with suppress(DoesNotFitError, QualityError):
                return self._in_pixels(pixels, order, mark, copy, place)
        return self._in_pixels(pixels, order, None, b"", places[-1])

    def _places(self, pixels: Pixels, order: Order) -> list[bytes]:
        """Return the record's sections for attachments, the best first: with it, or outside."""
        packed = attachments.pack(order.attachments or ())
        if not packed:
            return [b""]
        small = len(packed) * 8 * SPARED <= pixels.carrier.samples.size
        return [attachments.inside(packed)] * small + [attachments.outside(packed)]

    def _in_pixels(
        self, pixels: Pixels, order: Order, added: Added | None, copy: bytes, attached: bytes
    ) -> Marked:
        draft = self._draft(pixels.obj, order, pixels.binding(), image=True)
        changes = marked.with_elements(draft.changes, draft.obj, margin.elements(pixels))
        draft = replace(draft, changes=changes)
        sha256 = margin.cut(pixels, facts_of(pixels.obj).rows).sha256
        extras = Extras(added.undo if added else b"", copy, attached)
        carrier = replace(pixels.carrier, samples=added.samples) if added else pixels.carrier
        tag_key = self._sealer.tag_key(draft.binding)
        leaner = draft.copy is not None and order.pseudonyms is not None
        try:
            payload = self._seal(draft, sha256, extras)
            samples = self._embedder.embed(carrier, payload, tag_key)
            found = self._permitted(pixels, samples, robust=added is not None)
        except (DoesNotFitError, QualityError):
            if not leaner:
                raise
            payload = self._seal(replace(draft, raw=0), sha256, extras)
            samples = self._embedder.embed(carrier, payload, tag_key)
            found = self._permitted(pixels, samples, robust=added is not None)
        extremes = int(samples.min()), int(samples.max())
        private = self._private(draft, attached) | {marked.QUALITY: quality.state(found)}
        stored = pixels.store(samples)
        dataset = marked.dress(draft.obj, draft.changes, stored, private=private, extremes=extremes)
        made = self._made(draft, dataset, stored, "pixels", payload)
        return replace(
            made,
            quality=found,
            robust=added is not None,
            bitmap=added is not None and added.bitmap,
            recovery_bytes=len(copy),
        )

    def _permitted(self, pixels: Pixels, samples: NDArray[np.int32], *, robust: bool) -> Quality:
        """Return what marking costs an image.

        :raises QualityError: more than is allowed for its modality.
        """
        found = measured(pixels, pixels.carrier.samples, samples)
        limits = self._limits_of(pixels.obj.text("Modality"))
        limit, why = quality.fault(found, limits, robust=robust)
        if limit:
            raise QualityError(
                f"the mark would cost {why}",
                code=f"quality_{limit}",
                hint="the route's unsealable rule decides; [quality.*] holds the limits",
            )
        return found

    def _in_header(self, obj: DicomObject, order: Order) -> Marked:
        draft = self._draft(obj, order, header_binding(obj), image=False)
        packed = attachments.pack(order.attachments or ())
        extras = Extras(attached=attachments.inside(packed)) if packed else Extras()
        payload = self._seal(draft, pixel_data.field_sha256(obj), extras)
        private = self._private(draft) | {marked.SEALED_RECORD: frame(payload)}
        dataset = marked.dress(obj, draft.changes, None, private=private)
        return self._made(draft, dataset, None, "header", payload)

    def _draft(self, obj: DicomObject, order: Order, binding: Binding, *, image: bool) -> _Draft:
        mark = self._embedder.name
        method = f"reversible mark {mark}" if image else "sealed record in the header"
        pseudonyms = order.pseudonyms
        hidden = pseudonyms is not None and pseudonyms.masked
        work = Work(
            method,
            self._sealer.key_id.hex(),
            node.__version__,
            order.received_at,
            masked=hidden,
            dated=pseudonyms is None or pseudonyms.dated,
        )
        said = pseudonyms.changes(obj) if pseudonyms else {}
        changes = marked.plan(obj, work, image=image, masked=said)
        if pseudonyms:
            more = pseudonyms.enveloped(obj, changes.elements)
            changes = marked.with_elements(changes, obj, more)
            binding = replace(binding, sop_instance_uid=pseudonyms.uid(binding.sop_instance_uid))
        if image and order.visible == "overlay" and order.logo:
            shown = overlay.elements(obj, logo.decode(order.logo))
            changes = marked.with_elements(changes, obj, shown)
        if order.signatory:
            changes = marked.with_elements(
                changes, obj, signed.replaced(obj, keep=not (image or pseudonyms))
            )
        copy = headers.header_copy(obj, headers.MAX_MASKED if hidden else headers.MAX_COPY)
        if hidden and copy is None:
            raise UnsealableError("the header is too long to be sealed", code="header_too_long")
        raw = marked.MAX_RAW_MASKED if hidden else marked.MAX_RAW
        return _Draft(obj, order, changes, binding, copy, raw)

    def _seal(self, draft: _Draft, pixels_sha256: bytes, extras: Extras) -> bytes:
        obj, order, binding = draft.obj, draft.order, draft.binding
        raw = None if draft.copy is None else draft.raw
        record = Record(
            attributes=identity.collect(obj),
            pixels_sha256=pixels_sha256,
            object_sha256=hashlib.sha256(headers.header_bytes(obj)).digest(),
            undo=marked.undo(obj, draft.changes, raw=raw),
            logo=order.logo,
            file=obj.file if order.keep_file else b"",
            robust=extras.way_back,
            coarse=extras.copy,
            attached=extras.attached,
        )
        return self._sealer.seal(records.encode(record, binding), binding, RECORD)

    def _private(self, draft: _Draft, attached: bytes = b"") -> dict[int, bytes]:
        private = {marked.KEY_HINT: self._sealer.key_id.hex().encode("ascii")}
        if draft.copy is not None:
            sealed = self._sealer.seal(draft.copy, draft.binding, HEADER)
            private[marked.HEADER_COPY] = frame(sealed)
        if attachments.is_outside(attached):
            packed = attachments.pack(draft.order.attachments or ())
            sealed = self._sealer.seal(packed, draft.binding, attachments.PURPOSE)
            private[marked.ATTACHMENTS] = frame(sealed)
        return private

    def _made(
        self, draft: _Draft, dataset: bytes, stored: Stored | None, carrier: str, payload: bytes
    ) -> Marked:
        uids = draft.binding.sop_class_uid, draft.binding.sop_instance_uid
        syntax = stored.transfer_syntax_uid if stored else draft.obj.transfer_syntax_uid
        if signatory := draft.order.signatory:
            pseudonyms = draft.order.pseudonyms
            dated = pseudonyms is None or pseudonyms.dated
            dataset = signatory.sign(dataset, syntax, draft.order.received_at if dated else None)
        return Marked(
            data=reader.write_part10(*uids, syntax, reader.wire(dataset, syntax)),
            sop_class_uid=uids[0],
            sop_instance_uid=uids[1],
            transfer_syntax_uid=syntax,
            carrier=carrier,
            key_id=self._sealer.key_id.hex(),
            payload_bytes=len(payload),
        )

    def _prove(
        self, obj: DicomObject, made: Marked, order: Order, pixels: Pixels | None = None
    ) -> Marked:
        """Restore the original from nothing but the bytes to be sent, and compare.

        A native object must come back byte for byte; any other with the same
        header and the same decoded words.

        :raises ProofError: it does not.
        """
        found = self._examiner.examine(made.data, twin=pixels)
        if found.verdict.kind is not VerdictKind.INTACT or not found.exact or not found.restored:
            raise ProofError(f"the marked object is found {found.verdict.kind.value}")
        if order.evidence:
            made = replace(made, evidence=_evidence(made.data, found))
        if attachments.pack(found.attachments) != attachments.pack(order.attachments or ()):
            raise ProofError("the attachments did not come back")
        file = reader.file_part(found.restored)
        if order.keep_file and file != obj.file:
            raise ProofError("the file meta information did not come back")
        if obj.transfer_syntax_uid in reader.PLAIN_SYNTAXES:
            dataset = obj.dataset
            whole = len(found.restored) == len(file) + len(dataset)
            if not whole or not found.restored.endswith(dataset):
                raise ProofError("the data set did not come back")
            return made
        restored = reader.read(found.restored)
        if headers.header_bytes(restored) != headers.header_bytes(obj):
            raise ProofError("the header did not come back")
        if pixels is None or obj.transfer_syntax_uid in reader.NATIVE_SYNTAXES:
            same = restored.dataset == obj.dataset
        else:
            again = pixel_data.load(restored, self._codec, lossy=order.lossy)
            same = again.sha256 == pixels.sha256
        if not same:
            raise ProofError("the pixels did not come back")
        return made


def _evidence(data: bytes, found: Examination) -> Evidence | None:
    """Return the digests of what was found in marked data."""
    if found.record is None:
        return None
    record = found.record
    obj = found.pixels.obj if found.pixels else reader.read(data)
    return Evidence(
        record.object_sha256,
        record.pixels_sha256,
        hashlib.sha256(headers.header_bytes(obj)).digest(),
        found.pixels.sha256 if found.pixels else pixel_data.field_sha256(obj),
    )


def _robust(pixels: Pixels, order: Order) -> list[Added]:
    """Return the robust marks that fit, the one with the most to say first."""
    found: list[Added] = []
    for drawn in dict.fromkeys((order.bitmap, b"")) if order.robust else ():
        with suppress(DoesNotFitError):
            added = robust.add(pixels.carrier, order.robust, window_of(pixels), drawn)
            if added.bitmap or not drawn:
                found.append(added)
    return found

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
from node.copies import window_of
from node.crypto import record as records
from node.dicom import headers, identity, marked, reader
from node.dicom import pixels as pixel_data
from node.errors import DoesNotFitError, ProofError, QualityError, UnsealableError
from node.mark import quality, robust
from node.types import Limits, Record, VerdictKind
from node.verify import HEADER, RECORD, frame, header_binding, measured

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from node.crypto.base import Sealer
    from node.dicom.pixels import Codec, Pixels, Stored
    from node.dicom.reader import DicomObject
    from node.mark.base import Embedder
    from node.mark.robust import Added
    from node.types import Binding, Quality
    from node.verify import Examiner

    Facts = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Order:
    """How one object is to be marked.

    :param received_at: seconds since the epoch, UTC; what the header says of
        when it was marked. A retry gives the same bytes only for the same.
    :param logo: packed by ``mark.logo``.
    :param lossy: ``"decode"`` marks what was compressed with loss, too.
    :param carrier: ``"pixels"``, ``"header"``, or ``"auto"``: the header
        where the pixels cannot carry the payload.
    :param keep_file: restore preamble and meta information as well.
    :param robust: the robust mark to add where there is enough picture for it
        (:mod:`node.copies`); empty for none.
    """

    received_at: float
    logo: bytes = b""
    lossy: str = "refuse"
    carrier: str = "pixels"
    keep_file: bool = False
    robust: bytes = b""


@dataclass(frozen=True, slots=True)
class Marked:
    """An object to send, proved.

    :param data: the Part 10 file, whole.
    :param carrier: ``"pixels"`` or ``"header"``.
    :param robust: whether the pixels carry the robust mark, too.
    """

    data: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    carrier: str
    key_id: str
    payload_bytes: int
    quality: Quality | None = None
    robust: bool = False


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
        if order.carrier == "header":
            return self._prove(obj, self._in_header(obj, order), order)
        try:
            pixels = pixel_data.load(obj, self._codec, lossy=order.lossy)
            made = self._in_pixels_twice(pixels, order)
        except (UnsealableError, DoesNotFitError):
            if order.carrier != "auto":
                raise
            return self._prove(obj, self._in_header(obj, order), order)
        return self._prove(pixels.obj, made, order, pixels)

    def _in_pixels_twice(self, pixels: Pixels, order: Order) -> Marked:
        """Add the robust mark, then the reversible one; that one alone if both are too much."""
        if order.robust:
            with suppress(DoesNotFitError, QualityError):
                added = robust.add(pixels.carrier, order.robust, window_of(pixels))
                return replace(self._in_pixels(pixels, order, added), robust=True)
        return self._in_pixels(pixels, order)

    def _in_pixels(self, pixels: Pixels, order: Order, added: Added | None = None) -> Marked:
        obj = pixels.obj  # the object as received, or decoded where it was compressed with loss
        binding = pixels.binding()
        work = self._work(f"reversible mark {self._embedder.name}", order)
        changes = marked.plan(obj, work, image=True)
        copy = headers.header_copy(obj)
        way_back = added.undo if added else b""
        payload = self._seal(
            obj, order, changes, pixels.sha256, binding, copied=copy is not None, way_back=way_back
        )
        carrier = replace(pixels.carrier, samples=added.samples) if added else pixels.carrier
        samples = self._embedder.embed(carrier, payload, self._sealer.tag_key(binding))
        found = self._permitted(pixels, samples, robust=added is not None)
        extremes = int(samples.min()), int(samples.max())
        private = self._private(copy, binding) | {marked.QUALITY: quality.state(found)}
        stored = pixels.store(samples)
        dataset = marked.dress(obj, changes, stored, private=private, extremes=extremes)
        return replace(self._made(obj, dataset, stored, "pixels", payload), quality=found)

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
        binding = header_binding(obj)
        changes = marked.plan(obj, self._work("sealed record in the header", order), image=False)
        copy = headers.header_copy(obj)
        digest = pixel_data.field_sha256(obj)
        payload = self._seal(obj, order, changes, digest, binding, copied=copy is not None)
        private = self._private(copy, binding) | {marked.SEALED_RECORD: frame(payload)}
        dataset = marked.dress(obj, changes, None, private=private)
        return self._made(obj, dataset, None, "header", payload)

    def _work(self, method: str, order: Order) -> marked.Work:
        key_id = self._sealer.key_id.hex()
        return marked.Work(method, key_id, node.__version__, order.received_at)

    def _seal(
        self,
        obj: DicomObject,
        order: Order,
        changes: marked.Changes,
        pixels_sha256: bytes,
        binding: Binding,
        *,
        copied: bool,
        way_back: bytes = b"",
    ) -> bytes:
        record = Record(
            attributes=identity.collect(obj),
            pixels_sha256=pixels_sha256,
            object_sha256=hashlib.sha256(headers.header_bytes(obj)).digest(),
            undo=marked.undo(obj, changes, header_copy=copied),
            logo=order.logo,
            file=obj.file if order.keep_file else b"",
            robust=way_back,
        )
        return self._sealer.seal(records.encode(record, binding), binding, RECORD)

    def _private(self, copy: bytes | None, binding: Binding) -> dict[int, bytes]:
        private = {marked.KEY_HINT: self._sealer.key_id.hex().encode("ascii")}
        if copy is not None:
            private[marked.HEADER_COPY] = frame(self._sealer.seal(copy, binding, HEADER))
        return private

    def _made(
        self, obj: DicomObject, dataset: bytes, stored: Stored | None, carrier: str, payload: bytes
    ) -> Marked:
        uids = obj.text("SOPClassUID"), obj.text("SOPInstanceUID")
        syntax = stored.transfer_syntax_uid if stored else obj.transfer_syntax_uid
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
        found = self._examiner.examine(made.data)
        if found.verdict.kind is not VerdictKind.INTACT or not found.exact or not found.restored:
            raise ProofError(f"the marked object is found {found.verdict.kind.value}")
        file = reader.file_part(found.restored)
        if order.keep_file and file != obj.file:
            raise ProofError("the file meta information did not come back")
        if obj.transfer_syntax_uid in reader.PLAIN_SYNTAXES:
            if found.restored[len(file) :] != obj.dataset:
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

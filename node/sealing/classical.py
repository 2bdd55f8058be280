"""Files marked by a classical method: for comparison, outside the node's path.

None of these marks can be taken out again, so there is no proof that would
restore an original and nothing here writes what a route sends: the result is
a derived image of its own. What is proved is that the payload reads back from
the very bytes. The payload is sealed, but bound to no object: what makes a
lossy copy gives it a UID of its own. So it says nothing of what the image shows.

SECURITY: holds the sealing key and, to read, the opening keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import node
from node.crypto import record as records
from node.dicom import derived, headers, identity, reader
from node.dicom import pixels as pixel_data
from node.dicom.declaration import Work
from node.errors import (
    DamagedError,
    DoesNotFitError,
    NotOurKeyError,
    ProofError,
    UnmarkedError,
    UnreadableError,
    UnsealableError,
)
from node.mark import quality
from node.types import Binding, Record, Verdict, VerdictKind

if TYPE_CHECKING:
    from node.crypto.base import Opener, Sealer
    from node.dicom.pixels import Codec
    from node.dicom.reader import DicomObject
    from node.mark.base import Embedder
    from node.types import Quality

RECORD, CARGO = b"classical-record", b"classical-cargo"  # purposes of a seal
UNBOUND = Binding("", "")
SEAL = 38
"""Bytes that sealing adds (docs/formats/payload-v1.md)."""

WARNING = "not reversible: the original cannot be restored from this file"


@dataclass(frozen=True, slots=True)
class Made:
    """A derived image, its payload proved to read back.

    :param data: the Part 10 file.
    """

    data: bytes
    sop_instance_uid: str
    key_id: str
    payload_bytes: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class Found:
    """What was read.

    :param cargo: bytes of the user's, or None.
    :param record: the patient's attributes, where no cargo was given, or None.
    """

    verdict: Verdict
    cargo: bytes | None = None
    record: Record | None = None


class Method:
    """Marks files by one classical method, and reads them.

    :param embedder: one whose traits say that it is not reversible.
    """

    def __init__(self, embedder: Embedder, codec: Codec) -> None:
        self._embedder = embedder
        self._codec = codec

    def mark(
        self,
        data: bytes,
        cargo: bytes | None,
        *,
        sealer: Sealer,
        prover: Opener,
        at: float,
        lossy: str = "refuse",
    ) -> Made:
        """Return the derived image that carries ``cargo``, sealed; or the patient's record.

        :param at: seconds since the epoch, UTC; what the header says.
        :param lossy: ``"decode"`` marks what was compressed with loss, too.
        :raises UnreadableError: the bytes are no object that can be parsed.
        :raises UnsealableError: its pixels cannot be marked.
        :raises DoesNotFitError: they cannot carry the payload.
        :raises ProofError: the payload does not read back.
        """
        loaded = pixel_data.load(reader.read(data), self._codec, lossy=lossy)
        obj, name, key_id = loaded.obj, self._embedder.name, sealer.key_id.hex()
        uid = derived.uid_of(obj, name, key_id)
        work = Work(f"mark {name}, {WARNING}", key_id, node.__version__, at)
        changes = derived.plan(obj, work, uid)
        if cargo is None:
            text, purpose = records.encode(_record(obj, loaded.sha256), UNBOUND), RECORD
        else:
            text, purpose = cargo, CARGO
        payload = sealer.seal(text, UNBOUND, purpose)
        try:
            samples = self._embedder.embed(loaded.carrier, payload, sealer.tag_key(UNBOUND))
        except DoesNotFitError:
            room = max(0, self._embedder.capacity(loaded.carrier) - SEAL)
            raise DoesNotFitError(
                f"{name} carries {room} bytes in this image, not {len(text)}",
                hint="--payload FILE takes something shorter than the patient's record",
            ) from None
        file = derived.write(
            obj,
            changes,
            loaded.store(samples),
            uid,
            method=name,
            key_id=key_id,
            extremes=(int(samples.min()), int(samples.max())),
        )
        found = self.read(file, prover)
        if found.cargo != cargo or (found.record is None) == (cargo is None):
            raise ProofError("the payload did not come back")
        return Made(
            data=file,
            sop_instance_uid=uid,
            key_id=key_id,
            payload_bytes=len(payload),
            quality=quality.measure(
                loaded.carrier.samples, samples, loaded.facts.bits_stored, loaded.window
            ),
        )

    def read(self, data: bytes, opener: Opener) -> Found:
        """Return what a file carries by this method under any key of the opener.

        Never raises for what the bytes hold.
        """
        try:
            loaded = pixel_data.load(reader.read(data), self._codec, lossy="decode")
        except UnreadableError as error:
            return Found(Verdict(VerdictKind.UNREADABLE, f"{error} ({error.code})"))
        except UnsealableError as error:
            return Found(Verdict(VerdictKind.UNMARKED, f"cannot carry a mark: {error.code}"))
        name = self._embedder.name
        for key_id, key in opener.tag_keys(UNBOUND):
            try:
                payload = self._embedder.extract(loaded.carrier, key).payload
            except UnmarkedError:
                continue
            found = Verdict(
                VerdictKind.TAMPERED,
                f"too little of the mark {name} is left",
                key_id=key_id.hex(),
                carrier="pixels",
                payload_bytes=len(payload or b""),
            )
            return self._opened(found, payload, opener)
        return Found(Verdict(VerdictKind.UNMARKED, f"no mark {name} under any key of the ring"))

    def _opened(self, found: Verdict, payload: bytes | None, opener: Opener) -> Found:
        if payload is None:
            return Found(found)
        good = replace(
            found,
            kind=VerdictKind.LOSSY,
            reason=f"the payload of mark {self._embedder.name} reads; {WARNING}",
        )
        for purpose in (CARGO, RECORD):
            try:
                text = opener.open(payload, UNBOUND, purpose)
                if purpose == CARGO:
                    return Found(good, cargo=text)
                return Found(good, record=records.decode(text, UNBOUND))
            except (DamagedError, NotOurKeyError, UnreadableError):
                continue
        return Found(replace(found, reason="what the pixels carry is not what was sealed"))


def _record(obj: DicomObject, pixels_sha256: bytes) -> Record:
    """The patient, and digests of the original; no way back, for there is none."""
    digest = hashlib.sha256(headers.header_bytes(obj)).digest()
    return Record(identity.collect(obj), pixels_sha256, digest, b"")

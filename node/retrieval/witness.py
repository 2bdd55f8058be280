"""Stage 4 for workstations: what is true of a file that was retrieved, and its original.

SECURITY: holds, through the judge, what opens every seal. It reads only files
in the folder for what was retrieved, and restores only for workstations that
the configuration allows it for.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from node.aftercare.judge import MISSING, Known
from node.dicom import reader
from node.errors import DamagedError, UnreadableError, UsageError
from node.retrieval.desk import Opinion, Question
from node.types import DeliveryState, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from node.aftercare.judge import Evidence, Judge, Judgement
    from node.dicom.reader import DicomObject
    from node.retrieval.desk import Naming
    from node.spool.base import BlobStore, Ledger
    from node.types import Delivery, SpoolEntry

# What read-back parks a delivery for: it was delivered, and then changed
JUDGED = frozenset(kind.value.lower() for kind in VerdictKind) | {MISSING.lower()}
UNSEALED = {VerdictKind.UNMARKED.value, VerdictKind.NOT_OUR_KEY.value}


class Witness:
    """Answers questions about files.

    :param folder: where what was retrieved lies.
    :param restores: tells whether a workstation gets originals.
    :param sent_as: the UID that stands for another where UIDs are derived.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        ledger: Ledger,
        blobs: BlobStore,
        evidence: Evidence,
        folder: Path,
        restores: Callable[[str], bool],
        sent_as: Callable[[str], str] | None = None,
    ) -> None:
        self._sent_as = sent_as
        self._judge = judge
        self._ledger = ledger
        self._blobs = blobs
        self._evidence = evidence
        self._folder = folder.resolve()
        self._restores = restores

    def answer(self, question: Question) -> Opinion:
        """Say what is true of a file, and restore it where that is allowed and possible.

        :raises UsageError: it is no file in the folder.
        """
        path = (self._folder / question.name).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise UsageError("no file in the folder for what was retrieved")
        data = path.read_bytes()
        obj = _read(data)
        uid, modality = (obj.text("SOPInstanceUID"), obj.text("Modality")) if obj else ("", "")
        delivered = self._delivered(uid, question.destination) if uid else None
        restores = self._restores(question.workstation)
        # The very bytes that were sealed gave that very original back before they left (node.seal).
        proven = Opinion("proven", VerdictKind.INTACT.value, modality=modality)
        same = delivered is not None and _is_as_sealed(data, *delivered)
        if same and not restores:
            return proven
        if same and delivered and (original := self._blob(delivered[0].instance.blob)):
            return replace(proven, restored=self._write(path, original))
        known = self._known(*delivered) if delivered else Known()
        if obj and known.original and known.sealed and _is_as_sent(obj, known.sent):
            restored = self._write(path, known.original) if restores else ""
            return replace(proven, restored=restored)
        found = self._judge.judge(data, known)
        standing = _standing(found, known)
        evidence = ""
        if standing == "changed":
            evidence = self._evidence.keep(data, found.drawing())
        return Opinion(
            standing,
            found.verdict,
            found.reason,
            found.coerced,
            modality,
            evidence,
            self._restore(path, found) if restores else "",
        )

    def rename(self, naming: Naming) -> dict[str, str]:
        """Say what objects are called in the PACS, to those who may know who they are about."""
        if self._sent_as is None or not self._restores(naming.workstation):
            return {}
        return {uid: self._sent_as(uid) for uid in naming.uids}

    def _restore(self, path: Path, found: Judgement) -> str:
        examination = found.examination
        if examination is None or not examination.exact or examination.restored is None:
            return ""
        return self._write(path, examination.restored)

    def _write(self, path: Path, original: bytes) -> str:
        restored = path.with_suffix(".restored")
        restored.write_bytes(original)
        return str(restored.relative_to(self._folder))

    def _delivered(self, uid: str, destination: str) -> tuple[SpoolEntry, Delivery] | None:
        """Return what was delivered last under a UID, as far as the ledger still knows."""
        for entry in self._ledger.find(uid):
            for delivery in self._ledger.get(entry.id)[1]:
                if delivery.destination == destination and _delivered(delivery) and delivery.blob:
                    return entry, delivery
        return None

    def _known(self, entry: SpoolEntry, delivery: Delivery) -> Known:
        """Return what the spool still has of what was delivered."""
        return Known(
            self._blob(_sent(entry, delivery)),
            self._blob(entry.instance.blob),
            sealed=delivery.blob != entry.instance.blob,
        )

    def _blob(self, sha256: str) -> bytes | None:
        try:
            return self._blobs.read(sha256)
        except (KeyError, DamagedError):
            return None


def _delivered(delivery: Delivery) -> bool:
    """Return whether an object was delivered, whatever the destination made of it since."""
    if delivery.state in {DeliveryState.SENT, DeliveryState.VERIFIED} or delivery.lost:
        return True
    return delivery.state is DeliveryState.PARKED and delivery.reason in JUDGED


def _read(data: bytes) -> DicomObject | None:
    try:
        return reader.read(data)
    except UnreadableError:
        return None


def _sent(entry: SpoolEntry, delivery: Delivery) -> str:
    """Return the digest of what a destination should give back, put together of its shares."""
    return entry.sealed if delivery.share else delivery.blob


def _is_as_sealed(data: bytes, entry: SpoolEntry, delivery: Delivery) -> bool:
    """Return whether a file is what was sealed, byte for byte.

    What comes over the network gets the same preamble and meta information as
    what is sealed (:func:`node.dicom.reader.part10_header`): equal data sets
    make equal files, and a digest tells without a look at what was sent.
    """
    if delivery.blob == entry.instance.blob:
        return False
    return hashlib.sha256(data).hexdigest() == _sent(entry, delivery)


def _is_as_sent(obj: DicomObject, sent: bytes | None) -> bool:
    """Return whether an object is what was sent, byte for byte but for its meta information."""
    if sent is None:
        return False
    before = reader.read(sent)
    return obj.transfer_syntax_uid == before.transfer_syntax_uid and obj.dataset == before.dataset


def _standing(found: Judgement, known: Known) -> str:
    if found.state is DeliveryState.VERIFIED:
        return "proven"
    # what was delivered sealed, and came back without a seal, was changed
    return "unsealed" if found.verdict in UNSEALED and known.sealed is None else "changed"

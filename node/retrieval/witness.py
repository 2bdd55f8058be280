"""Stage 4 for workstations: what is true of a file that was retrieved, and its original.

SECURITY: holds, through the judge, what opens every seal. It reads only files
in the folder for what was retrieved, and restores only for workstations that
the configuration allows it for.
"""

from __future__ import annotations

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
    from node.types import Delivery

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
        self._folder = folder
        self._restores = restores

    def answer(self, question: Question) -> Opinion:
        """Say what is true of a file, and restore it where that is allowed and possible.

        :raises UsageError: it is no file in the folder.
        """
        path = (self._folder / question.name).resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            raise UsageError("no file in the folder for what was retrieved")
        data = path.read_bytes()
        obj = _read(data)
        uid, modality = (obj.text("SOPInstanceUID"), obj.text("Modality")) if obj else ("", "")
        known = self._known(uid, question.destination)
        restores = self._restores(question.workstation)
        if obj and known.sent and known.original and known.sealed and _as_sent(obj, known.sent):
            # These very bytes gave that very original back before they left (node.seal).
            restored = self._write(path, known.original) if restores else ""
            return Opinion("proven", VerdictKind.INTACT.value, modality=modality, restored=restored)
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
        return str(restored.relative_to(self._folder.resolve()))

    def _known(self, uid: str, destination: str) -> Known:
        """Return what the spool still has of what was delivered last under a UID."""
        if not uid:
            return Known()
        for entry in self._ledger.find(uid):
            for delivery in self._ledger.get(entry.id)[1]:
                if delivery.destination == destination and _delivered(delivery) and delivery.blob:
                    # what is judged here was put together of its shares, if there are any
                    sent = entry.sealed if delivery.share else delivery.blob
                    return Known(
                        self._blob(sent),
                        self._blob(entry.instance.blob),
                        sealed=delivery.blob != entry.instance.blob,
                    )
        return Known()

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


def _as_sent(obj: DicomObject, sent: bytes) -> bool:
    """Return whether an object is what was sent, byte for byte but for its meta information."""
    before = reader.read(sent)
    return obj.transfer_syntax_uid == before.transfer_syntax_uid and obj.dataset == before.dataset


def _standing(found: Judgement, known: Known) -> str:
    if found.state is DeliveryState.VERIFIED:
        return "proven"
    # what was delivered sealed, and came back without a seal, was changed
    return "unsealed" if found.verdict in UNSEALED and known.sealed is None else "changed"

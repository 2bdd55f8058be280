"""What is true of an object that came back from where it was sent, and the evidence for it.

The seal says whether an object is as it was sealed. What the node still has
of it says more: whether it is the version that was sent last, and whether it
was compressed with loss since.

SECURITY: evidence shows patients: its folder is the node's user's alone.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.crypto.shares.share import parse as parse_share
from node.dicom import compare, reader, share_object
from node.dicom.contexts import LOSSY_SYNTAXES
from node.errors import UnreadableError
from node.sealing.report import picture
from node.types import DeliveryState, VerdictKind

if TYPE_CHECKING:
    from node.dicom.reader import DicomObject
    from node.verify import Examination, Examiner

MISSING = "MISSING"  # the verdict on what is not there


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is true of an object that came back, or did not.

    :param verdict: a word of :class:`VerdictKind`, or ``MISSING``.
    :param coerced: keywords of header attributes that differ.
    :param data: the bytes that came back; None if none did.
    :param examination: of these.
    """

    state: DeliveryState
    verdict: str
    reason: str = ""
    coerced: tuple[str, ...] = ()
    data: bytes | None = None
    examination: Examination | None = None

    @property
    def event(self) -> str:
        """The name of the audit event."""
        if self.verdict == MISSING:
            return "readback_missing"
        if self.state is DeliveryState.PARKED:
            return "readback_tampered"
        return "readback_coerced" if self.coerced else "readback_verified"

    def drawing(self) -> bytes | None:
        """Draw it as a PNG file, if there are pixels to draw."""
        if self.examination is None or self.examination.pixels is None:
            return None
        return picture(self.examination)


@dataclass(frozen=True, slots=True)
class Known:
    """What the node still has of an object that it delivered.

    :param sent: the bytes that were sent; None if they are gone.
    :param original: the bytes as received; None if they are gone.
    :param sealed: whether it was sealed, or let pass as it came; None if that
        is not known any more.
    """

    sent: bytes | None = None
    original: bytes | None = None
    sealed: bool | None = None


class Evidence:
    """Keeps what a person must see: ``<sha256>.dcm`` as it came, ``<sha256>.png`` drawn.

    Nothing is ever deleted from it but by a person.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes, drawing: bytes | None) -> str:
        """Keep bytes and their picture durably; return their SHA-256 in hex."""
        name = hashlib.sha256(data).hexdigest()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(f"{name}.dcm", data)
        if drawing is not None:
            self._write(f"{name}.png", drawing)
        return name

    def _write(self, name: str, data: bytes) -> None:
        handle, part = tempfile.mkstemp(dir=self._folder, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(self._folder / name)


class Judge:
    """Compares what came back with what was sent, and examines its seal."""

    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner

    def judge(self, data: bytes, known: Known) -> Judgement:
        """Return what is true of the bytes of one object that came back."""
        if known.sealed is False:
            return self._compare(data, known)
        found = self._examiner.examine(data)
        verdict = found.verdict
        if verdict.kind not in {VerdictKind.INTACT, VerdictKind.HEADER_COERCED}:
            kind = VerdictKind.LOSSY if _lost(data, known, verdict.kind) else verdict.kind
            return changed(kind, verdict.reason, data, found)
        if not found.exact:
            return changed(verdict.kind, "the original cannot be restored", data, found)
        if not self._same_version(data, found, known):
            reason = "another version of the object than was sent last"
            return changed(VerdictKind.TAMPERED, reason, data, found)
        return Judgement(
            DeliveryState.VERIFIED, verdict.kind.value, verdict.reason, verdict.coerced, data, found
        )

    def judge_share(self, data: bytes, sent: bytes | None) -> Judgement:
        """Return what is true of a share that came back: it must be the one that was sent.

        :param sent: its object as it was sent; None if that is gone. Then
            nothing but the form of what came back can be judged.
        """
        try:
            share = share_object.unwrap(data)
            parse_share(share)
        except UnreadableError as error:
            return changed(VerdictKind.TAMPERED, error.code, data, None)
        if sent is None:
            return Judgement(DeliveryState.VERIFIED, VerdictKind.UNMARKED.value, "it is there")
        if _dataset(data) == _dataset(sent):
            return Judgement(DeliveryState.VERIFIED, VerdictKind.INTACT.value, "as it was sent")
        if share != share_object.unwrap(sent):
            reason = "the share differs from what was sent"
            return changed(VerdictKind.TAMPERED, reason, data, None)
        coerced = compare.differences(reader.read(sent), reader.read(data))
        kind = VerdictKind.HEADER_COERCED if coerced else VerdictKind.INTACT
        return Judgement(DeliveryState.VERIFIED, kind.value, coerced=coerced, data=data)

    def _same_version(self, data: bytes, found: Examination, known: Known) -> bool:
        if known.sent is not None and _dataset(data) == _dataset(known.sent):
            return True
        return known.original is None or self._examiner.is_of(found, known.original)

    def _compare(self, data: bytes, known: Known) -> Judgement:
        """Judge what carries no seal by the bytes that were sent."""
        if known.sent is None:
            return Judgement(DeliveryState.VERIFIED, VerdictKind.UNMARKED.value, "it is there")
        if _dataset(data) == _dataset(known.sent):
            return Judgement(DeliveryState.VERIFIED, VerdictKind.INTACT.value, "as it was sent")
        try:
            before, now = reader.read(known.sent), reader.read(data)
        except UnreadableError as error:
            return changed(VerdictKind.UNREADABLE, error.code, data, None)
        coerced = compare.differences(before, now)
        if self._examiner.same_pixels(before, now):
            return Judgement(
                DeliveryState.VERIFIED, VerdictKind.HEADER_COERCED.value, coerced=coerced, data=data
            )
        kind = VerdictKind.LOSSY if _lossy(now) and not _lossy(before) else VerdictKind.TAMPERED
        return changed(kind, "the pixels differ from what was sent", data, None)


def changed(
    kind: VerdictKind, reason: str, data: bytes | None, examination: Examination | None
) -> Judgement:
    """Return the judgement on an object that is not what was sent."""
    return Judgement(DeliveryState.PARKED, kind.value, reason, data=data, examination=examination)


def _dataset(file: bytes) -> bytes | None:
    try:
        return reader.read(file).dataset
    except UnreadableError:
        return None


def _lossy(obj: DicomObject) -> bool:
    """Return whether the header admits a compression with loss, PS3.3 C.7.6.1.1.5."""
    return obj.text("LossyImageCompression") == "01" or obj.transfer_syntax_uid in LOSSY_SYNTAXES


def _lost(data: bytes, known: Known, kind: VerdictKind) -> bool:
    """Return whether an object was compressed with loss since it was sent."""
    try:
        now = reader.read(data)
        if known.sent is None:  # what is sealed is never sent in such a syntax
            return kind is VerdictKind.TAMPERED and now.transfer_syntax_uid in LOSSY_SYNTAXES
        return _lossy(now) and not _lossy(reader.read(known.sent))
    except UnreadableError:
        return False

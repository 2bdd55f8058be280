"""Query/Retrieve SCU: reads objects back from an archive (PS3.4 Annex C), by C-GET or C-MOVE.

An archive is not trusted more than a modality: only what was asked for is
taken, within the same limits, and no file is named by what it says.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.presentation import build_context, build_role

from node.dicom import contexts, reader, status
from node.dicom.command import PENDING
from node.dicom.requestor import NoContextError, abort, release
from node.dicom.scp import RejectedError, StoreScp
from node.dicom.server import Server
from node.errors import MismatchError, RefusedError, SealnodeError, UnreachableError
from node.types import Login, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation as Role
    from pynetdicom.presentation import PresentationContext

    from node.dicom.acceptance import Settings
    from node.dicom.reader import DicomObject
    from node.dicom.requestor import Requestor
    from node.dicom.scp import StoreRequest
    from node.dicom.upper import Synchronous

    Take = Callable[[Path, StoreRequest], None]

GET = "1.2.840.10008.5.1.4.1.2.2.3"  # Study Root Query/Retrieve Information Model - GET
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
# What an archive is asked for when the caller does not know better. Of the 170 classes
# 127 fit beside the query: images come first, those with one of these words last.
_RARE = re.compile("Waveform|Volumetric|Measurement|Radiation|Instruction|Protocol|Administration")


def _rank(uid: str) -> tuple[bool, bool, list[int]]:
    name = UID(uid).name
    return "Image" not in name, bool(_RARE.search(name)), [int(part) for part in uid.split(".")]


CLASSES = sorted(contexts.STORAGE_CLASSES, key=_rank)[: contexts.MAX_CONTEXTS - 1]


class FetchError(UnreachableError):
    """The archive did not give all that was asked for; ``code`` holds its status.

    :param refused: codes of what it gave instead.
    :param wrong: files of that, where they could be kept.
    """

    def __init__(
        self, message: str, *, code: str, refused: Sequence[str] = (), wrong: Sequence[Path] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.refused = tuple(refused)
        self.wrong = tuple(wrong)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read back: a study, some of its series, or some instances of a series.

    Several UIDs are separated by backslashes, as in the request.

    :param pairs: (SOP class, transfer syntax) that it is known to hold; empty
        for whatever images there are.
    :param max_size: bytes of the largest object to take; 0 for what the limits allow.
    """

    study_instance_uid: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    max_size: int = 0

    def identifier(self) -> Dataset:
        """Return the identifier of the request, PS3.4 C.4.2.1.4."""
        keys = {
            "StudyInstanceUID": self.study_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
            "SOPInstanceUID": self.sop_instance_uid,
        }
        query = Dataset()
        query.QueryRetrieveLevel = (
            "IMAGE" if self.sop_instance_uid else "SERIES" if self.series_instance_uid else "STUDY"
        )
        for keyword, uid in keys.items():
            if uid:  # as it was received, right or wrong
                query.add(DataElement(keyword, "UI", uid, validation_mode=IGNORE))
        return query

    def check(self, obj: DicomObject) -> None:
        """Let an object pass that is among what is wanted.

        :raises RefusedError: it is another instance.
        :raises MismatchError: it belongs to another study or series.
        """
        if not _names(self.sop_instance_uid, "\\".join(obj.texts("SOPInstanceUID"))):
            raise RefusedError("an instance that was not asked for", code="not_requested")
        for keyword, uid in (
            ("StudyInstanceUID", self.study_instance_uid),
            ("SeriesInstanceUID", self.series_instance_uid),
        ):
            if not _names(uid, "\\".join(obj.texts(keyword))):
                raise MismatchError("an object of another study or series", code="not_requested")


class Collector:
    """Takes what was asked for into a folder, as Part 10 files named by their SHA-256.

    :param aet: of the archive; whoever else calls is rejected.
    :param take: is given each file at once; None to keep it in ``arrived``.
    :ivar arrived: the files that are complete and not yet taken.
    :ivar taken: how many were taken, whether by ``take`` or not.
    :ivar refused: codes of what was not asked for.
    :ivar wrong: files of that.
    """

    def __init__(
        self,
        wanted: Wanted,
        folder: Path,
        aet: str,
        take: Take | None = None,
    ) -> None:
        self.wanted = wanted
        self.folder = folder
        self.arrived: deque[Path] = deque()
        self.take = take or self._keep
        self.taken = 0
        self.refused: list[str] = []
        self.wrong: list[Path] = []
        self._aet = aet

    def _keep(self, path: Path, _request: StoreRequest) -> None:
        self.arrived.append(path)

    def admit(self, peer: Peer, names: tuple[str, ...], login: Login | None) -> Peer:  # noqa: ARG002 - Receiver's
        """Let the archive in."""
        if peer.calling_aet != self._aet:
            raise RejectedError(status.CALLING_UNKNOWN)
        return replace(peer, source=self._aet)

    def begin(self, request: StoreRequest) -> Collected:
        """Start to take an object."""
        return Collected(self, request)


class Collected:
    """One object on its way into the folder."""

    def __init__(self, collector: Collector, request: StoreRequest) -> None:
        self._collector = collector
        self._request = request
        header = reader.part10_header(
            request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid
        )
        handle, part = tempfile.mkstemp(dir=collector.folder, suffix=".part")
        self._part, self._file = Path(part), os.fdopen(handle, "wb")
        self._size = 0
        self.write(memoryview(header))

    def write(self, data: memoryview) -> None:
        """Append to the file.

        :raises RefusedError: it is larger than what was asked for can be.
        """
        self._size += len(data)
        if 0 < self._collector.wanted.max_size < self._size:
            self._collector.refused.append("too_large")
            raise RefusedError("an object that is too large", code="too_large")
        self._file.write(data)

    def finish(self) -> status.Answer:
        """Hand the file on if it holds what was asked for; else keep it as evidence.

        :raises UnreadableError: it cannot be parsed.
        :raises MismatchError: it belongs to another study, series or instance.
        :raises RefusedError: it is another instance.
        """
        collector = self._collector
        self._file.close()
        try:
            self._check()
        except SealnodeError as error:
            collector.refused.append(error.code)
            collector.wrong.append(self._part.replace(self._part.with_suffix(".wrong")))
            raise
        collector.taken += 1
        collector.take(self._part.replace(self._part.with_suffix(".dcm")), self._request)
        return status.Answer(status.SUCCESS)

    def _check(self) -> None:
        request, wanted = self._request, self._collector.wanted
        if not _names(wanted.sop_instance_uid, request.sop_instance_uid):
            raise RefusedError("an instance that was not asked for", code="not_requested")
        with (
            self._part.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            obj = reader.read(data)
            reader.check_command(obj, request.sop_class_uid, request.sop_instance_uid)
            wanted.check(obj)

    def abandon(self) -> None:
        """Remove the part that came."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def fetch_by_get(
    requestor: Requestor, wanted: Wanted, folder: Path, take: Take | None = None
) -> Iterator[Path]:
    """Read objects back by C-GET, on one association; yield each file as it arrives.

    :param take: is given each file at once instead; what it raises is answered.
    :raises UnreachableError: the archive is not there, or did not give all.
    :raises PeerRejectedError: it does not want the association.
    :raises NoContextError: it does not offer C-GET.
    """
    storage = _storage_contexts(wanted)
    roles = [build_role(uid, scp_role=True) for uid in _classes(storage)]
    assoc = _associate(requestor, GET, storage, roles)
    collector = Collector(wanted, folder, requestor.destination.aet, take)
    peer = Peer(requestor.destination.aet, assoc.requestor.ae_title, requestor.destination.host)
    assoc.store_with(StoreScp(assoc, collector, peer))
    yield from _retrieve(assoc, collector, GET, "")


def fetch_by_move(
    requestor: Requestor,
    wanted: Wanted,
    folder: Path,
    receiving: Settings,
    take: Take | None = None,
) -> Iterator[Path]:
    """Read objects back by C-MOVE to a Storage SCP of our own; yield each file as it arrives.

    :param receiving: the SCP; the archive must know its AE title, host and port.
    :raises UnreachableError: the archive is not there, or did not give all.
    :raises PeerRejectedError: it does not want the association.
    :raises NoContextError: it does not offer C-MOVE.
    :raises OSError: the port is in use.
    """
    collector = Collector(wanted, folder, requestor.destination.aet, take)
    server = Server(collector, receiving)
    server.start()
    try:
        assoc = _associate(requestor, MOVE)
        yield from _retrieve(assoc, collector, MOVE, receiving.aet)
    finally:
        server.close(grace=5.0)


def _retrieve(assoc: Synchronous, collector: Collector, model: str, move_to: str) -> Iterator[Path]:
    finished = False
    try:
        query = collector.wanted.identifier()
        if move_to:
            responses = assoc.send_c_move(query, move_to, model)
        else:
            responses = assoc.send_c_get(query, model)
        for answer, _ in responses:
            while collector.arrived:
                yield collector.arrived.popleft()
            value = answer.get("Status")
            if value in PENDING:
                continue
            if value is None:
                raise _failure("the archive does not answer", "no_response", collector)
            if value != status.SUCCESS:
                raise _failure("the archive did not give all", f"status_{value:04x}", collector)
        finished = True
        if collector.refused and not collector.taken:
            raise _failure("the archive gave something else", collector.refused[0], collector)
    finally:
        (release if finished else abort)(assoc)


def _failure(message: str, code: str, collector: Collector) -> FetchError:
    return FetchError(message, code=code, refused=collector.refused, wrong=collector.wrong)


def _associate(
    requestor: Requestor,
    model: str,
    storage: Sequence[PresentationContext] = (),
    roles: Sequence[Role] = (),
) -> Synchronous:
    query = build_context(model, list(contexts.NATIVE_LE))
    assoc = requestor.associate([query, *storage], roles)
    if not any(str(cx.abstract_syntax) == model for cx in assoc.accepted_contexts):
        release(assoc)
        raise NoContextError("the archive does not offer this retrieval")
    return assoc


def _names(uids: str, uid: str) -> bool:
    """Return whether a UID is among those that are wanted; none means any."""
    return not uids or uid in uids.split("\\")


def _storage_contexts(wanted: Wanted) -> list[PresentationContext]:
    if wanted.pairs:
        # it may be there in another transfer syntax by now
        classes = dict.fromkeys(cls for cls, _ in wanted.pairs)
        others = [(cls, syntax) for syntax in contexts.TRANSFER_SYNTAXES for cls in classes]
        return contexts.batch([*wanted.pairs, *others])[: len(CLASSES)]
    return [build_context(uid, list(contexts.TRANSFER_SYNTAXES)) for uid in CLASSES]


def _classes(storage: Sequence[PresentationContext]) -> list[str]:
    return list(dict.fromkeys(str(context.abstract_syntax) for context in storage))

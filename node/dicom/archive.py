"""One archive as a place to ask and to fetch from: C-FIND, C-GET, else C-MOVE.

SECURITY: what an archive says is passed on or counted, never logged.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from node.dicom import contexts, reader, status
from node.dicom.base import MAX_LISTED, Listed
from node.dicom.command import PENDING
from node.dicom.elements import element_bytes
from node.dicom.headers import assemble
from node.dicom.recode import recode
from node.dicom.requestor import NoContextError, PeerRejectedError, abort, release
from node.dicom.retrieve import FetchError, fetch_by_get, fetch_by_move
from node.errors import UnreachableError, UnreadableError, UnsealableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pynetdicom.presentation import PresentationContext

    from node.dicom.acceptance import Settings
    from node.dicom.base import Keys
    from node.dicom.reader import DicomObject
    from node.dicom.requestor import Requestor
    from node.dicom.retrieve import Take, Wanted
    from node.dicom.upper import Synchronous

FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve Information Model - FIND
TURN_SECONDS = 300.0  # to wait for the port that C-MOVE sends to
TURN_TICK = 0.1
RETRIEVE_AET = 0x00080054


class DimseArchive:
    """Asks and reads back from one destination. Not for several threads.

    :param receiving: the SCP that C-MOVE sends to; the archive must know its
        AE title, host and port.
    :param turn: a file by which processes take turns with that port; None
        where nobody else uses it.
    """

    def __init__(
        self, requestor: Requestor, receiving: Settings, *, turn: Path | None = None
    ) -> None:
        self._requestor = requestor
        self._receiving = receiving
        self._turn = turn
        self._by_move = False

    def fetch(self, wanted: Wanted, folder: Path, take: Take | None = None) -> list[Path]:
        """Return what is wanted as files in a folder, named by their SHA-256.

        :param take: is given each file as it arrives instead.
        :raises FetchError: the archive did not give all.
        :raises UnreachableError: it is not there, or offers neither way.
        """
        if not self._by_move:
            try:
                return list(fetch_by_get(self._requestor, wanted, folder, take))
            except (NoContextError, PeerRejectedError):
                self._by_move = True
        try:
            with _taking_turns(self._turn):
                return list(fetch_by_move(self._requestor, wanted, folder, self._receiving, take))
        except (NoContextError, PeerRejectedError, OSError) as error:
            self._by_move = False
            name = self._requestor.destination.name
            raise UnreachableError(
                f"{name} gives nothing back: {error}",
                hint="it must offer C-GET, or C-MOVE and know the node's fetch_aet and fetch_port",
                code="no_retrieval",
            ) from None

    def holds(self, wanted: Wanted) -> bool:
        """Return whether the archive says by C-FIND that it has what is wanted.

        :raises UnreachableError: it does not say.
        """
        with self._asking([build_context(FIND, list(contexts.NATIVE_LE))]) as assoc:
            return bool(list(_matches(assoc, wanted.identifier())))

    def contents(self, level: str, keys: Keys) -> list[Listed]:
        """Return the instances below what the unique keys of a request name.

        :param level: of the request; the keys of the levels above it are there.
        :raises UnreachableError: the archive does not say.
        """
        with self._asking([build_context(FIND, list(contexts.NATIVE_LE))]) as assoc:
            found: list[Listed] = []
            for study in self._studies(assoc, level, keys):
                for series in self._series(assoc, study, keys):
                    found += self._instances(assoc, study, series, keys)
                    if len(found) > MAX_LISTED:
                        raise FetchError("more than can be counted", code="too_many")
            return found

    def query(
        self,
        model: str,
        identifier: bytes,
        transfer_syntax_uid: str,
        cancelled: Callable[[], bool],
        *,
        retrieve_aet: str,
    ) -> Iterator[tuple[int, bytes | None]]:
        """Pass a C-FIND on; yield (status, identifier) as they come, the final one last.

        :param identifier: and every answer, in ``transfer_syntax_uid``.
        :param cancelled: asked after each answer; the archive is then told.
        :param retrieve_aet: put in the place of the archive's Retrieve AE Title.
        :raises UnreachableError: it does not answer.
        """
        syntaxes = dict.fromkeys([transfer_syntax_uid, reader.IMPLICIT_LE])
        proposed = [build_context(model, syntax) for syntax in syntaxes]
        with self._asking(proposed) as assoc:
            context = _context(assoc)
            spoken = str(context.transfer_syntax[0])
            asked = _recoded(identifier, transfer_syntax_uid, spoken)
            for value, answer in _ask(assoc, context, model, asked, cancelled):
                if answer is None:
                    yield value, None
                    continue
                there = _recoded(answer, spoken, transfer_syntax_uid)
                yield value, _readdressed(there, transfer_syntax_uid, retrieve_aet)

    def _studies(self, assoc: Synchronous, level: str, keys: Keys) -> list[str]:
        if level != "PATIENT":
            return list(keys.get("StudyInstanceUID", ()))
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.PatientID = "\\".join(keys["PatientID"])
        query.StudyInstanceUID = ""
        return [match.text("StudyInstanceUID") for match in _matches(assoc, query)]

    def _series(self, assoc: Synchronous, study: str, keys: Keys) -> list[str]:
        if given := keys.get("SeriesInstanceUID"):
            return list(given)
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID = study
        query.SeriesInstanceUID = ""
        return [match.text("SeriesInstanceUID") for match in _matches(assoc, query)]

    def _instances(self, assoc: Synchronous, study: str, series: str, keys: Keys) -> list[Listed]:
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        query.StudyInstanceUID = study
        query.SeriesInstanceUID = series
        query.SOPInstanceUID = list(keys.get("SOPInstanceUID", ()))
        query.SOPClassUID = ""
        return [
            Listed(study, series, match.text("SOPInstanceUID"), match.text("SOPClassUID"))
            for match in _matches(assoc, query)
        ]

    @contextmanager
    def _asking(self, proposed: list[PresentationContext]) -> Iterator[Synchronous]:
        try:
            assoc = self._requestor.associate(proposed)
        except (NoContextError, PeerRejectedError) as error:
            raise UnreachableError("the archive cannot be asked", code="no_query") from error
        finished = False
        try:
            yield assoc
            finished = True
        finally:
            (release if finished else abort)(assoc)


@contextmanager
def _taking_turns(turn: Path | None) -> Iterator[None]:
    """Hold a lock while the block runs.

    :raises UnreachableError: others held it for too long.
    """
    if turn is None:
        yield
        return
    deadline = time.monotonic() + TURN_SECONDS
    with turn.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise UnreachableError("the port is in use", code="fetch_busy") from None
                time.sleep(TURN_TICK)
        yield


def _matches(assoc: Synchronous, query: Dataset) -> Iterator[DicomObject]:
    """Yield the matches of a C-FIND in the Study Root model.

    :raises UnreachableError: the archive does not give all, or gives nonsense.
    """
    context = _context(assoc)
    syntax = context.transfer_syntax[0]
    identifier = encode(query, is_implicit_vr=syntax.is_implicit_VR, is_little_endian=True)
    assert identifier is not None
    for value, match in _ask(assoc, context, FIND, identifier, lambda: False):
        if match is not None:
            try:
                yield reader.read_dataset(match, str(syntax))
            except UnreadableError as error:
                raise FetchError("an answer is malformed", code=error.code) from error
        elif value != status.SUCCESS:
            raise FetchError("the archive does not answer", code=f"status_{value:04x}")


def _context(assoc: Synchronous) -> PresentationContext:
    return next(iter(assoc.accepted_contexts))


def _ask(
    assoc: Synchronous,
    context: PresentationContext,
    model: str,
    identifier: bytes,
    cancelled: Callable[[], bool],
) -> Iterator[tuple[int, bytes | None]]:
    """Send a C-FIND; yield (status, identifier) of each response."""
    request = C_FIND()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(model)
    request.Priority = 0
    request.Identifier = BytesIO(identifier)
    assoc.dimse.send_msg(request, context.context_id or 1)
    told = False
    while True:
        _, response = assoc.dimse.get_msg(block=True)
        if not isinstance(response, C_FIND) or response.Status is None:
            raise FetchError("the archive does not answer", code="no_response")
        value = int(response.Status)
        if value not in PENDING or response.Identifier is None:
            yield value, None
            return
        yield value, response.Identifier.getvalue()
        if not told and cancelled():
            told = True
            cancel = C_CANCEL()
            cancel.MessageIDBeingRespondedTo = 1
            assoc.dimse.send_msg(cancel, context.context_id or 1)


def _recoded(data: bytes, source: str, target: str) -> bytes:
    """Return an identifier in another transfer syntax.

    :raises UnreachableError: it is malformed.
    """
    if source == target:
        return data
    try:
        return recode(data, reader.encoding_of(source), reader.encoding_of(target))
    except UnreadableError as error:
        raise UnreachableError("an identifier is malformed", code=error.code) from error


def _readdressed(identifier: bytes, transfer_syntax_uid: str, aet: str) -> bytes:
    """Return a match that says to retrieve from us; one that is malformed as it is."""
    try:
        obj = reader.read_dataset(identifier, transfer_syntax_uid)
        if RETRIEVE_AET not in obj.index:
            return identifier
        value = aet.encode("ascii").ljust(len(aet) + len(aet) % 2)
        element = element_bytes(RETRIEVE_AET, "AE", value, obj.encoding)
        return b"".join(assemble(obj, {RETRIEVE_AET: element}))
    except (UnreadableError, UnsealableError):
        return identifier

"""Query/Retrieve SCP: C-FIND, C-GET and C-MOVE, Patient and Study Root (PS3.4 Annex C).

Whoever is behind it finds and gives; here requests are understood, objects
sent, sub-operations counted, and cancelling and failing answered as PS3.4 C.4
says.

SECURITY: identifiers hold patient data: none is logged.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from node.dicom import contexts, reader, status
from node.dicom.requestor import PeerRejectedError
from node.dicom.sending import Sending
from node.errors import SealnodeError, UnreachableError, UnreadableError, UnsealableError
from node.types import Delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

    from pynetdicom.presentation import PresentationContext

    from node.dicom.sending import Outgoing, Transcode
    from node.dicom.upper import Synchronous
    from node.types import Outcome, Peer

LEVELS = {"patient": ("PATIENT", "STUDY", "SERIES", "IMAGE"), "study": ("STUDY", "SERIES", "IMAGE")}
KEYS = {  # PS3.4 C.6.1.1 and C.6.2.1: the unique key of each level
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
MODELS = {  # PS3.4 C.6.1.3, C.6.2.3
    "1.2.840.10008.5.1.4.1.2.1.1": ("patient", "find"),
    "1.2.840.10008.5.1.4.1.2.1.2": ("patient", "move"),
    "1.2.840.10008.5.1.4.1.2.1.3": ("patient", "get"),
    "1.2.840.10008.5.1.4.1.2.2.1": ("study", "find"),
    "1.2.840.10008.5.1.4.1.2.2.2": ("study", "move"),
    "1.2.840.10008.5.1.4.1.2.2.3": ("study", "get"),
}
# PS3.4 Tables C.4-1 to C.4-3
CANCELLED = 0xFE00
PENDING = 0xFF00
UNABLE_TO_PERFORM = 0xA702
DESTINATION_UNKNOWN = 0xA801
IDENTIFIER_MISMATCH = 0xA900
SOME_FAILED = 0xB000
UNABLE_TO_PROCESS = 0xC000
PROGRESS_SECONDS = (
    0.2  # between two Pending responses of a retrieval: PS3.4 C.4.2.3.1 leaves it to us
)

_log = structlog.get_logger()


class QueryError(SealnodeError):
    """A query or retrieval cannot be served; ``status`` is what the workstation is answered."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message, code=code)
        self.status = status


@dataclass(frozen=True, slots=True)
class Query:
    """What a workstation asks for.

    :param model: SOP class of the request.
    :param kind: ``"find"``, ``"move"`` or ``"get"``.
    :param keys: the unique keys that it gives values for, by keyword.
    :param identifier: as it came, in ``transfer_syntax_uid``.
    :param message_id: of the request.
    :param cancelled: asks whether the workstation has cancelled it meanwhile.
    """

    model: str
    kind: str
    level: str
    keys: dict[str, tuple[str, ...]]
    identifier: bytes
    transfer_syntax_uid: str
    message_id: int
    peer: Peer
    cancelled: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Piece:
    """One object of a retrieval.

    :param item: what to send; None where it must not be, or cannot be had.
    :param warned: it is sent with a warning.
    """

    sop_instance_uid: str
    item: Outgoing | None
    warned: bool = False


class Sender(Protocol):
    """What sends one object and returns what became of it."""

    def send(self, item: Outgoing) -> Outcome:
        """Send it."""
        ...


class Retrieval(Protocol):
    """Objects on their way to a workstation.

    :ivar total: how many there are.
    :ivar sender: what sends them elsewhere; None for this very association.
    """

    total: int
    sender: Sender | None

    def __iter__(self) -> Iterator[Piece]:
        """Yield each object as soon as it may be sent, missing ones at the end."""
        ...

    def sent(self, counts: Counts) -> None:
        """Take note of what became of all of them."""
        ...


class Provider(Protocol):
    """Who finds and gives."""

    def find(self, query: Query) -> Iterator[tuple[int, bytes | None]]:
        """Yield (status, identifier in the query's transfer syntax), the final status last.

        :raises QueryError: it cannot be served.
        """
        ...

    def retrieve(self, query: Query, destination: str) -> AbstractContextManager[Retrieval]:
        """Give what is asked for.

        :param destination: AE title that a C-MOVE names; ``""`` for a C-GET.
        :raises QueryError: it cannot be served.
        """
        ...


@dataclass(slots=True)
class Counts:
    """Sub-operations, PS3.4 C.4.2.1.6 to C.4.2.1.9."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, piece: Piece, outcome: Outcome | None) -> None:
        """Count one; an outcome of None has failed."""
        self.remaining = max(0, self.remaining - 1)
        if not isinstance(outcome, Delivered):
            self.failed += 1
            self.failures.append(piece.sop_instance_uid)
        elif outcome.warning or piece.warned:
            self.warning += 1
        else:
            self.completed += 1

    @property
    def status(self) -> int:
        """The final status."""
        if not (self.failed or self.warning):
            return status.SUCCESS
        return SOME_FAILED if self.completed or self.warning else UNABLE_TO_PERFORM


class QueryScp:
    """The service for one peer.

    :param transcode: turns a Part 10 file into another native transfer syntax
        without loss, for workstations that take only that.
    """

    def __init__(
        self, provider: Provider, peer: Peer, *, transcode: Transcode | None = None
    ) -> None:
        self._provider = provider
        self._peer = peer
        self._transcode = transcode

    def contexts(self, proposed: Collection[str]) -> list[PresentationContext]:
        """Return the Q/R models, and storage that the peer may take for C-GET as an SCP."""
        found = [build_context(uid, list(contexts.NATIVE_LE)) for uid in MODELS if uid in proposed]
        for uid in sorted(contexts.STORAGE_CLASSES.intersection(proposed)):
            context = build_context(uid, list(contexts.TRANSFER_SYNTAXES))
            context.scu_role, context.scp_role = bool(self._peer.source), True
            found.append(context)
        return found

    def classes(self) -> Collection[str]:
        """Return the Q/R models."""
        return MODELS

    def serve(self, assoc: Synchronous, context: PresentationContext, request: Any) -> None:
        """Answer one C-FIND, C-GET or C-MOVE."""
        kind = MODELS[str(context.abstract_syntax)][1]
        answer = _Answer(assoc, context, request)
        if not isinstance(request, {"find": C_FIND, "get": C_GET, "move": C_MOVE}[kind]):
            answer.send(status.CLASS_NOT_SUPPORTED)
            return
        try:
            query = self._query(assoc, context, request)
            if kind == "find":
                self._find(answer, query)
            else:
                self._retrieve(answer, query, str(getattr(request, "MoveDestination", "") or ""))
        except QueryError as error:
            _log.warning(
                "query_refused", kind=kind, code=error.code, calling_aet=self._peer.calling_aet
            )
            answer.send(error.status)

    def _query(self, assoc: Synchronous, context: PresentationContext, request: Any) -> Query:
        root, kind = MODELS[str(context.abstract_syntax)]
        syntax = str(context.transfer_syntax[0])
        identifier = request.Identifier.getvalue()
        try:
            obj = reader.read_dataset(identifier, syntax)
        except UnreadableError as error:
            raise QueryError(
                "the identifier cannot be parsed", code=error.code, status=UNABLE_TO_PROCESS
            ) from error
        level = obj.text("QueryRetrieveLevel")
        keys = {key: values for key in KEYS.values() if (values := obj.texts(key))}
        if level not in LEVELS[root] or (kind != "find" and KEYS[level] not in keys):
            raise QueryError(
                "the identifier does not fit the model", code="level", status=IDENTIFIER_MISMATCH
            )
        number = int(request.MessageID)
        return Query(
            str(context.abstract_syntax), kind, level, keys, identifier, syntax, number,
            self._peer, lambda: assoc.is_cancelled(number),
        )  # fmt: skip

    def _find(self, answer: _Answer, query: Query) -> None:
        for value, identifier in self._provider.find(query):
            if query.cancelled():
                answer.send(CANCELLED)
                return
            answer.send(value, identifier)

    def _retrieve(self, answer: _Answer, query: Query, destination: str) -> None:
        with self._provider.retrieve(query, destination) as retrieval:
            counts = Counts(retrieval.total)
            sender = retrieval.sender or Sending(answer.assoc, transcode=self._transcode)
            reachable = True
            final = 0
            told = -math.inf
            for piece in retrieval:
                outcome: Outcome | None = None
                if piece.item is not None and reachable:
                    try:
                        outcome = sender.send(piece.item)
                    except (UnsealableError, UnreadableError) as error:
                        _log.warning("retrieve_failed", code=error.code)
                    except (PeerRejectedError, UnreachableError) as error:
                        if retrieval.sender is None:
                            raise
                        reachable = False
                        _log.warning("retrieve_failed", code=error.code)
                counts.add(piece, outcome)
                if query.cancelled():
                    final = CANCELLED
                    break
                if (now := time.monotonic()) - told >= PROGRESS_SECONDS:
                    answer.send(PENDING, counts=counts)
                    told = now
            answer.assoc.messages.responses = None
            final = final or counts.status
            retrieval.sent(counts)
        answer.send(final, answer.failures(counts, final), counts)


class _Answer:
    """The responses to one request."""

    def __init__(self, assoc: Synchronous, context: PresentationContext, request: Any) -> None:
        self.assoc = assoc
        self._context = context
        self._request = request

    def send(
        self, value: int, identifier: bytes | None = None, counts: Counts | None = None
    ) -> None:
        response = type(self._request)()
        response.MessageIDBeingRespondedTo = self._request.MessageID
        response.AffectedSOPClassUID = self._request.AffectedSOPClassUID
        response.Status = value
        if identifier is not None:
            response.Identifier = BytesIO(identifier)
        if counts is not None:
            if value in {PENDING, CANCELLED}:  # PS3.4 C.4.2.1.6: in no other response
                response.NumberOfRemainingSuboperations = counts.remaining
            response.NumberOfCompletedSuboperations = counts.completed
            response.NumberOfFailedSuboperations = counts.failed
            response.NumberOfWarningSuboperations = counts.warning
        self.assoc.dimse.send_msg(response, self._context.context_id or 0)

    def failures(self, counts: Counts, value: int) -> bytes | None:
        """Return the identifier of a final response that is no success, PS3.4 C.4.2.1.4.2."""
        if value == status.SUCCESS:
            return None
        identifier = Dataset()
        identifier.FailedSOPInstanceUIDList = counts.failures
        syntax = self._context.transfer_syntax[0]
        return encode(
            identifier,
            is_implicit_vr=syntax.is_implicit_VR,
            is_little_endian=True,
        )

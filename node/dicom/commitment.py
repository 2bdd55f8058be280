"""Storage Commitment, Push Model (PS3.4 Annex J): N-ACTION and N-EVENT-REPORT, in both roles.

The SCU asks, and takes its answer on the same association or on one that the
SCP opens. Whoever is behind :class:`CommitmentScp` keeps requests and reports.

SECURITY: what a peer says is a claim about UIDs; none is logged here.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context, build_role

from node.dicom import contexts, reader, status
from node.dicom.elements import items
from node.dicom.requestor import abort, release
from node.errors import SealnodeError, UnreachableError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pynetdicom.presentation import PresentationContext

    from node.dicom.reader import DicomObject
    from node.dicom.requestor import Requestor
    from node.dicom.upper import Synchronous
    from node.types import Peer

    Take = Callable[["Report"], None]

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"  # PS3.4 J.3.5: the SOP Instance of the Push Model
REQUEST = 1  # Action Type ID, PS3.4 Table J.3-1
COMPLETE, FAILURES_EXIST = 1, 2  # Event Type IDs, PS3.4 Table J.3-2

# Failure Reason (0008,1197), PS3.3 C.14.1.1
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
CONFLICT = 0x0119
CLASS_NOT_SUPPORTED = 0x0122
DUPLICATE_TRANSACTION = 0x0131
RESOURCE_LIMITATION = 0x0213
REASONS = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "no such object instance",
    CONFLICT: "class and instance conflict",
    CLASS_NOT_SUPPORTED: "SOP class not supported",
    DUPLICATE_TRANSACTION: "duplicate transaction UID",
    RESOURCE_LIMITATION: "resource limitation",
}
# Statuses, PS3.7 Annex C
NO_SUCH_EVENT = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
UNRECOGNISED = 0x0211

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Report:
    """An SCP's word on one transaction.

    :param committed: (SOP class, SOP instance) of what it will keep.
    :param failed: the same, with the reason, of what it will not.
    """

    transaction_uid: str
    committed: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str, int], ...] = ()


class Provider(Protocol):
    """Who keeps what peers say. Both promise that it is durable when they return."""

    def requested(
        self, peer: Peer, transaction_uid: str, references: tuple[tuple[str, str], ...]
    ) -> int:
        """Take a source's request; return the status to answer."""
        ...

    def reported(self, peer: Peer, report: Report) -> None:
        """Take a destination's report."""
        ...


class CommitmentScp:
    """The service for one peer: requests of a source, reports of a destination."""

    def __init__(self, provider: Provider, peer: Peer, *, asks: bool) -> None:
        self._provider = provider
        self._peer = peer
        self._asks = asks

    def contexts(self, proposed: Collection[str]) -> list[PresentationContext]:
        """Return the Push Model; a destination may be its SCP (PS3.7 D.3.3.4)."""
        if PUSH_MODEL not in proposed:
            return []
        context = build_context(PUSH_MODEL, list(contexts.NATIVE_LE))
        context.scu_role, context.scp_role = self._asks, bool(self._peer.destination)
        return [context]

    def classes(self) -> Collection[str]:
        """Return the Push Model."""
        return (PUSH_MODEL,)

    def serve(self, assoc: Synchronous, context: PresentationContext, request: Any) -> None:
        """Answer one N-ACTION or N-EVENT-REPORT."""
        if isinstance(request, N_ACTION) and self._asks:
            value = _guarded(lambda: self._requested(context, request))
        elif isinstance(request, N_EVENT_REPORT) and self._peer.destination:
            _answer_report(assoc, context, request, self._take)
            return
        elif isinstance(request, N_ACTION | N_EVENT_REPORT):
            value = status.NOT_AUTHORISED
        else:
            value = UNRECOGNISED
        if value != status.SUCCESS:
            _log.warning(
                "commitment_request_refused", status=f"{value:04X}H", source=self._peer.source
            )
        _answer(assoc, context, request, value)

    def _take(self, report: Report) -> None:
        self._provider.reported(self._peer, report)

    def _requested(self, context: PresentationContext, request: Any) -> int:
        if str(request.RequestedSOPInstanceUID) != WELL_KNOWN:
            return NO_SUCH_INSTANCE
        if request.ActionTypeID != REQUEST:
            return NO_SUCH_ACTION
        found = _read(request.ActionInformation, context)
        references = tuple(_reference(item) for item in _items(found, "ReferencedSOPSequence"))
        if not references:
            return INVALID_ARGUMENT
        transaction_uid = reader.check_uid(found.text("TransactionUID"))
        return self._provider.requested(self._peer, transaction_uid, references)


class CommitmentScu:
    """Asks one destination. Not for several threads.

    :param wait: seconds for which the association is kept for the report.
    """

    def __init__(self, requestor: Requestor, *, wait: float) -> None:
        self._requestor = requestor
        self._wait = wait

    def ask(self, transaction_uid: str, references: Iterable[tuple[str, str]], take: Take) -> int:
        """Ask for commitment; return the status that was answered.

        :param take: is given the report if it comes on the same association.
        :raises UnreachableError: nobody is there, or nobody answers.
        :raises PeerRejectedError: the destination does not want the association.
        :raises NoContextError: it does not offer Storage Commitment.
        """
        assoc = self._requestor.associate([build_context(PUSH_MODEL, list(contexts.NATIVE_LE))])
        [context] = assoc.accepted_contexts
        request = N_ACTION()
        request.MessageID = 1
        request.RequestedSOPClassUID = UID(PUSH_MODEL)
        request.RequestedSOPInstanceUID = UID(WELL_KNOWN)
        request.ActionTypeID = REQUEST
        request.ActionInformation = _written(Report(transaction_uid, tuple(references)), context)
        finished = False
        try:
            answered = self._exchange(assoc, context, request, take)
            finished = True
        finally:
            (release if finished else abort)(assoc)
        return answered

    def _exchange(
        self, assoc: Synchronous, context: PresentationContext, request: N_ACTION, take: Take
    ) -> int:
        assoc.dimse.send_msg(request, context.context_id or 1)
        answered: int | None = None
        reported = False
        while answered is None or (answered == status.SUCCESS and not reported and self._wait):
            if answered is not None:
                assoc.dimse_timeout = self._wait
            _, message = assoc.dimse.get_msg(block=True)
            if isinstance(message, N_EVENT_REPORT) and message.is_valid_request:
                _answer_report(assoc, context, message, take)
                reported = True
            elif isinstance(message, N_ACTION) and message.Status is not None:
                answered = int(message.Status)
            elif answered is None:
                raise UnreachableError("the destination does not answer", code="no_response")
            else:
                break  # it reports on an association of its own
        if assoc.is_established and assoc.acse.is_release_requested():
            assoc.acse.send_release(is_response=True)
            assoc.is_released, assoc.is_established = True, False
        assert answered is not None
        return answered


def deliver(requestor: Requestor, report: Report) -> int:
    """Report to who asked, as the SCP on an association of ours; return what was answered.

    :raises UnreachableError: nobody is there, or nobody answers.
    :raises PeerRejectedError: the peer does not want the association.
    :raises NoContextError: it does not take reports.
    """
    assoc = requestor.associate(
        [build_context(PUSH_MODEL, list(contexts.NATIVE_LE))],
        [build_role(PUSH_MODEL, scp_role=True)],
    )
    # Accepted in whatever roles: peers that do not negotiate them take reports all the same.
    [context] = assoc.accepted_contexts
    event = N_EVENT_REPORT()
    event.MessageID = 1
    event.AffectedSOPClassUID = UID(PUSH_MODEL)
    event.AffectedSOPInstanceUID = UID(WELL_KNOWN)
    event.EventTypeID = FAILURES_EXIST if report.failed else COMPLETE
    event.EventInformation = _written(report, context)
    assoc.dimse.send_msg(event, context.context_id or 1)
    _, response = assoc.dimse.get_msg(block=True)
    if not isinstance(response, N_EVENT_REPORT) or response.Status is None:
        abort(assoc)
        raise UnreachableError("the report is not answered", code="no_response")
    release(assoc)
    return int(response.Status)


def addresses_of(host: str) -> tuple[str, ...]:
    """Return the addresses of a host name; none if it is unknown."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(item[4][0]).partition("%")[0] for item in found}))


def _answer_report(
    assoc: Synchronous, context: PresentationContext, request: Any, take: Take
) -> None:
    """Hand a report on; only what was taken is answered with success."""

    def reported() -> int:
        if str(request.AffectedSOPInstanceUID) != WELL_KNOWN:
            return NO_SUCH_INSTANCE
        if request.EventTypeID not in {COMPLETE, FAILURES_EXIST}:
            return NO_SUCH_EVENT
        found = _read(request.EventInformation, context)
        take(
            Report(
                reader.check_uid(found.text("TransactionUID")),
                tuple(_reference(item) for item in _items(found, "ReferencedSOPSequence")),
                tuple(
                    (*_reference(item), (*item.ints("FailureReason"), PROCESSING_FAILURE)[0])
                    for item in _items(found, "FailedSOPSequence")
                ),
            )
        )
        return status.SUCCESS

    _answer(assoc, context, request, _guarded(reported))


def _guarded(take: Callable[[], int]) -> int:
    """Return the status of what cannot be read, or cannot be kept."""
    try:
        return take()
    except UnreadableError as error:
        _log.warning("commitment_unreadable", code=error.code)
        return INVALID_ARGUMENT
    except SealnodeError as error:
        _log.warning("commitment_not_kept", code=error.code)
        return RESOURCE_LIMITATION if error.transient else PROCESSING_FAILURE


def _answer(assoc: Synchronous, context: PresentationContext, request: Any, value: int) -> None:
    response = type(request)()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.Status = value
    if isinstance(request, N_ACTION | N_EVENT_REPORT):
        response.AffectedSOPClassUID = UID(PUSH_MODEL)
        response.AffectedSOPInstanceUID = UID(WELL_KNOWN)
    assoc.dimse.send_msg(response, context.context_id or 0)


def _read(information: Any, context: PresentationContext) -> DicomObject:
    data = b"" if information is None else information.getvalue()
    return reader.read_dataset(data, str(context.transfer_syntax[0]))


def _items(obj: DicomObject, keyword: str) -> list[DicomObject]:
    element = obj.element(keyword)
    if element is None:
        return []
    return [
        reader.read_dataset(obj.data[start:stop], obj.transfer_syntax_uid)
        for start, stop in items(obj.data, element, obj.encoding)
    ]


def _reference(item: DicomObject) -> tuple[str, str]:
    sop_class, instance = (
        reader.check_uid(item.text(f"ReferencedSOP{what}UID")) for what in ("Class", "Instance")
    )
    return sop_class, instance


def _written(report: Report, context: PresentationContext) -> BytesIO:
    """Return Action or Event Information, PS3.4 Tables J.3-1 and J.3-2."""
    found = Dataset()
    _put(found, "TransactionUID", report.transaction_uid)
    if report.committed:
        found.ReferencedSOPSequence = [_item(*reference) for reference in report.committed]
    if report.failed:
        found.FailedSOPSequence = [_item(*reference) for reference in report.failed]
    implicit = str(context.transfer_syntax[0]) == reader.IMPLICIT_LE
    data = encode(found, is_implicit_vr=implicit, is_little_endian=True)
    assert data is not None
    return BytesIO(data)


def _item(sop_class: str, instance: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    _put(item, "ReferencedSOPClassUID", sop_class)
    _put(item, "ReferencedSOPInstanceUID", instance)
    if reason is not None:
        item.FailureReason = reason
    return item


def _put(dataset: Dataset, keyword: str, uid: str) -> None:
    """Add a UID as it was received: leading zeros are not ours to refuse."""
    dataset.add(DataElement(keyword, "UI", uid, validation_mode=IGNORE))

"""One association that a peer asked for: negotiated, served, ended."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.pdu_primitives import A_ASSOCIATE, UserIdentityNegotiation

from node.dicom import contexts, status, tls
from node.dicom.command import ViolationError
from node.dicom.limits import MIN_PDU, Limits
from node.dicom.scp import Receiver, RejectedError, StoreScp
from node.dicom.upper import UNEXPECTED, Service, Synchronous
from node.dicom.wire import LostError, Wire
from node.types import Login, Peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Sequence

    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.presentation import PresentationContext
    from pynetdicom.transport import AddressInformation

    from node.dicom.connections import Connections
    from node.dicom.tally import Tally

A_ASSOCIATE_RQ = 0x01  # PS3.8 Table 9-11
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
# PS3.4 B.3.1: level 2 (all elements kept), signature level 1 (the object sent on has
# none), elements may be coerced; each byte is followed by a reserved one
STORAGE_SUPPORT = b"\x02\0\x01\0\x01\0"
MAX_SYNTAXES = 64  # of one proposed context; the standard knows fewer

_log = structlog.get_logger()


class Offer(Service, Protocol):
    """A service, with what it needs to be negotiated."""

    def contexts(self, proposed: Collection[str]) -> list[PresentationContext]:
        """Return what it supports of the proposed abstract syntaxes.

        It has the last word on an abstract syntax, Storage's included.
        """
        ...

    def classes(self) -> Collection[str]:
        """Return the abstract syntaxes whose requests it answers."""
        ...


@dataclass(frozen=True)
class Settings:
    """What the listening side needs to know.

    :param host: the address to bind; loopback unless configured.
    :param tls: server context, or None for plain TCP.
    :param unknown_classes: accept private and future SOP classes as storage too.
    :param reuse_port: let several processes listen on the port (SO_REUSEPORT).
    :param services: gives the further services that a peer may use.
    """

    aet: str
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    unknown_classes: bool = False
    reuse_port: bool = False
    limits: Limits = field(default_factory=Limits)
    services: Callable[[Peer], Sequence[Offer]] = lambda _: ()


class Acceptance:
    """The life of one accepted connection."""

    def __init__(
        self,
        *,
        settings: Settings,
        receiver: Receiver,
        connections: Connections,
        tally: Tally,
        ae: ApplicationEntity,
        sock: socket.socket,
        local: AddressInformation,
        remote: AddressInformation,
        stop: int,
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._connections = connections
        self._tally = tally
        self._sock = sock
        self._address = remote.address
        self._started = time.monotonic()
        assoc = self._assoc = Synchronous(ae, MODE_ACCEPTOR, settings.limits)
        self._wire = Wire(assoc, settings.limits, sock=sock, stop=stop)
        assoc.set_socket(self._wire)
        assoc.acceptor.ae_title = settings.aet
        assoc.acceptor.address_info = local
        assoc.acceptor.maximum_length = settings.limits.max_pdu
        assoc.acceptor.implementation_class_uid = ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = ae.implementation_version_name
        assoc.requestor.address_info = remote

    def run(self) -> None:
        """Negotiate and serve until the association ends in whatever way."""
        try:
            self._serve()
        except LostError as error:
            self._note("association_lost", error.code)
            if error.code != "closed":
                self._wire.abort(0)
        except ViolationError as error:
            self._note("association_aborted", error.code)
            self._wire.abort(error.reason)
        finally:
            if self._assoc.is_established:  # a bug is on its way up
                self._wire.abort(0)
            self._assoc.messages.abandon()
            self._wire.finish()

    def _note(self, event: str, code: str) -> None:
        primitive = self._assoc.requestor.primitive
        if primitive is None:
            self._tally.note(event, address=self._address, code=code)
        else:
            self._assoc.is_established = False
            _log.warning(
                event,
                address=self._address,
                calling_aet=primitive.calling_ae_title,
                code=code,
                seconds=round(time.monotonic() - self._started, 3),
            )

    def _serve(self) -> None:
        request = self._request()
        if request is None:
            self._tally.note("association_rejected", address=self._address, code="request_invalid")
            return
        assoc = self._assoc
        assoc.requestor.primitive = request
        try:
            peer = self._admit(request)
        except RejectedError as error:
            rejection = error.rejection
            _log.warning(
                "association_rejected",
                address=self._address,
                calling_aet=request.calling_ae_title,
                called_aet=request.called_ae_title,
                code=rejection.code,
            )
            assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
            return
        store = StoreScp(assoc, self._receiver, peer)
        assoc.store_with(store)
        assoc.acse.negotiate_association()
        assoc.serve()
        _log.info(
            "association_released",
            source=peer.source,
            address=peer.address,
            count=store.stored,
            seconds=round(time.monotonic() - self._started, 3),
        )

    def _request(self) -> A_ASSOCIATE | None:
        """Read the A-ASSOCIATE-RQ; None if pynetdicom has answered it already."""
        upper = self._assoc.upper
        upper.drain()
        deadline = time.monotonic() + self._settings.limits.request
        kind, _ = self._wire.header(deadline)
        if kind != A_ASSOCIATE_RQ:
            raise ViolationError("no association request", code="no_request", reason=UNEXPECTED)
        upper.read(deadline)
        primitive = upper.receive_pdu()
        return primitive if isinstance(primitive, A_ASSOCIATE) else None

    def _admit(self, request: A_ASSOCIATE) -> Peer:
        """Decide about a request and prepare what is negotiated.

        :raises RejectedError: it is not wanted, or not now.
        """
        proposed = request.presentation_context_definition_list
        identifiers = {context.context_id for context in proposed}
        if request.application_context_name != APPLICATION_CONTEXT:
            raise RejectedError(status.CONTEXT_NAME)
        if (
            not 0 < len(proposed) <= contexts.MAX_CONTEXTS
            or len(identifiers) != len(proposed)
            or any(len(context.transfer_syntax) > MAX_SYNTAXES for context in proposed)
            or 0 < self._assoc.dimse.maximum_pdu_size < MIN_PDU
        ):
            raise RejectedError(status.BAD_REQUEST)
        names = tls.names(self._sock) if isinstance(self._sock, ssl.SSLSocket) else ()
        peer = self._receiver.admit(
            Peer(request.calling_ae_title, request.called_ae_title, self._address),
            names,
            _login(request),
        )
        if not self._connections.seat(self._sock, self._address):
            raise RejectedError(status.OVERLOADED)
        asked = {str(context.abstract_syntax) for context in proposed}
        sends = bool(peer.source) or not (peer.workstation or peer.destination)
        supported = {
            str(context.abstract_syntax): context
            for context in contexts.accepted(
                asked if sends else asked - contexts.STORAGE_CLASSES,
                unknown_classes=sends and self._settings.unknown_classes,
            )
        }
        for offer in self._settings.services(peer):
            supported |= {str(cx.abstract_syntax): cx for cx in offer.contexts(asked)}
            for uid in offer.classes():
                self._assoc.serve_with(uid, offer)
        self._assoc.acceptor.supported_contexts = list(supported.values())
        self._assoc.bind(evt.EVT_SOP_EXTENDED, _extended)
        return peer


def _login(request: A_ASSOCIATE) -> Login | None:
    """Whom a peer says that it is by name, with a passcode or without (PS3.7 Table D.3-14)."""
    for item in request.user_information:
        if isinstance(item, UserIdentityNegotiation) and item.user_identity_type in {1, 2}:
            name = (item.primary_field or b"").decode("utf-8", "replace")
            return Login(name, item.secondary_field or b"")
    return None


def _extended(event: Any) -> dict[str, bytes]:
    """Answer Storage's extended negotiation for each class that asks for it."""
    return dict.fromkeys(set(event.app_info) & contexts.STORAGE_CLASSES, STORAGE_SUPPORT)

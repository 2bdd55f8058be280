"""pynetdicom driven by the calling thread: no reactor threads, no polling, no races.

Stock pynetdicom runs two threads for each association that wake every
millisecond and pass PDUs through queues; responses were seen to get lost
between them (its issue 875). Here one thread reads a PDU, hands it to
pynetdicom's state machine and serves what came out of it. Negotiation, state
machine, PDU and DIMSE codecs and service classes are pynetdicom's, pinned to
3.0.4; only its documented classes are subclassed, nothing is patched.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError

from node.dicom.command import ViolationError
from node.dicom.messages import Messages
from node.dicom.wire import LostError, Wire

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.dimse import _QueueItem
    from pynetdicom.pdu_primitives import (
        A_ABORT,
        A_ASSOCIATE,
        A_P_ABORT,
        A_RELEASE,
        _PDUPrimitiveType,
    )
    from pynetdicom.presentation import PresentationContext

    from node.dicom.limits import Limits
    from node.dicom.messages import StoreService

P_DATA_TF = 0x04  # PS3.8 Table 9-22
ESTABLISHED = "Sta6"  # PS3.8 Table 9-5: ready for data transfer
UNEXPECTED = 2  # PS3.8 Table 9-26: reason of an A-ABORT


class Upper(DULServiceProvider):
    """The upper layer, turned by :meth:`pump` instead of by a thread of its own."""

    def __init__(self, assoc: Synchronous, limits: Limits) -> None:
        super().__init__(assoc)
        self._limits = limits
        self._synchronous = assoc

    @property
    def wire(self) -> Wire:
        """The transport."""
        assert isinstance(self.socket, Wire)
        return self.socket

    def send_pdu(self, primitive: _PDUPrimitiveType) -> None:
        """Send now what pynetdicom would queue for its thread."""
        super().send_pdu(primitive)
        self.drain()

    def drain(self) -> None:
        """Let the state machine act until nothing is left to do.

        :raises ViolationError: what a PDU says is more than pynetdicom can take.
        """
        while not self._kill_thread:
            if self.event_queue.empty() and not self._process_recv_primitive():
                return
            try:
                self.state_machine.do_action(self.event_queue.get_nowait())
            except (InvalidEventError, ValueError, TypeError, AttributeError, LookupError) as error:
                raise ViolationError("a PDU has invalid contents", code="pdu") from error

    def read(self, first: float, *, stoppable: bool = False) -> None:
        """Read one PDU and act on it.

        :param first: when its first byte must be there, monotonic seconds.
        :raises LostError: the connection is gone, or took too long.
        :raises ViolationError: the peer breaks the protocol.
        """
        messages = self._synchronous.messages
        pressed = messages.deadline if messages.busy else math.inf
        kind, length = self.wire.header(
            min(first, pressed), stoppable=stoppable and not messages.busy
        )
        if kind == P_DATA_TF and self.state_machine.current_state == ESTABLISHED:
            if length > self._limits.max_pdu:
                raise ViolationError("a PDU is longer than was negotiated", code="pdu_length")
            messages.receive(self.wire.body(length, pressed))
        else:
            if length > self._limits.max_request:
                raise ViolationError("a PDU is too long", code="pdu_length")
            self._read_pdu_data()
            if self.wire.error is not None:
                raise self.wire.error
        self.drain()

    def pump(self, deadline: float) -> bool:
        """Read one PDU, or end the association; false when the time is over."""
        try:
            self.read(deadline)
        except LostError as error:
            if error.code == "idle" and time.monotonic() >= deadline:
                return False
            self.wire.error = error
            self.event_queue.put("Evt17")
            self.drain()
        except ViolationError as error:
            self.wire.error = LostError(str(error), code=error.code)
            self.wire.abort(error.reason)
            self.event_queue.put("Evt17")
            self.drain()
        return True

    def receive_pdu(
        self,
        wait: bool = False,  # noqa: FBT001, FBT002 - pynetdicom's signature
        timeout: float | None = None,
    ) -> A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | None:
        """Return the next primitive for the service user, reading until there is one."""
        deadline = time.monotonic() + (self._limits.request if timeout is None else timeout)
        while wait and self.to_user_queue.empty() and not self._kill_thread:
            if not self.pump(deadline):
                break
        return super().receive_pdu(wait=False)


class Dimse(DIMSEServiceProvider):
    """The message layer: what is not taken by the store service waits in its queue."""

    def __init__(self, assoc: Synchronous, upper: Upper) -> None:
        super().__init__(assoc)
        self._upper = upper

    def get_msg(self, block: bool = False) -> _QueueItem:  # noqa: FBT001, FBT002
        """Return the next message, reading until there is one or the peer falls silent."""
        seconds = math.inf if self.dimse_timeout is None else self.dimse_timeout
        while block and self.msg_queue.empty() and self._upper.to_user_queue.empty():
            if self._upper._kill_thread or not self._upper.pump(time.monotonic() + seconds):  # noqa: SLF001
                break
        return super().get_msg(block=False)


class Service(Protocol):
    """What answers requests that pynetdicom's service classes do not, or not as we need."""

    def serve(self, assoc: Synchronous, context: PresentationContext, request: Any) -> None:
        """Answer one request.

        :raises LostError: the peer has gone.
        """
        ...


class Synchronous(Association):
    """An association that runs in whatever thread calls it.

    :param mode: ``"acceptor"`` or ``"requestor"``.
    """

    def __init__(self, ae: ApplicationEntity, mode: str, limits: Limits) -> None:
        super().__init__(ae, mode)
        self.limits = limits
        self.upper = Upper(self, limits)
        self.dul = self.upper
        self.dimse = Dimse(self, self.upper)
        self.messages = Messages(self, limits)
        self._services: dict[str, Service] = {}
        # the setters hand the new providers their time-outs
        self.acse_timeout = limits.request
        self.dimse_timeout = ae.dimse_timeout
        self.network_timeout = limits.idle
        self._is_paused = True  # there is no reactor that could be running

    def _bind_defaults(self) -> None:
        """Bind pynetdicom's defaults without its handlers that log what passes."""
        for event in evt._INTERVENTION_EVENTS:  # noqa: SLF001 - as the base class does
            self.bind(event, evt.get_default_handler(event))

    def serve_with(self, abstract_syntax: str, service: Service) -> None:
        """Give the requests under an abstract syntax to a service of ours."""
        self._services[abstract_syntax] = service

    def _serve_request(self, msg: Any, context_id: int) -> None:
        context = self._accepted_cx[context_id]
        service = self._services.get(str(context.abstract_syntax))
        if service is None:
            super()._serve_request(msg, context_id)
        elif msg.is_valid_request:
            self.dimse.cancel_req = {}
            service.serve(self, context, msg)

    def is_cancelled(self, message_id: int) -> bool:
        """Take what the peer has said meanwhile; return whether it has cancelled a request.

        :raises LostError: the peer has gone.
        """
        while self.upper.wire.error is None and self.upper.wire.ready:
            self.upper.pump(time.monotonic() + self.limits.grace)
        if self.upper.wire.error is not None:
            raise self.upper.wire.error
        if not self.upper.to_user_queue.empty():
            raise LostError("the peer ended the association", code="aborted")
        return message_id in self.dimse.cancel_req

    def store_with(self, service: StoreService) -> None:
        """Give C-STORE requests of the peer to a service, as they stream in."""
        self.messages.store = service

    def _abort_blocking(self, block: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002
        super()._abort_blocking(block=False)
        self.kill()

    def serve(self) -> None:
        """Serve an established association until it is released.

        :raises LostError: the connection is gone, or took too long.
        :raises ViolationError: the peer breaks the protocol.
        """
        while self.is_established:
            gap = self.limits.grace if self.messages.busy else self.limits.idle
            self.upper.read(time.monotonic() + gap, stoppable=True)
            self._serve_messages()
            if self.is_established and self.acse.is_release_requested():
                self.acse.send_release(is_response=True)
                self.is_released = True
                self.is_established = False
            elif self.acse.is_aborted():
                raise LostError("the peer aborted the association", code="aborted")

    def _serve_messages(self) -> None:
        while self.is_established:
            context_id, message = self.dimse.get_msg(block=False)
            if message is None or context_id is None:
                return
            self._serve_request(message, context_id)


def silence() -> None:
    """Keep pynetdicom from logging values: it quotes what it stumbles over.

    SECURITY: identifiers and refused values are patient data.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)

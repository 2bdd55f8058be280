"""DIMSE messages out of P-DATA-TF fragments (PS3.8 Annex E), within bounds.

The data set of a C-STORE is handed on fragment by fragment, so that memory
does not grow with the object; everything else is small, is held in memory and
goes to pynetdicom's service classes, but for the Pending responses to a
retrieval, which nobody here waits for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from pynetdicom.dimse_messages import _MESSAGE_TYPES, DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL
from pynetdicom.pdu_primitives import P_DATA

from node.dicom.command import C_STORE_RQ, Command, ViolationError, decode

if TYPE_CHECKING:
    from collections import deque

    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from node.dicom.limits import Limits

_FRAGMENT = 6  # bytes before a fragment's data: length 4, context 1, control 1
_MAX_CANCELS = 10


class Transfer(Protocol):
    """A data set on its way in."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes; the view is valid only during the call."""
        ...

    def end(self) -> None:
        """The data set is complete: answer it."""
        ...

    def abandon(self) -> None:
        """The rest will not come: undo."""
        ...


class StoreService(Protocol):
    """Takes C-STORE requests."""

    def begin(self, context: PresentationContext, command: Command) -> Transfer:
        """Start with a C-STORE request whose data set follows."""
        ...


class Messages:
    """Puts messages together; one at a time, as PS3.7 8.1 has it without a window.

    :ivar store: what C-STORE requests stream into; None to treat them like others.
    :ivar responses: what takes responses without a data set; None likewise.
    """

    def __init__(self, assoc: Association, limits: Limits) -> None:
        self._assoc = assoc
        self._limits = limits
        self.store: StoreService | None = None
        self.responses: deque[Command] | None = None
        self._context_id = 0
        self._command = bytearray()
        self._decoded: Command | None = None
        self._data = bytearray()
        self._transfer: Transfer | None = None
        self._started = 0.0
        self._received = 0

    @property
    def busy(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._command)

    @property
    def deadline(self) -> float:
        """When a message that trickles in is given up, monotonic seconds."""
        allowed = 2 * self._limits.grace + self._received / self._limits.min_rate
        return self._started + allowed

    def receive(self, body: memoryview) -> None:
        """Take the body of a P-DATA-TF PDU.

        :raises ViolationError: it does not hold well-formed fragments in order.
        """
        at = 0
        while at < len(body):
            length = int.from_bytes(body[at : at + 4], "big")
            if length < 2 or at + 4 + length > len(body):  # noqa: PLR2004 - PS3.8 9.3.5.1
                raise ViolationError("a fragment does not fit its PDU", code="fragment")
            context_id, control = body[at + 4], body[at + 5]
            self._fragment(context_id, control, body[at + _FRAGMENT : at + 4 + length])
            at += 4 + length
        if at == 0:
            raise ViolationError("a PDU without a fragment", code="fragment")

    def abandon(self) -> None:
        """Forget the message on its way; what was stored of it is undone."""
        transfer = self._transfer
        self._reset()
        if transfer is not None:
            transfer.abandon()

    def _fragment(self, context_id: int, control: int, data: memoryview) -> None:
        if not self.busy:
            if context_id not in self._assoc._accepted_cx:  # noqa: SLF001
                raise ViolationError("a context that was not accepted", code="context")
            self._context_id = context_id
            self._started = time.monotonic()
            self._received = 0
        elif context_id != self._context_id:
            raise ViolationError("two messages at once", code="context")
        is_command, is_last = bool(control & 1), bool(control & 2)
        if is_command == (self._decoded is not None):
            raise ViolationError("command and data set out of order", code="order", reason=2)
        self._received += len(data)
        if is_command:
            self._take_command(data, is_last=is_last)
        else:
            self._take_data(data, is_last=is_last)

    def _take_command(self, data: memoryview, *, is_last: bool) -> None:
        if len(self._command) + len(data) > self._limits.max_command:
            raise ViolationError("a command set is too long", code="command")
        self._command += data
        if not self._command:
            raise ViolationError("an empty command set", code="command")
        if not is_last:
            return
        command = self._decoded = decode(self._command)
        if command.field not in _MESSAGE_TYPES:
            raise ViolationError("an unknown command", code="command")
        if command.field == C_STORE_RQ and self.store is not None:
            context = self._assoc._accepted_cx[self._context_id]  # noqa: SLF001
            self._transfer = self.store.begin(context, command)
        if not command.has_data:
            self._complete()

    def _take_data(self, data: memoryview, *, is_last: bool) -> None:
        if self._transfer is not None:
            if self._received > self._limits.max_object:
                raise ViolationError("an object is too large", code="too_large")
            self._transfer.write(data)
        elif len(self._data) + len(data) > self._limits.max_message:
            raise ViolationError("a message is too long", code="too_large")
        else:
            self._data += data
        if is_last:
            self._complete()

    def _complete(self) -> None:
        transfer, decoded, context_id = self._transfer, self._decoded, self._context_id
        command, data = bytes(self._command), bytes(self._data)
        assert decoded is not None
        self._reset()
        if transfer is not None:
            transfer.end()
        elif self.responses is not None and decoded.is_response and not decoded.has_data:
            self.responses.append(decoded)
        elif not decoded.is_progress:
            self._enqueue(context_id, command, data if decoded.has_data else None)

    def _reset(self) -> None:
        self._command = bytearray()
        self._data = bytearray()
        self._decoded = None
        self._transfer = None

    def _enqueue(self, context_id: int, command: bytes, data: bytes | None) -> None:
        """Give a message to pynetdicom's DIMSE provider, decoded by its own codec."""
        fragments = P_DATA()
        fragments.presentation_data_value_list.append((context_id, b"\x03" + command))
        if data is not None:
            fragments.presentation_data_value_list.append((context_id, b"\x02" + data))
        message = DIMSEMessage()
        try:
            message.decode_msg(fragments, self._assoc)
            primitive = message.message_to_primitive()
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ViolationError("an invalid message", code="message") from error
        dimse = self._assoc.dimse
        if not isinstance(primitive, C_CANCEL):
            dimse.msg_queue.put((context_id, primitive))
        elif len(dimse.cancel_req) < _MAX_CANCELS:
            dimse.cancel_req[primitive.MessageIDBeingRespondedTo or 0] = primitive

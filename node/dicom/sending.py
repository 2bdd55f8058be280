"""C-STORE requests on an association, whoever asked for it: Part 10 files, byte for byte.

The data set goes from the mapped file to the socket, many fragments to a
system call, and no decoder sees it.
"""

from __future__ import annotations

import io
import mmap
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from node.dicom import command, contexts, status
from node.dicom.elements import leading
from node.dicom.reader import DEFLATED_LE
from node.dicom.wire import LostError
from node.failpoint import reach
from node.types import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.dicom.elements import Buffer
    from node.dicom.upper import Synchronous
    from node.types import Outcome

    Transcode = Callable[[bytes, str], bytes]

META = 0x0002
BATCH = 512 << 10  # bytes handed to the kernel at once
MAX_FRAGMENTS = 300  # of these; each is three parts, and the system takes 1024 (IOV_MAX)
_DICM = 132  # PS3.10 7.1: preamble and prefix


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One object to send.

    :param open: opens its Part 10 file.
    :param priority: of the C-STORE: 0 medium, 1 high, 2 low (PS3.7 9.3.1.1).
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    open: Callable[[], BinaryIO]
    priority: int = 0

    @property
    def pair(self) -> tuple[str, str]:
        """SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class Originator:
    """Whose C-MOVE caused what is sent, PS3.7 9.3.1.1."""

    aet: str
    message_id: int


class Sending:
    """Sends one object at a time on an established association.

    :param transcode: turns a Part 10 file into another native transfer syntax
        without loss; None to refuse what the peer takes only so.
    """

    def __init__(
        self,
        assoc: Synchronous,
        *,
        transcode: Transcode | None = None,
        originator: Originator | None = None,
    ) -> None:
        self.assoc = assoc
        self._transcode = transcode
        self._originator = originator
        self._accepted = {
            (str(cx.abstract_syntax), str(cx.transfer_syntax[0])): cx.context_id or 0
            for cx in assoc.accepted_contexts
            if cx.as_scu
        }
        self._responses: deque[command.Command] = deque()
        assoc.messages.responses = self._responses
        self._message_id = 0

    def send(self, item: Outgoing, *, alive: Callable[[], None] = lambda: None) -> Outcome:
        """Send one object and return what became of it.

        :param alive: called every now and then while a big object is sent.
        :raises LostError: the association is lost, or must be given up since
            half an object may be under way.
        """
        fitted = self._fit(item)
        if isinstance(fitted, Refused):
            return fitted
        context_id, data = fitted
        self._message_id = self._message_id % 0xFFFF + 1
        reach("send.fitted")
        self._transmit(context_id, item, data, alive)
        reach("send.transmitted")
        return self._response()

    def _fit(self, item: Outgoing) -> tuple[int, Buffer] | Refused:
        """Choose a context for an object, and convert the object if it must be."""
        context_id = self._accepted.get(item.pair)
        if context_id is not None:
            return context_id, _contents(item)
        syntaxes = [syntax for cls, syntax in self._accepted if cls == item.sop_class_uid]
        if not syntaxes:
            return no_class()
        target = next((syntax for syntax in contexts.NATIVE_LE if syntax in syntaxes), None)
        if self._transcode is None or target is None:
            return Refused("transfer syntax not accepted")
        with item.open() as file:
            return self._accepted[item.sop_class_uid, target], self._transcode(file.read(), target)

    def _transmit(
        self, context_id: int, item: Outgoing, data: Buffer, alive: Callable[[], None]
    ) -> None:
        wire = self.assoc.upper.wire
        max_pdu = self.assoc.dimse.maximum_pdu_size
        origin = self._originator
        request = command.c_store_rq(
            self._message_id,
            item.sop_class_uid,
            item.sop_instance_uid,
            item.priority,
            originator=(origin.aet, origin.message_id) if origin else None,
        )
        parts: list[bytes | memoryview] = [command.pdus(context_id, request, max_pdu, command=True)]
        room = (max_pdu or self.assoc.limits.max_pdu) - 6 & ~1  # PS3.8 E.1: fragments are even
        batch = min(max(1, BATCH // room), MAX_FRAGMENTS)
        starts = range(dataset_offset(data), len(data), room)
        view = memoryview(data)
        for number, start in enumerate(starts):
            last = start == starts[-1]
            piece = view[start : start + room]
            # PS3.5 A.5: a deflated data set of odd length goes with a NUL behind it
            pad = bytes(len(piece) % 2 if item.transfer_syntax_uid == DEFLATED_LE else 0)
            length = len(piece) + len(pad)
            header = command.p_data_header(context_id, length, command=False, last=last)
            parts += [header, piece, pad]
            if last or number % batch == batch - 1:
                reach("send.fragment")
                wire.send_parts(parts)
                parts = []
                alive()

    def _response(self) -> Outcome:
        seconds = self.assoc.dimse_timeout or self.assoc.limits.idle
        deadline = time.monotonic() + seconds
        upper = self.assoc.upper
        while not self._responses:
            if not upper.pump(deadline):
                raise LostError("no response in time", code="no_response")
            if upper.wire.error is not None:
                raise upper.wire.error
            if not upper.to_user_queue.empty():
                raise LostError("the peer ended the association", code="aborted")
        response = self._responses.popleft()
        if (
            response.field != command.C_STORE_RSP
            or response.message_id != self._message_id
            or response.status is None
        ):
            raise LostError("a response to something else", code="response")
        return status.outcome(response.status)


def dataset_offset(data: Buffer) -> int:
    """Return where the data set of a Part 10 file begins (PS3.10 7.1).

    :raises UnreadableError: its meta information is malformed.
    """
    return leading(data, META, _DICM)[-1].end


def _contents(item: Outgoing) -> Buffer:
    """Return a file's bytes, mapped where there is a file beneath."""
    with item.open() as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except io.UnsupportedOperation:
            return file.read()


def no_class() -> Refused:
    """Return what becomes of an object whose class the peer does not take."""
    return Refused("SOP class not accepted", status.CLASS_NOT_SUPPORTED)

"""Storage SCU: sends Part 10 files over a kept-open association, byte for byte.

pynetdicom negotiates; the data set goes from the mapped file to the socket,
many fragments to a system call, and no decoder sees it. A C-STORE that was not
answered is unknown, not failed: it is sent again.
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
from node.dicom.requestor import NoContextError, PeerRejectedError, abort, release
from node.dicom.wire import LostError
from node.errors import UnreachableError
from node.types import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.dicom.elements import Buffer
    from node.dicom.requestor import Requestor
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


class UnansweredError(UnreachableError):
    """An object was sent and not answered: it may or may not have arrived."""


class StorageScu:
    """Sends to one destination, one object at a time. Not for several threads.

    :param transcode: turns a Part 10 file into another native transfer syntax
        without loss; None to refuse what the peer takes only so.
    :param keep: seconds that an unused association stays open.
    """

    def __init__(
        self, requestor: Requestor, *, transcode: Transcode | None = None, keep: float = 5.0
    ) -> None:
        self._requestor = requestor
        self._limits = requestor.limits
        self._transcode = transcode
        self._keep = keep
        self._assoc: Synchronous | None = None
        self._expected: list[tuple[str, str]] = []
        self._proposed: list[tuple[str, str]] = []
        self._accepted: dict[tuple[str, str], int] = {}
        self._responses: deque[command.Command] = deque()
        self._message_id = 0
        self._used = 0.0

    def expect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Say which (SOP class, transfer syntax) will be sent next.

        The next association negotiates all of them, up to the 128 that fit.
        """
        self._expected = list(pairs)

    def send(self, item: Outgoing, *, alive: Callable[[], None] = lambda: None) -> Outcome:
        """Send one object and return what became of it.

        :param alive: called every now and then while a big object is sent; what
            it raises ends the association.
        :raises PeerRejectedError: the destination does not want the association.
        :raises UnansweredError: the association was lost before the answer.
        :raises UnreachableError: there is no association; nothing was sent.
        """
        try:
            assoc = self._association(item.pair)
        except NoContextError:
            return _no_class()
        fitted = self._fit(item)
        if isinstance(fitted, Refused):
            return fitted
        context_id, data = fitted
        self._message_id = self._message_id % 0xFFFF + 1
        answered = False
        try:
            self._transmit(assoc, context_id, item, data, alive)
            response = self._response(assoc)
            answered = True
        except LostError as error:
            raise UnansweredError(f"no answer: {error}", code=error.code) from error
        finally:
            if not answered:  # half an object may be under way: nothing fits behind it
                self._assoc = None
                abort(assoc)
        self._used = time.monotonic()
        return response

    def idle(self) -> None:
        """Release the association if it was not used for a while."""
        if self._assoc is not None and time.monotonic() - self._used >= self._keep:
            self.close()

    def close(self) -> None:
        """Release the association."""
        if self._assoc is not None:
            assoc, self._assoc = self._assoc, None
            release(assoc)

    def echo(self) -> Outcome:
        """Verify the destination by C-ECHO, on an association of its own.

        :raises UnreachableError: nobody is there, or nobody answers.
        """
        return echo(self._requestor)

    def _association(self, pair: tuple[str, str]) -> Synchronous:
        """Return an association that proposed a pair, the open one if it did."""
        if self._assoc is not None:
            # an idle peer says something only to end the association
            if pair in self._proposed and not self._assoc.upper.wire.ready:
                return self._assoc
            self.close()
        # what was proposed before comes along, so that mixed batches share an association
        proposed = contexts.batch([pair, *self._expected, *self._proposed])
        self._proposed = [(str(cx.abstract_syntax), cx.transfer_syntax[0]) for cx in proposed]
        assoc = self._requestor.associate(proposed)
        self._responses.clear()
        assoc.messages.responses = self._responses
        self._accepted = {
            (str(cx.abstract_syntax), str(cx.transfer_syntax[0])): cx.context_id or 0
            for cx in assoc.accepted_contexts
        }
        self._assoc = assoc
        self._used = time.monotonic()
        return assoc

    def _fit(self, item: Outgoing) -> tuple[int, Buffer] | Refused:
        """Choose a context for an object, and convert the object if it must be."""
        context_id = self._accepted.get(item.pair)
        if context_id is not None:
            return context_id, _contents(item)
        syntaxes = [syntax for cls, syntax in self._accepted if cls == item.sop_class_uid]
        if not syntaxes:
            return _no_class()
        target = next((syntax for syntax in contexts.NATIVE_LE if syntax in syntaxes), None)
        if self._transcode is None or target is None:
            return Refused("transfer syntax not accepted")
        with item.open() as file:
            return self._accepted[item.sop_class_uid, target], self._transcode(file.read(), target)

    def _transmit(
        self,
        assoc: Synchronous,
        context_id: int,
        item: Outgoing,
        data: Buffer,
        alive: Callable[[], None],
    ) -> None:
        wire = assoc.upper.wire
        max_pdu = assoc.dimse.maximum_pdu_size
        request = command.c_store_rq(
            self._message_id, item.sop_class_uid, item.sop_instance_uid, item.priority
        )
        parts: list[bytes | memoryview] = [command.pdus(context_id, request, max_pdu, command=True)]
        room = (max_pdu or self._limits.max_pdu) - 6 & ~1  # PS3.8 E.1: fragments are even
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
                wire.send_parts(parts)
                parts = []
                alive()

    def _response(self, assoc: Synchronous) -> Outcome:
        seconds = assoc.dimse_timeout or self._limits.idle
        deadline = time.monotonic() + seconds
        upper = assoc.upper
        while not self._responses:
            if not upper.pump(deadline):
                raise LostError("no response in time", code="no_response")
            if upper.wire.error is not None:
                raise upper.wire.error
            if not upper.to_user_queue.empty():
                raise LostError("the destination ended the association", code="aborted")
        response = self._responses.popleft()
        if (
            response.field != command.C_STORE_RSP
            or response.message_id != self._message_id
            or response.status is None
        ):
            raise LostError("a response to something else", code="response")
        return status.outcome(response.status)


def echo(requestor: Requestor) -> Outcome:
    """Verify a destination by C-ECHO (PS3.4 Annex A).

    :raises UnreachableError: nobody is there, or nobody answers.
    """
    try:
        assoc = requestor.associate(contexts.verification())
    except PeerRejectedError as error:
        return error.outcome
    except NoContextError as error:
        return Refused(str(error))
    answer = assoc.send_c_echo()
    release(assoc)
    if "Status" not in answer:
        raise UnreachableError("the destination does not answer C-ECHO", code="no_response")
    return status.outcome(answer.Status)


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


def _no_class() -> Refused:
    return Refused("SOP class not accepted", status.CLASS_NOT_SUPPORTED)

"""Storage SCU: sends Part 10 files over a kept-open association, byte for byte.

pynetdicom negotiates; :mod:`node.dicom.sending` moves the data. A C-STORE that
was not answered is unknown, not failed: it is sent again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from node.dicom import contexts, status
from node.dicom.requestor import NoContextError, PeerRejectedError, abort, release
from node.dicom.sending import Sending, no_class
from node.dicom.wire import LostError
from node.errors import UnreachableError
from node.types import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.dicom.requestor import Requestor
    from node.dicom.sending import Originator, Outgoing, Transcode
    from node.types import Outcome


class UnansweredError(UnreachableError):
    """An object was sent and not answered: it may or may not have arrived."""


class StorageScu:
    """Sends to one destination, one object at a time. Not for several threads.

    :param transcode: turns a Part 10 file into another native transfer syntax
        without loss; None to refuse what the peer takes only so.
    :param keep: seconds that an unused association stays open.
    """

    def __init__(
        self,
        requestor: Requestor,
        *,
        transcode: Transcode | None = None,
        originator: Originator | None = None,
        keep: float = 5.0,
    ) -> None:
        self._requestor = requestor
        self._transcode = transcode
        self._originator = originator
        self._keep = keep
        self._sending: Sending | None = None
        self._expected: list[tuple[str, str]] = []
        self._proposed: list[tuple[str, str]] = []
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
            sending = self._association(item.pair)
        except NoContextError:
            return no_class()
        answered = False
        try:
            response = sending.send(item, alive=alive)
            answered = True
        except LostError as error:
            raise UnansweredError(f"no answer: {error}", code=error.code) from error
        finally:
            if not answered:  # half an object may be under way: nothing fits behind it
                self._sending = None
                abort(sending.assoc)
        self._used = time.monotonic()
        return response

    def idle(self) -> None:
        """Release the association if it was not used for a while."""
        if self._sending is not None and time.monotonic() - self._used >= self._keep:
            self.close()

    def close(self) -> None:
        """Release the association."""
        if self._sending is not None:
            sending, self._sending = self._sending, None
            release(sending.assoc)

    def echo(self) -> Outcome:
        """Verify the destination by C-ECHO, on an association of its own.

        :raises UnreachableError: nobody is there, or nobody answers.
        """
        return echo(self._requestor)

    def _association(self, pair: tuple[str, str]) -> Sending:
        """Return what sends on an association that proposed a pair, the open one if it did."""
        if self._sending is not None:
            # an idle peer says something only to end the association
            if pair in self._proposed and not self._sending.assoc.upper.wire.ready:
                return self._sending
            self.close()
        # what was proposed before comes along, so that mixed batches share an association
        proposed = contexts.batch([pair, *self._expected, *self._proposed])
        self._proposed = [(str(cx.abstract_syntax), cx.transfer_syntax[0]) for cx in proposed]
        self._sending = Sending(
            self._requestor.associate(proposed),
            transcode=self._transcode,
            originator=self._originator,
        )
        self._used = time.monotonic()
        return self._sending


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

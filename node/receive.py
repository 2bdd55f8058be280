"""Stage 1: bytes as received -> Instance -> Decision -> spool -> status.

Success is answered only when the object is durable and its rows are committed.
Until then the modality keeps its copy; a resend is always safe.

SECURITY: holds no keys but the public one of the audit officer. Nothing here
changes a byte of the data set, and no name, path or log line is made from one.
"""

from __future__ import annotations

import hmac
import threading
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from node.dicom import reader, status
from node.dicom.identity import collect
from node.dicom.scp import RejectedError
from node.errors import RefusedError
from node.failpoint import reach
from node.types import Action, Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.accounts.about import Patients
    from node.config.config import Workstation
    from node.dicom.scp import StoreRequest
    from node.spool.base import BlobStore, Ledger
    from node.types import Decision, Destination, Instance, Login, Peer, Source

    Facts = dict[str, str | int | float]

QUIET = 60.0  # seconds in which an address causes one audit event of refusal
MAX_QUIET = 1024  # addresses remembered for that

_log = structlog.get_logger()


class StorageReceiver:
    """Takes objects in for the node; one for all associations, from any thread.

    :param decide: says what happens to an instance; reads nothing else.
    :param source_of: names the listed source that a peer is, or None.
    :param workstation_of: names the listed workstation that a peer is, or None.
    :param destination_of: names the listed destination that may report to the
        node, or None.
    :param passcode_of: reads the passcode file of a path; OSError if it cannot.
    :param called_aets: AE titles that the node answers to.
    :param pseudonym: turns a UID into what events and logs may say.
    :param patients: notes whom an object is about, for the audit officer alone.
    :param ring: wakes stage 2 after an object was accepted.
    :param clock: seconds since the epoch, UTC.
    """

    def __init__(
        self,
        *,
        blobs: BlobStore,
        ledger: Ledger,
        decide: Callable[[Instance], Decision],
        source_of: Callable[[Peer, tuple[str, ...]], Source | None],
        called_aets: frozenset[str],
        workstation_of: Callable[[Peer, tuple[str, ...]], Workstation | None] = lambda *_: None,
        destination_of: Callable[[Peer], Destination | None] = lambda _: None,
        passcode_of: Callable[[str], bytes] = lambda _: b"",
        pseudonym: Callable[[str], str],
        patients: Patients,
        ring: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.blobs = blobs
        self.ledger = ledger
        self.decide = decide
        self.pseudonym = pseudonym
        self.patients = patients
        self.ring = ring
        self.clock = clock
        # a deflated data set takes the memory of the inflated one: one at a time
        self.inflating = threading.Lock()
        self._source_of = source_of
        self._workstation_of = workstation_of
        self._destination_of = destination_of
        self._passcode_of = passcode_of
        self._called_aets = called_aets
        self._told: dict[str, float] = {}

    def admit(self, peer: Peer, names: tuple[str, ...], login: Login | None = None) -> Peer:
        """Let a listed peer in while there is room.

        :raises RejectedError: it is not listed, calls another, did not log in as
            it must, or the spool is full.
        """
        if peer.called_aet not in self._called_aets:
            self._alert(peer, status.CALLED_UNKNOWN.code)
            raise RejectedError(status.CALLED_UNKNOWN)
        source, workstation = self._source_of(peer, names), self._workstation_of(peer, names)
        destination = self._destination_of(peer)
        if source is None and workstation is None and destination is None:
            self._alert(peer, status.CALLING_UNKNOWN.code)
            raise RejectedError(status.CALLING_UNKNOWN)
        if not all(self._known(listed, login) for listed in (source, workstation) if listed):
            self._alert(peer, status.USER_UNKNOWN.code)
            raise RejectedError(status.USER_UNKNOWN)
        # what a destination has to say may make room; an object is refused when it comes
        if source is not None and destination is None and self.blobs.free() <= 0:
            raise RejectedError(status.CONGESTED)
        return replace(
            peer,
            source=source.name if source else "",
            workstation=workstation.name if workstation else "",
            destination=destination.name if destination else "",
        )

    def begin(self, request: StoreRequest) -> Receipt:
        """Start to receive an object into the spool.

        :raises RefusedError: the peer may ask, but not send.
        :raises SpoolFullError: there is no room.
        """
        peer = request.peer
        if (peer.workstation or peer.destination) and not peer.source:
            raise RefusedError("this peer is no source", code="no_source")
        return Receipt(self, request)

    def _known(self, listed: Source | Workstation, login: Login | None) -> bool:
        """Whether a peer logged in as its entry demands (PS3.7 D.3.3.7)."""
        if not listed.user:
            return True
        if login is None or login.user != listed.user:
            return False
        if not listed.passcode:
            return True
        try:
            passcode = self._passcode_of(listed.passcode)
        except OSError:
            _log.error("passcode_unreadable", name=listed.name)
            return False
        return hmac.compare_digest(passcode, login.passcode)

    def _alert(self, peer: Peer, code: str) -> None:
        """Tell the audit log about a stranger, but not as often as the stranger calls."""
        now = self.clock()
        if now - self._told.get(peer.address, -QUIET) < QUIET:
            return
        if len(self._told) >= MAX_QUIET:
            self._told.clear()
        self._told[peer.address] = now
        facts: dict[str, str | int | float] = {
            "address": peer.address,
            "called_aet": peer.called_aet,
            "code": code,
        }
        self.ledger.record(
            Event("peer_rejected", actor=peer.calling_aet, outcome="refused", facts=facts)
        )


class Receipt:
    """One object on its way into the spool.

    :raises SpoolFullError: there is no room.
    """

    def __init__(self, receiver: StorageReceiver, request: StoreRequest) -> None:
        self._receiver = receiver
        self._request = request
        self._received_at = receiver.clock()
        header = reader.part10_header(
            request.sop_class_uid,
            request.sop_instance_uid,
            request.transfer_syntax_uid,
        )  # without the sender's AE title: the same object from another peer is a duplicate
        self._size = len(header)
        with ExitStack() as stack:
            self._incoming = stack.enter_context(receiver.blobs.put())
            self._incoming.write(header)
            self._stack = stack.pop_all()

    def write(self, data: memoryview) -> None:
        """Append to the partial blob.

        :raises SpoolFullError: the disk refuses.
        """
        self._incoming.write(data)
        self._size += len(data)

    def finish(self) -> status.Answer:
        """Make the object durable, record it, and only then say success.

        :raises UnreadableError: it cannot be parsed.
        :raises MismatchError: it is not what the command announced.
        :raises RefusedError: its route refuses it.
        :raises SpoolFullError: disk or database refuse.
        """
        receiver, request = self._receiver, self._request
        reach("receive.whole")
        with self._stack:
            described, about = self._describe()
            decision = receiver.decide(described)
            event = self._event(described, decision, about)
            if decision.action is Action.REFUSE:
                receiver.ledger.record(replace(event, event="instance_refused", outcome="refused"))
                raise RefusedError("the route refuses the object")
            reach("receive.decided")
            instance = replace(described, blob=self._incoming.commit())
            reach("receive.durable")
            accepted = receiver.ledger.accept(instance, decision, event)
            reach("receive.accepted")
        receiver.ring()
        level = "warning" if accepted.kind == "conflict" else "info"
        getattr(_log, level)(
            "instance_accepted",
            object=event.object,
            source=request.peer.source,
            route=event.facts["route"],
            entry=accepted.entry,
            kind=accepted.kind,
            size=self._size,
        )
        return status.Answer(status.SUCCESS)

    def abandon(self) -> None:
        """Remove the partial blob."""
        self._stack.close()

    def _describe(self) -> tuple[Instance, Facts]:
        """Parse the object within the reader's bounds; pixels are not touched.

        :returns: what it is, and for the audit log alone, sealed, whom it is about.
        """
        request = self._request
        deflated = request.transfer_syntax_uid == reader.DEFLATED_LE
        with (
            self._receiver.inflating if deflated else nullcontext(),
            self._incoming.mapped() as data,
        ):
            obj = reader.read(data)
            reader.check_command(obj, request.sop_class_uid, request.sop_instance_uid)
            described = reader.describe(obj, "", self._size, request.peer, self._received_at)
            return described, self._receiver.patients.seal(self._received_at, collect(obj))

    def _event(self, instance: Instance, decision: Decision, about: Facts) -> Event:
        facts: Facts = about | {
            "route": decision.route.name if decision.route else "",
            "action": decision.action.value,
            "source": instance.peer.source,
            "size": instance.size,
            "to": ",".join(decision.route.to) if decision.route else "",
        }
        if decision.route and decision.route.to:
            facts["to"] = ",".join(decision.route.to)
        return Event(
            "instance_accepted",
            object=self._receiver.pseudonym(instance.sop_instance_uid),
            actor=instance.peer.calling_aet,
            facts=facts,
        )

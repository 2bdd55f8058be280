"""Both sides of Storage Commitment, for tests: a PACS that commits, a modality that asks.

On stock pynetdicom: nothing of ours is trusted to speak with itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom import sop_class as sop
from running import listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Pairs = list[tuple[str, str]]
PUSH = sop.StorageCommitmentPushModel
INSTANCE = sop.StorageCommitmentPushModelInstance


@dataclass
class Said:
    """What was said of one transaction: (class, instance), and what failed by instance."""

    transaction_uid: str
    event_type: int = 0
    committed: Pairs = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)


def information(said: Said) -> Dataset:
    """Return Action or Event Information."""
    found = Dataset()
    found.TransactionUID = said.transaction_uid
    lists: dict[str, Iterable[tuple[str, str, int | None]]] = {
        "ReferencedSOPSequence": [(cls, uid, None) for cls, uid in said.committed],
        "FailedSOPSequence": [("1.2", uid, code) for uid, code in said.failed.items()],
    }
    for keyword, listed in lists.items():
        items = []
        for cls, uid, code in listed:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = cls, uid
            if code is not None:
                item.FailureReason = code
            items.append(item)
        if items:
            setattr(found, keyword, items)
    return found


def read(found: Dataset, event_type: int = 0) -> Said:
    """Read what :func:`information` wrote."""
    pairs = [
        (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for item in found.get("ReferencedSOPSequence", [])
    ]
    failed = {
        str(item.ReferencedSOPInstanceUID): int(item.FailureReason)
        for item in found.get("FailedSOPSequence", [])
    }
    return Said(str(found.TransactionUID), event_type, pairs, failed)


class Peer:
    """An AE that listens on a port of the loopback interface.

    :param offers: whether it accepts Storage Commitment.
    """

    def __init__(self, aet: str, *, port: int = 0, offers: bool = True) -> None:
        self.aet = aet
        self._port = port
        self.offers = offers
        self.heard: list[Said] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        ae = AE(self.aet)
        ae.add_supported_context(sop.Verification)
        self._support(ae)
        handlers = [(evt.EVT_N_ACTION, self._action), (evt.EVT_N_EVENT_REPORT, self._event)]
        handlers.append((evt.EVT_C_STORE, self._store))
        self._server = ae.start_server(
            ("127.0.0.1", self._port), block=False, evt_handlers=handlers
        )
        return self

    def __exit__(self, *exc: object) -> None:
        for thread in self._threads:
            thread.join()
        self._server.shutdown()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def _support(self, ae: AE) -> None:
        raise NotImplementedError

    def _store(self, _: Any) -> int:
        return 0x0000

    def _action(self, _: Any) -> tuple[int, None]:
        return 0x0211, None

    def _event(self, _: Any) -> tuple[int, None]:
        return 0x0211, None


class Pacs(Peer):
    """A PACS that takes everything and commits as it is told.

    :param reply: ``"same"`` or ``"new"`` association, or ``"none"``.
    :param word: what it says to a request; commits to everything unless given.
    :param answer: its status to a request.
    """

    def __init__(self, aet: str = "PACS", *, reply: str = "none", **more: Any) -> None:
        super().__init__(aet, **more)
        self.reply = reply
        self.node_port = 0
        self.word: Callable[[Said], Said] = lambda asked: Said(
            asked.transaction_uid, 1, asked.committed
        )
        self.answer = 0x0000
        self.stored: list[str] = []
        self.answered: list[int] = []

    def report(self, said: Said, *, aet: str = "", role: bool = True, port: int = 0) -> int | None:
        """Report on an association of its own; return the node's status, None if it has none."""
        ae = AE(aet or self.aet)
        ae.add_requested_context(PUSH)
        roles = [build_role(PUSH, scp_role=True)] if role else []
        assoc = ae.associate(
            "127.0.0.1", port or self.node_port, ae_title="SEALNODE", ext_neg=roles
        )
        if not assoc.is_established:
            return None
        if not role:  # a peer that reports as if it were the SCP without asking to be
            for context in assoc.accepted_contexts:
                context._as_scp = True
        try:
            return self._send(assoc, said)
        finally:
            assoc.release()

    def _report_when_heard(self, said: Said) -> None:
        if self.node_port:  # a node that starts may ask before it listens
            wait_for(lambda: listening(self.node_port))
        self.report(said)

    def _send(self, assoc: Any, said: Said) -> int | None:
        status, _ = assoc.send_n_event_report(information(said), said.event_type, PUSH, INSTANCE)
        value = int(status.Status) if "Status" in status else None
        self.answered.append(-1 if value is None else value)
        return value

    def _support(self, ae: AE) -> None:
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax)
        if self.offers:
            ae.add_supported_context(PUSH)

    def _store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _action(self, event: Any) -> tuple[int, None]:
        asked = read(event.action_information)
        self.heard.append(asked)
        if self.answer == 0 and self.reply != "none":
            said = self.word(asked)
            work = (
                (lambda: self._send(event.assoc, said))
                if self.reply == "same"
                else (lambda: self._report_when_heard(said))
            )
            thread = threading.Timer(0.05, work)
            self._threads.append(thread)
            thread.start()
        return self.answer, None


class Modality(Peer):
    """A modality that asks the node to commit, and hears what it says.

    :param answer: its status to a report.
    :param role: whether it lets the node be the SCP when that asks to.
    """

    def __init__(self, aet: str = "DEMO", *, role: bool = True, **more: Any) -> None:
        super().__init__(aet, **more)
        self.role = role
        self.asked_to_be_scp: list[bool] = []
        self.answer = 0x0000

    def ask(self, port: int, transaction_uid: str, references: Pairs, **odd: Any) -> int | None:
        """Ask; return the node's status, None if it offers no commitment, or does not answer."""
        ae = AE(self.aet)
        ae.add_requested_context(PUSH)
        assoc = ae.associate("127.0.0.1", port, ae_title="SEALNODE")
        if not assoc.is_established:
            return None
        asked = odd.get("information") or information(Said(transaction_uid, 0, references))
        try:
            status, _ = assoc.send_n_action(
                asked, odd.get("action", 1), PUSH, UID(odd.get("instance", INSTANCE))
            )
        finally:
            assoc.release()
        return int(status.Status) if "Status" in status else None

    def _support(self, ae: AE) -> None:
        if self.offers and self.role:
            ae.add_supported_context(PUSH, scu_role=False, scp_role=True)
        elif self.offers:
            ae.add_supported_context(PUSH)

    def _event(self, event: Any) -> tuple[int, None]:
        self.heard.append(read(event.event_information, event.event_type))
        roles = event.assoc.requestor.role_selection.get(PUSH)
        self.asked_to_be_scp.append(bool(roles and roles.scp_role and not roles.scu_role))
        return self.answer, None

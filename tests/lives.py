"""Objects that go through a ledger and an audit log, as the stages would have it."""

from __future__ import annotations

from node.accounts.history import History
from node.audit.log import JsonLog
from node.crypto.pseudonym import Pseudonymizer
from node.reap import drain
from node.spool.memory import MemoryLedger
from node.types import Action, Decision, DeliveryState, Event, Instance, Route

START = 1_700_000_000.0
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
PSEUDONYM = Pseudonymizer(b"p" * 32).pseudonym


class World:
    """A ledger, an audit log, and objects that go through them."""

    def __init__(self, folder):
        self.now = START
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.folder = folder / "audit"
        self.log = JsonLog(self.folder, clock=lambda: self.now)

    def event(self, name, uid="", outcome="success", **facts):
        self.now += 1
        return Event(name, PSEUDONYM(uid) if uid else "", "CT1", outcome, facts)

    def accept(self, uid, decision=RULE):
        instance = Instance(
            "1.2", uid, "2", "3", "1.2.840.10008.1.2.1", f"blob{uid}", 5, received_at=self.now
        )
        route = decision.route
        event = self.event(
            "instance_accepted", uid, route=route.name if route else "",
            to=",".join(route.to) if route else "",
        )  # fmt: skip
        return self.ledger.accept(instance, decision, event).entry

    def deliver(self, uid, sent_as="", **settled):
        entry = self.accept(uid)
        [claim] = self.ledger.claim_entries("p", limit=1, lease=60)
        self.ledger.ready(
            claim,
            f"sealed{uid}",
            sop_class_uid="1.2",
            sop_instance_uid=sent_as or uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            event=self.event("entry_sealed", uid, entry=entry),
        )
        [claim] = self.ledger.claim_deliveries("f", "pacs", limit=1, lease=60)
        event = self.event("delivery_sent", sent_as or uid, entry=entry, destination="pacs")
        self.ledger.settle(claim, DeliveryState.SENT, "", event, **settled)
        return entry

    def forget(self, entry, **facts):
        facts = {"entry": entry, "state": "done"} | facts
        self.ledger.forget(entry, self.event("entry_forgotten", **facts))
        drain(self.ledger, self.log)

    def history(self):
        return History(self.ledger, self.folder)

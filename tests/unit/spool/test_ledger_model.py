"""The ledger in SQLite does, step by step, what the one in memory does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.errors import StaleClaimError, UsageError
from node.spool.aftercare import Finding
from node.spool.commitment import Ruling
from node.spool.memory import MemoryLedger
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, DeliveryState, EntryState, Event, Instance, Part, Route

UIDS = st.sampled_from(["1.1", "1.2", "1.3", "1.4"])
BLOBS = st.sampled_from(["a" * 64, "b" * 64, "c" * 64])
WORKERS = st.sampled_from(["w1", "w2"])
ENTRIES = st.integers(1, 8)
DESTINATIONS = st.sampled_from(["pacs", "research"])
DECISIONS = st.one_of(
    st.just(Decision(None, Action.HOLD, ())),
    st.builds(
        lambda action, to, priority, threshold: Decision(
            Route("r", {}, action, tuple(to), priority=priority, threshold=threshold), action, ()
        ),
        st.sampled_from([Action.SEAL, Action.SEAL, Action.RELAY, Action.HOLD]),
        st.lists(DESTINATIONS, max_size=3),
        st.integers(0, 2),
        st.sampled_from([0, 0, 2]),
    ),
)


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Twins(RuleBasedStateMachine):
    """Both ledgers get the same calls; they must answer and look the same."""

    @initialize()
    def open(self):
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.ledgers = [
            SqliteLedger(self.folder / "ledger.db", clock=self.clock),
            MemoryLedger(clock=self.clock),
        ]
        self.entry_claims = []
        self.delivery_claims = []

    def teardown(self):
        if hasattr(self, "folder"):
            self.ledgers[0].close()
            shutil.rmtree(self.folder)

    def both(self, method, *args, **kwargs):
        """Call both, compare what they return or raise, and return it."""
        answers = []
        for ledger in self.ledgers:
            try:
                answers.append(getattr(ledger, method)(*args, **kwargs))
            except (KeyError, UsageError, StaleClaimError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1], method
        return answers[0]

    @rule(uid=UIDS, blob=BLOBS, decision=DECISIONS)
    def accept(self, uid, blob, decision):
        self.both("accept", Instance("1", uid, "2", "3", "4", blob, 9), decision, Event("accepted"))

    @rule(worker=WORKERS, limit=st.integers(1, 3), lease=st.sampled_from([10.0, 1e6]))
    def claim_entries(self, worker, limit, lease):
        self.entry_claims += self.both("claim_entries", worker, limit=limit, lease=lease)

    @rule(worker=WORKERS, destination=DESTINATIONS, limit=st.integers(1, 3))
    def claim_deliveries(self, worker, destination, limit):
        self.delivery_claims += self.both(
            "claim_deliveries", worker, destination, limit=limit, lease=60.0
        )

    @rule(data=st.data(), sealed=BLOBS)
    def ready(self, data, sealed):
        if self.entry_claims:
            claim = data.draw(st.sampled_from(self.entry_claims))
            there = self.both("get", claim.entry.id)
            wanted = [] if isinstance(there, type) else [d.share for d in there[1] if d.share]
            parts = [
                Part(share, f"{share}{sealed[:63]}", "8", f"9.{share}", "7", Event("made"))
                for share in wanted
            ][: data.draw(st.sampled_from([9, 9, 1]))]
            self.both(
                "ready", claim, sealed, sop_class_uid="5", sop_instance_uid="6",
                transfer_syntax_uid="7", event=Event("sealed"), parts=parts,
            )  # fmt: skip

    @rule(data=st.data(), state=st.sampled_from([EntryState.HELD, EntryState.PARKED]))
    def set_aside(self, data, state):
        if self.entry_claims:
            claim = data.draw(st.sampled_from(self.entry_claims))
            self.both("set_aside", claim, state, "why", Event("set_aside"))

    @rule(data=st.data(), delay=st.sampled_from([0.0, 5.0, 900.0, 1e9]), crash=st.booleans())
    def retry(self, data, delay, crash):
        if self.entry_claims:
            claim = data.draw(st.sampled_from(self.entry_claims))
            self.both("retry_entry", claim, delay, "later", Event("deferred"), crash=crash)
        if self.delivery_claims:
            claim = data.draw(st.sampled_from(self.delivery_claims))
            self.both("retry_delivery", claim, delay, "later", Event("deferred"), crash=crash)

    @rule(
        data=st.data(),
        state=st.sampled_from([DeliveryState.SENT, DeliveryState.SENT, DeliveryState.PARKED]),
        readback_in=st.sampled_from([None, 0.0, 20.0, 2000.0]),
        commit_in=st.sampled_from([None, 0.0, 20.0]),
    )
    def settle(self, data, state, readback_in, commit_in):
        if self.delivery_claims:
            claim = data.draw(st.sampled_from(self.delivery_claims))
            sent = state is DeliveryState.SENT
            self.both(
                "settle", claim, state, "why", Event("settled"),
                readback_in=readback_in if sent else None, commit_in=commit_in if sent else None,
            )  # fmt: skip

    @rule(destination=DESTINATIONS, transaction=st.sampled_from(["8.1", "8.2"]))
    def ask_for_commitment(self, destination, transaction):
        claims = self.both("claim_commitments", "c", destination, limit=2, lease=60.0)
        if claims:
            self.both("asking", claims, transaction, 30.0, Event("asked"))

    @rule(
        destination=DESTINATIONS,
        transaction=st.sampled_from(["8.1", "8.2"]),
        ruling=st.sampled_from(
            [
                Ruling(Event("ruled")),
                Ruling(Event("ruled"), DeliveryState.SENT, "later", 9.0),
                Ruling(Event("ruled"), DeliveryState.PENDING, "lost"),
                Ruling(Event("ruled"), DeliveryState.PARKED, "never"),
            ]
        ),
    )
    def rule_on_commitment(self, destination, transaction, ruling):
        self.both("transaction", destination, transaction)
        self.both("await_report", transaction, 50.0)
        self.both("rule", destination, transaction, {"6": ruling})
        self.both("owed")

    @rule(destination=DESTINATIONS)
    def forgo_commitments(self, destination):
        self.both("forgo_commitments", destination)

    @rule(delivery=ENTRIES)
    def hasten(self, delivery):
        self.both("hasten", delivery)

    @rule(source=WORKERS, uids=st.lists(UIDS, min_size=1, max_size=3), number=st.integers(1, 3))
    def promise(self, source, uids, number):
        self.both("promise", source, "7.7", [("1", uid) for uid in uids], Event("promised"))
        self.both("put_off", number, 5.0, tried=bool(number % 2))
        if number == 3:
            self.both("keep_promise", 1, Event("kept"))

    @rule(worker=WORKERS, destination=DESTINATIONS, limit=st.integers(1, 3))
    def claim_readbacks(self, worker, destination, limit):
        self.delivery_claims += self.both(
            "claim_readbacks", worker, destination, limit=limit, lease=60.0
        )

    @rule(
        data=st.data(),
        state=st.sampled_from(
            [DeliveryState.VERIFIED, DeliveryState.PENDING, DeliveryState.PARKED]
        ),
    )
    def judge(self, data, state):
        if self.delivery_claims:
            claim = data.draw(st.sampled_from(self.delivery_claims))
            self.both("judge", claim, state, "why", Finding("pacs", "CT", "X"), Event("judged"))

    @rule(data=st.data())
    def extend_or_release(self, data):
        claims = [*self.entry_claims, *self.delivery_claims]
        if claims:
            some = data.draw(st.lists(st.sampled_from(claims), max_size=3))
            self.both("extend", some, 30.0)
            if data.draw(st.booleans()):
                self.both("release", some)

    @rule(worker=WORKERS)
    def release_worker(self, worker):
        self.both("release_worker", worker)

    @rule(seconds=st.sampled_from([1.0, 30.0, 3600.0, -50.0, -1e6, 1e6]))
    def pass_time(self, seconds):
        self.clock.now += seconds
        self.both("release_expired")

    @rule(method=st.sampled_from(["hold", "park", "discard"]), entry=ENTRIES)
    def stop(self, method, entry):
        self.both(method, entry, "by_hand", Event(method))

    @rule(entry=ENTRIES)
    def remake(self, entry):
        self.both("remake", entry, Event("remade"))

    @rule(entry=ENTRIES, decision=st.one_of(st.none(), DECISIONS))
    def requeue(self, entry, decision):
        self.both("requeue", entry, decision, Event("requeued"))

    @rule(entry=ENTRIES)
    def forget(self, entry):
        self.both("forget", entry, Event("forgotten"))

    @rule(blob=BLOBS)
    def clear(self, blob):
        self.both("cleared", [blob])

    @rule(seq=st.integers(0, 20))
    def drain(self, seq):
        self.both("drained", seq)

    @rule(last=st.integers(0, 20))
    def renumber(self, last):
        self.both("renumber", last, Event("joined"))

    @rule(state=st.sampled_from([None, *EntryState]), destination=st.sampled_from(["", "pacs"]))
    def ask(self, state, destination):
        self.both("query", state=state, destination=destination)
        self.both("finished", before=self.clock.now, limit=3)

    @invariant()
    def they_look_the_same(self):
        if hasattr(self, "ledgers"):
            for entry in self.both("query", limit=100):
                self.both("get", entry.id)
            self.both("stats")
            self.both("found", since=0.0)
            self.both("promises", limit=9)
            self.both("outbox", limit=1000)
            self.both("garbage", limit=100)
            for blob in "abc":
                self.both("references", blob * 64)

    @invariant()
    def nothing_is_stuck(self):
        """What is READY still has something to send; what waits for nobody has ended."""
        if hasattr(self, "ledgers"):
            for entry in self.ledgers[1].query(limit=100):
                states = {delivery.state for delivery in self.ledgers[1].get(entry.id)[1]}
                unsent = states & {DeliveryState.WAITING, DeliveryState.PENDING}
                if entry.state is EntryState.READY:
                    assert DeliveryState.PENDING in states
                    assert DeliveryState.WAITING not in states
                if entry.state in {EntryState.DONE, EntryState.DISCARDED}:
                    assert not unsent
                for delivery in self.ledgers[1].get(entry.id)[1]:
                    assert delivery.readback_at is None or delivery.state is DeliveryState.SENT
                if entry.state is not EntryState.READY:
                    assert DeliveryState.PENDING not in states


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

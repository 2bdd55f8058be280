"""The ledger in one SQLite file: WAL, ``synchronous=FULL``, group commit.

Several processes may open the same file; it must lie on a local file system.
Changes go through one connection, reads through another that cannot write.

SECURITY: rows hold UIDs and routing facts, never a patient attribute.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from node.errors import StaleClaimError
from node.spool import states
from node.spool.base import Accepted, DeliveryClaim, EntryClaim, Sent
from node.spool.changing import key
from node.spool.rows import delivery_of, entry_of, instance_values
from node.spool.sqlite_commitment import SqliteCommitments
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import apsw

    from node.types import Decision, Event, Instance, Part


class SqliteLedger(SqliteCommitments):
    """A :class:`~node.spool.base.Ledger` in one file.

    :param path: the database; made if it is not there.
    :param clock: seconds since the epoch; all times in the ledger are its.
    :raises ConfigError: the file is of a newer version, or on a network disk.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(path, clock=clock)

    # What arrives ---------------------------------------------------------

    def accept(self, instance: Instance, decision: Decision, event: Event) -> Accepted:
        """Record an instance whose blob is durable, with one delivery per destination."""
        values = instance_values(instance)
        route, priority, threshold = states.route_of(decision)

        def change(db: apsw.Connection) -> Accepted:
            if same := self._do.rows(db, "find_same", values):
                accepted = Accepted(same[0]["id"], "duplicate")
            else:
                conflict = bool(self._do.rows(db, "find_other", values))
                state, reason = states.begin(decision, conflict=conflict)
                row = {
                    **values, "state": state.value, "reason": reason, "route": route,
                    "priority": priority, "threshold": threshold,
                    "action": decision.action.value, "now": self._now(),
                }  # fmt: skip
                entry = self._do.rows(db, "add_entry", row)[0]["id"]
                self._add_deliveries(db, entry, priority, states.destinations_of(decision))
                accepted = Accepted(entry, "conflict" if conflict else "new")
            self._add(db, states.annotated(event, accepted.entry, accepted.kind))
            return accepted

        return self._commit.run(change)

    # Work on entries ------------------------------------------------------

    def claim_entries(self, worker: str, *, limit: int, lease: float) -> list[EntryClaim]:
        """Lease RECEIVED entries that are due, highest priority and oldest first."""
        return [
            EntryClaim(entry_of(row), row["token"], row["crashes"] - 1)
            for row in self._claim("entry", {}, worker=worker, limit=limit, lease=lease)
        ]

    def ready(
        self,
        claim: EntryClaim,
        sealed: str,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        event: Event,
        parts: Sequence[Part] = (),
    ) -> None:
        """Record the object to send: entry READY, deliveries PENDING."""
        entry = claim.entry.id
        values = {
            "id": entry, "token": claim.token, "sealed": sealed, "sop_class_uid": sop_class_uid,
            "sop_instance_uid": sop_instance_uid, "transfer_syntax_uid": transfer_syntax_uid,
        }  # fmt: skip

        def change(db: apsw.Connection) -> None:
            self._do.fenced(db, "make_ready", values)
            self._put_shares(db, entry, parts)
            self._do.rows(db, "start_deliveries", {"entry": entry, "now": self._now()})
            self._finish(db, entry)
            for one in (event, *(part.event for part in parts)):
                self._add(db, one)

        self._commit.run(change)

    def retry_entry(
        self, claim: EntryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give an entry back, due in ``delay`` seconds."""
        self._defer(claim, delay, {"reason": reason, "crash": crash}, event)

    def set_aside(self, claim: EntryClaim, state: EntryState, reason: str, event: Event) -> None:
        """End the work on an entry as HELD or PARKED, for the reason given."""
        values = {
            "id": claim.entry.id, "token": claim.token, "state": state.value, "reason": reason,
        }  # fmt: skip

        def change(db: apsw.Connection) -> None:
            self._do.fenced(db, "set_aside", values)
            self._add(db, event)

        self._commit.run(change)

    # Work on deliveries ---------------------------------------------------

    def claim_deliveries(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease PENDING deliveries of one destination that are due, as above."""
        where = {"destination": destination}
        return [
            DeliveryClaim(delivery_of(row), row["token"], row["crashes"] - 1)
            for row in self._claim("delivery", where, worker=worker, limit=limit, lease=lease)
        ]

    def settle(
        self,
        claim: DeliveryClaim,
        state: DeliveryState,
        reason: str,
        event: Event,
        *,
        readback_in: float | None = None,
        commit_in: float | None = None,
    ) -> None:
        """End a delivery as SENT or PARKED; the last one ends its entry."""
        one = Sent(claim, reason, event, readback_in, commit_in)
        self._commit.run(lambda db: self._settle(db, one, state))

    def settle_sent(self, arrived: Sequence[Sent]) -> list[DeliveryClaim]:
        """End deliveries as SENT, all in one transaction; return those whose lease was lost."""

        def change(db: apsw.Connection) -> list[DeliveryClaim]:
            lost = []
            for one in arrived:
                try:
                    self._settle(db, one, DeliveryState.SENT)
                except StaleClaimError:  # nothing of it was changed
                    lost.append(one.claim)
            return lost

        return self._commit.run(change)

    def _settle(self, db: apsw.Connection, one: Sent, state: DeliveryState) -> None:
        readback, commit = one.readback_in, one.commit_in
        values = {
            "id": one.claim.delivery.id, "token": one.claim.token, "state": state.value,
            "reason": one.reason,
            "readback_at": None if readback is None else self._now() + readback,
            "commit_at": None if commit is None else self._now() + commit,
        }  # fmt: skip
        self._do.fenced(db, "settle_delivery", values)
        self._finish(db, one.claim.delivery.entry)
        self._add(db, one.event)

    def retry_delivery(
        self, claim: DeliveryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give a delivery back, due in ``delay`` seconds."""
        self._defer(claim, delay, {"reason": reason, "crash": crash}, event)

    # Leases ---------------------------------------------------------------

    def extend(self, claims: Sequence[EntryClaim | DeliveryClaim], lease: float) -> None:
        """Renew leases: all of them, or none."""

        def change(db: apsw.Connection) -> None:
            until = self._now() + min(lease, states.HORIZON_SECONDS)
            for kind, number, token in map(key, claims):
                values = {"id": number, "token": token, "until": until}
                self._do.fenced(db, f"extend_{kind}", values)

        self._commit.run(change)

    def release(self, claims: Sequence[EntryClaim | DeliveryClaim]) -> None:
        """Give back what was not begun; it counts as no attempt."""

        def change(db: apsw.Connection) -> None:
            for kind, number, token in map(key, claims):
                self._do.rows(db, f"release_{kind}", {"id": number, "token": token})

        self._commit.run(change)

    def release_expired(self) -> int:
        """Give back what dead workers held; return how many rows."""

        def change(db: apsw.Connection) -> int:
            now = self._now()
            limits = {"now": now, "horizon": now + states.HORIZON_SECONDS}
            count = self._do.count(db, "expire_entries", limits)
            count += self._do.count(db, "expire_deliveries", limits)
            self._do.rows(db, "clamp_entries", limits)
            self._do.rows(db, "clamp_deliveries", limits)
            return count

        return self._commit.run(change)

    def release_worker(self, worker: str) -> int:
        """Give back at once what one worker held; return how many rows."""

        def change(db: apsw.Connection) -> int:
            values = {"worker": worker}
            return self._do.count(db, "free_entries", values) + self._do.count(
                db, "free_deliveries", values
            )

        return self._commit.run(change)

    # What a person does ---------------------------------------------------

    def hold(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry and its unsent deliveries as HELD until :meth:`requeue`."""
        self._end(entry, EntryState.HELD, reason, event)

    def park(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry as :meth:`hold` does, but PARKED."""
        self._end(entry, EntryState.PARKED, reason, event)

    def discard(self, entry: int, reason: str, event: Event) -> None:
        """Mark an entry DISCARDED; its blobs become garbage after retention."""
        self._end(entry, EntryState.DISCARDED, reason, event)

    def remake(self, entry: int, event: Event, *, intact: bool = False) -> None:
        """Seal a READY entry again, since the object to send is gone or damaged."""

        def change(db: apsw.Connection) -> None:
            found = self._entry(db, entry)
            states.refuse_unready(entry, found.state)
            if found.sealed == found.instance.blob and not intact:
                self._stop(db, entry, EntryState.PARKED, states.LOST)
                self._add(db, event)
                return
            self._reset(db, entry, EntryState.RECEIVED)
            self._do.rows(db, "unseal_entry", {"entry": entry})
            self._do.rows(db, "stop_deliveries", {"entry": entry})
            self._add(db, event)

        self._commit.run(change)

    def requeue(self, entry: int, decision: Decision | None, event: Event) -> None:
        """Start an entry and its PARKED deliveries again, from zero attempts and at once."""

        def change(db: apsw.Connection) -> None:
            found = self._entry(db, entry)
            states.refuse_ended(entry, found.state)
            states.refuse_unworked(entry, decision.action if decision else found.action)
            if decision is not None:
                route, priority, threshold = states.route_of(decision)
                rule = {
                    "route": route, "action": decision.action.value, "priority": priority,
                    "threshold": threshold,
                }  # fmt: skip
                self._do.rows(db, "reroute_entry", {**rule, "entry": entry})
                self._do.rows(db, "unseal_entry", {"entry": entry})
                shared = threshold or found.threshold  # of another set nothing counts as sent
                self._do.rows(db, "drop_all" if shared else "drop_unsent", {"entry": entry})
                self._add_deliveries(db, entry, priority, states.destinations_of(decision))
            sealed = found.sealed and decision is None
            self._reset(db, entry, EntryState.READY if sealed else EntryState.RECEIVED)
            begun = DeliveryState.PENDING if sealed else DeliveryState.WAITING
            values = {"entry": entry, "state": begun.value, "now": self._now()}
            self._do.rows(db, "reset_deliveries", values)
            self._add(db, event)

        self._commit.run(change)

    # Ends -----------------------------------------------------------------

    def forget(self, entry: int, event: Event) -> None:
        """Delete a DONE or DISCARDED entry's rows; its blobs become :meth:`garbage`."""

        def change(db: apsw.Connection) -> None:
            states.refuse_unended(entry, self._entry(db, entry).state)
            if self._do.rows(db, "waits", {"entry": entry}):
                raise states.unread(entry)
            self._do.rows(db, "forget_entry", {"entry": entry})
            self._add(db, event)

        self._commit.run(change)

    def cleared(self, blobs: Sequence[str]) -> None:
        """Strike blobs off the :meth:`garbage`."""

        def change(db: apsw.Connection) -> None:
            for blob in blobs:
                self._do.count(db, "cleared", {"blob": blob})

        self._commit.run(change)

    # Audit ----------------------------------------------------------------

    def record(self, event: Event) -> None:
        """Append an audit event that belongs to no row."""
        self._commit.run(lambda db: self._add(db, event))

    def drained(self, seq: int) -> None:
        """Delete audit rows up to and including ``seq`` from the outbox."""
        self._commit.run(lambda db: self._do.count(db, "drained", {"seq": seq}))

    def renumber(self, last: int, event: Event) -> None:
        """Number the audit events that wait, then ``event``, on from ``last``."""

        def change(db: apsw.Connection) -> None:
            waiting = self._do.rows(db, "outbox", {"limit": -1})  # all of them
            self._do.count(db, "empty_outbox", {})
            self._do.count(db, "restart_numbers", {"last": last})
            for row in waiting:
                self._do.count(db, "add_event", {"now": row["at"], "event": row["event"]})
            self._add(db, event)

        self._commit.run(change)

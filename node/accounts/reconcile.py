"""What was acknowledged against what became of it: nothing may be missing.

Each object that was answered with success must be with each destination of its
route, or lie where a person sees it. The audit log says what was promised,
also where the spool has long forgotten it; the ledger says what is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from node.accounts.history import day
from node.spool.states import ENDED
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from node.accounts.history import History
    from node.audit.reading import Told
    from node.spool.base import Ledger

PAGE = 1000  # entries read at once
FRESH_SECONDS = 60.0  # what was acknowledged later than that ago may have its row by now
LOST = "lost"  # neither delivered nor in the spool
UNTOLD = "untold"  # in the spool, but the audit log does not know of it
UNPROVED = "unproved"  # delivered; still to be read back
UNCOMMITTED = "uncommitted"  # delivered; the destination has still to commit
NO_RECORD = "it has ended, but no delivery is on record"
UNACCOUNTED = frozenset({LOST, UNTOLD})
GOOD = {"readback_verified", "readback_coerced"}
DELIVERED = {DeliveryState.SENT, DeliveryState.VERIFIED}
UNSENT = {DeliveryState.WAITING, DeliveryState.PENDING}


@dataclass(slots=True)
class Sum:
    """How many objects of one day, route and destination are where.

    ``acked`` is the sum of ``delivered``, ``waiting``, ``held``, ``parked``,
    ``discarded`` and ``lost``. What no route matched has no destination.
    """

    acked: int = 0
    sealed: int = 0
    unsealed: int = 0
    delivered: int = 0
    committed: int = 0
    verified: int = 0
    waiting: int = 0
    held: int = 0
    parked: int = 0
    discarded: int = 0
    lost: int = 0

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the names of the counts in their order."""
        return tuple(one.name for one in fields(cls))


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that is not where it should end.

    :param state: a count of :class:`Sum`, ``"untold"``, ``"unproved"`` or ``"uncommitted"``.
    :param since: seconds since the epoch: when it was acknowledged.
    """

    day: str
    route: str
    destination: str
    entry: int
    object: str
    state: str
    since: float
    reason: str = ""


@dataclass(slots=True)
class _Promise:
    """One acknowledged object; ``delivered`` and the like are bits by destination."""

    entry: int
    object: str
    at: float
    day: str
    route: str
    to: tuple[str, ...]
    sealed: bool = False
    unsealed: bool = False
    delivered: int = 0
    committed: int = 0
    verified: int = 0


@dataclass(slots=True)
class Reconciliation:
    """The sums by (day, route, destination), and what is not as it should be."""

    sums: dict[tuple[str, str, str], Sum] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """How many differences nobody can account for."""
        return sum(one.state in UNACCOUNTED for one in self.differences)


def reconcile(
    ledger: Ledger, history: History, *, since: float, until: float, now: float
) -> Reconciliation:
    """Account for each object that was acknowledged from ``since`` to before ``until``.

    The node may run: what it does meanwhile makes nothing look lost. Time
    grows with the events since then; memory with the objects of that time
    that the spool has not forgotten.

    :param now: seconds since the epoch.
    :raises AuditError: the audit log cannot be read.
    """
    # First the rows: what made or ended one of them is then among the events.
    rows = {row.number: row for row in _rows(ledger)}
    books = _Books(since, until)
    for told in history.events(since=since):
        books.enter(told)
    books.close(ledger, rows, now)
    return books.result


@dataclass(frozen=True, slots=True)
class _Row:
    """What is needed of a row, since there may be many."""

    number: int
    state: EntryState
    route: str
    received_at: float


class _Books:
    """Objects by entry, from their acknowledgement until they are accounted for."""

    def __init__(self, since: float, until: float) -> None:
        self.result = Reconciliation()
        self._since = since
        self._until = until
        self._open: dict[int, _Promise] = {}
        self._settled: set[int] = set()  # entries accounted for, or not asked for
        self._shared: dict[str, tuple[str, ...]] = {}

    def enter(self, told: Told) -> None:
        """Note an event."""
        entry = told.event.facts.get("entry", 0)
        if not isinstance(entry, int) or not entry:
            return
        if told.event.event == "instance_accepted":
            self._accept(told, entry)
        elif promise := self._open.get(entry):
            self._note(told, promise)

    def close(self, ledger: Ledger, rows: dict[int, _Row], now: float) -> None:
        """Account for what is still open by the rows, and for the rest as lost."""
        for number, promise in sorted(self._open.items()):
            row = rows.get(number)
            if row is None and promise.at < now - FRESH_SECONDS:
                self._lose(promise, "it is in no row")
            else:
                self._live(promise, ledger, ended=row is not None and row.state in ENDED)
        for number, row in sorted(rows.items()):
            known = number in self._open or number in self._settled
            if not known and self._since <= row.received_at < self._until:
                self.result.differences.append(
                    Difference(
                        day(row.received_at), row.route, "", number, "", UNTOLD,
                        row.received_at, row.state.value,
                    )
                )  # fmt: skip

    def _accept(self, told: Told, entry: int) -> None:
        facts = told.event.facts
        if facts.get("kind") == "duplicate":
            return
        if (former := self._open.pop(entry, None)) is not None:
            self._lose(former, "its number was given again")
        self._settled.discard(entry)
        if not self._since <= told.at < self._until:
            self._settled.add(entry)
            return
        self._open[entry] = _Promise(
            entry, told.event.object, told.at, day(told.at), str(facts.get("route", "")),
            self._to(facts.get("to", "")),
        )  # fmt: skip

    def _note(self, told: Told, promise: _Promise) -> None:
        name, facts = told.event.event, told.event.facts
        match name:
            case "entry_sealed":
                promise.sealed, promise.unsealed = True, False
            case "relayed_by_rule" | "relayed_unsealed" | "passed_unsealed":
                promise.sealed, promise.unsealed = False, True
            case "entry_released" if "to" in facts:
                promise.delivered = promise.committed = promise.verified = 0
                promise.route, promise.to = str(facts.get("route", "")), self._to(facts["to"])
            case "delivery_sent":
                promise.delivered |= self._bit(promise, facts.get("destination", ""))
            case "entry_forgotten":
                for name in str(facts.get("committed", "")).split(","):
                    promise.committed |= self._bit(promise, name) if name else 0
                del self._open[promise.entry]
                self._settled.add(promise.entry)
                self._end(promise, str(facts.get("state", "")))
            case _ if name in GOOD:
                promise.verified |= self._bit(promise, facts.get("destination", ""))

    def _to(self, names: object) -> tuple[str, ...]:
        text = str(names)
        return self._shared.setdefault(text, tuple(text.split(",")) if text else ())

    def _bit(self, promise: _Promise, destination: object) -> int:
        """Return the bit of a destination; one that was not promised counts from now on."""
        name = str(destination)
        if name not in promise.to:
            promise.to = self._to(",".join([*promise.to, name]))
        return 1 << promise.to.index(name)

    # Accounting -------------------------------------------------------------

    def _end(self, promise: _Promise, state: str) -> None:
        """Account for an object whose entry ended well, or was given up by a person."""
        given_up = state == EntryState.DISCARDED.value
        for index, destination in self._destinations(promise):
            if promise.delivered >> index & 1:
                self._count(promise, destination, index, "delivered")
            elif given_up:
                self._count(promise, destination, index, "discarded")
            else:
                self._count(promise, destination, index, LOST, NO_RECORD)

    def _live(self, promise: _Promise, ledger: Ledger, *, ended: bool) -> None:
        """Account for an object by its rows.

        :param ended: they had ended before the events were read, which then tell all.
        """
        try:
            entry, found = ledger.get(promise.entry)
        except KeyError:  # accepted, or ended, since the rows were read
            for index, destination in self._destinations(promise):
                sent = promise.delivered >> index & 1
                self._count(promise, destination, index, "delivered" if sent else "waiting")
            return
        deliveries = {one.destination: one for one in found}
        for name in deliveries:
            self._bit(promise, name)
        stopped = {EntryState.HELD: "held", EntryState.PARKED: "parked"}.get(entry.state, "")
        for index, destination in self._destinations(promise):
            delivery = deliveries.get(destination)
            reason = (delivery.reason if delivery else "") or entry.reason
            if delivery and delivery.state in DELIVERED:
                if delivery.committed_at is not None:
                    promise.committed |= 1 << index
                if ended and not promise.delivered >> index & 1:
                    self._count(promise, destination, index, LOST, NO_RECORD)
                    continue
                left = [UNPROVED] if delivery.readback_at is not None else []
                left += [UNCOMMITTED] if delivery.commit_at is not None else []
                self._count(promise, destination, index, "delivered", left=left)
            elif delivery and delivery.state not in UNSENT:
                self._count(promise, destination, index, delivery.state.value, reason)
            else:
                self._count(promise, destination, index, stopped or "waiting", reason)

    def _lose(self, promise: _Promise, why: str) -> None:
        for index, destination in self._destinations(promise):
            if promise.delivered >> index & 1:
                self._count(promise, destination, index, "delivered")
            else:
                self._count(promise, destination, index, LOST, why)

    def _destinations(self, promise: _Promise) -> Iterator[tuple[int, str]]:
        return enumerate(promise.to or ("",))

    def _count(
        self,
        promise: _Promise,
        destination: str,
        index: int,
        state: str,
        reason: str = "",
        *,
        left: Sequence[str] = (),
    ) -> None:
        key = (promise.day, promise.route, destination)
        row = self.result.sums.setdefault(key, Sum())
        row.acked += 1
        row.sealed += promise.sealed
        row.unsealed += promise.unsealed
        row.committed += promise.committed >> index & 1
        row.verified += promise.verified >> index & 1
        setattr(row, state, getattr(row, state) + 1)
        for told in left if state == "delivered" else [state]:
            self.result.differences.append(
                Difference(*key, promise.entry, promise.object, told, promise.at, reason)
            )


def _rows(ledger: Ledger) -> Iterator[_Row]:
    last = 0
    while page := ledger.query(after=last, limit=PAGE):
        for entry in page:
            yield _Row(entry.id, entry.state, entry.route, entry.instance.received_at)
        last = page[-1].id

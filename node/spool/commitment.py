"""The seam of Storage Commitment: what destinations commit to, and what sources were promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from node.spool.base import DeliveryClaim
    from node.types import Delivery, DeliveryState, Event

NEW, REPEATED, CONFLICT = "new", "repeated", "conflict"  # what :meth:`Commitments.promise` returns


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows from a destination's word on one instance.

    :param reason: what the delivery shows then; one that begins with
        ``commitment`` goes when it has committed.
    :param state: SENT: it is asked again in ``delay`` seconds; PENDING: it is
        sent again; PARKED: a person must look; None: it has committed.
    """

    event: Event
    state: DeliveryState | None = None
    reason: str = ""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Promise:
    """What a source asked the node to commit to.

    :param references: (SOP class, SOP instance) of each object.
    :param since: when it asked, seconds since the epoch.
    :param attempts: reports that did not arrive.
    """

    id: int
    transaction_uid: str
    source: str
    references: tuple[tuple[str, str], ...]
    since: float = 0.0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """How much waits: a number, and since when the oldest does (seconds since the epoch)."""

    number: int
    since: float


@dataclass(frozen=True, slots=True)
class Owed:
    """What is not committed yet by destination, and not reported yet by source."""

    uncommitted: dict[str, Open] = field(default_factory=dict)
    unreported: dict[str, Open] = field(default_factory=dict)


class Commitments(Protocol):
    """What the ledger knows of commitments.

    A delivery for which commitment is wanted keeps its entry, and its blobs,
    from ending until the destination has committed. An instance that a source
    asks about is not forgotten before the source has its report.
    """

    def claim_commitments(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease deliveries of one destination for which commitment is to be asked."""
        ...

    def asking(
        self, claims: Sequence[DeliveryClaim], transaction_uid: str, again_in: float, event: Event
    ) -> None:
        """Note, before it is asked, under which transaction; without a word it is due again.

        :raises StaleClaimError: one of the leases was lost; nothing is noted.
        """
        ...

    def await_report(self, transaction_uid: str, seconds: float) -> None:
        """Wait so long for the report of a transaction that was taken."""
        ...

    def transaction(self, destination: str, transaction_uid: str) -> list[Delivery]:
        """Return what a transaction is still about; nothing if it is over, or unknown."""
        ...

    def rule(self, destination: str, transaction_uid: str, rulings: Mapping[str, Ruling]) -> int:
        """Apply a destination's word, by SOP Instance UID as sent; return for how many it was.

        The event of each ruling that was applied is recorded.
        """
        ...

    def forgo_commitments(self, destination: str) -> int:
        """Want no commitment of a destination any more; return for how many deliveries."""
        ...

    def promise(
        self,
        source: str,
        transaction_uid: str,
        references: Sequence[tuple[str, str]],
        event: Event,
    ) -> str:
        """Note what a source asks.

        :returns: ``NEW``; ``REPEATED`` where the very same is noted already;
            ``CONFLICT`` where the transaction is about something else. The
            event is recorded for what is new.
        """
        ...

    def promises(self, *, limit: int) -> list[Promise]:
        """Return promises that are due to be looked at, the longest due first."""
        ...

    def put_off(self, promise: int, delay: float, *, tried: bool = False) -> None:
        """Look at a promise again in ``delay`` seconds; ``tried``: a report did not arrive."""
        ...

    def hasten(self, delivery: int) -> None:
        """Let what was sent, and is not proved, be read back at once."""
        ...

    def keep_promise(self, promise: int, event: Event) -> None:
        """Forget a promise: its report has arrived, or never will."""
        ...

    def owed(self) -> Owed:
        """Return what is not committed and not reported yet."""
        ...

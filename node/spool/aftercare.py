"""The seam of what follows a delivery: reading back, and counting what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.spool.base import DeliveryClaim
    from node.types import DeliveryState, Event

DAY_SECONDS = 86400
FARTHEST_SECONDS = 31 * 86400.0  # what is due later than this was put there by a clock that jumped


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a verdict was reached.

    :param modality: (0008,0060) of the object as received, or ``""``.
    :param verdict: a word of :class:`~node.types.VerdictKind`, or ``MISSING``.
    """

    destination: str
    modality: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Found:
    """How often something was found on one day (days since 1970, UTC)."""

    day: int
    finding: Finding
    number: int


class Aftercare(Protocol):
    """What the ledger does for objects that were delivered.

    A SENT delivery that is to be read back keeps its entry, and its blobs,
    from ending until :meth:`judge`.
    """

    def claim_readbacks(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease SENT deliveries of one destination that are due to be read back.

        Such a claim is deferred by ``retry_delivery`` and ended by
        :meth:`judge`, or by ``settle`` where something is wrong with it.
        """
        ...

    def judge(
        self,
        claim: DeliveryClaim,
        state: DeliveryState,
        reason: str,
        finding: Finding,
        event: Event,
    ) -> None:
        """End a read-back as VERIFIED, PARKED, or PENDING: to be sent again.

        What is to be sent again waits where its entry was stopped meanwhile.

        :raises StaleClaimError: the lease was lost.
        """
        ...

    def count(self, findings: Mapping[Finding, int], event: Event) -> None:
        """Count what was found in objects that were not read back by a claim."""
        ...

    def found(self, *, since: float) -> list[Found]:
        """Return what was found on the day of ``since`` (seconds since the epoch) and later."""
        ...

"""Stage 3, beside the images: events of the audit log go to an audit record repository.

The log is the spool: what cannot be sent now waits there. SECURITY: holds no
keys; patients leave as they stand in the log, sealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from node import retry
from node.audit.syslog import frame
from node.errors import AuditError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.audit.following import Follower
    from node.audit.messages import Writer

BATCH = 200  # events in one connection

log = structlog.get_logger()


class Carrier(Protocol):
    """What reaches the repository."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages in order.

        :raises UnreachableError: not all of them arrived.
        """
        ...


class Messenger:
    """Sends at least once, in order.

    :param clock: seconds, never set back.
    :param chance: random, from 0 to 1.
    """

    def __init__(
        self,
        follower: Follower,
        writer: Writer,
        carrier: Carrier,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._follower = follower
        self._writer = writer
        self._carrier = carrier
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._not_before = 0.0

    def step(self) -> int:
        """Send what there is, up to a batch; return how many events that were."""
        if self._clock() < self._not_before:
            return 0
        try:
            events = self._follower.read(BATCH)
            framed = [
                frame(told.at, self._writer.host, xml)
                for told in events
                for xml in self._writer.messages(told)
            ]
            if framed:
                self._carrier.send(framed)
        except (UnreachableError, AuditError) as error:
            self._failures += 1
            wait = retry.delay(self._failures, self._chance())
            self._not_before = self._clock() + wait
            log.warning("syslog_not_reached", reason=str(error), code=error.code, delay=round(wait))
            return 0
        self._follower.settle()
        if self._failures:
            log.info("syslog_reached", attempts=self._failures)
        self._failures = 0
        return len(events)

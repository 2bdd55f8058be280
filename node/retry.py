"""When to try again, give up, or look again. Pure: time and chance are passed in."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 15.0  # seconds before the second try
FACTOR = 2.0
CAP = 900.0  # seconds: a destination that came back is noticed within 15 min
JITTER = 0.2  # share of the delay by which it may be shorter or longer


def delay(attempts: int, chance: float) -> float:
    """Return the seconds to wait after a number of failed tries.

    :param attempts: how often it was tried, at least 1.
    :param chance: a random number in [0, 1); spreads what failed together.
    """
    # the exponent is bounded so that no attempt count overflows a float
    base = min(CAP, FIRST * FACTOR ** min(max(attempts, 1) - 1, 16))
    return base * (1.0 + JITTER * (2.0 * chance - 1.0))


def give_up(age: float, give_up_after: float) -> bool:
    """Tell whether a delivery is too old to be tried again (both in seconds)."""
    return age >= give_up_after


def chosen(pseudonym: str, share: float) -> bool:
    """Tell whether an object is among the share that is read back; the same for each attempt.

    :param pseudonym: of its UID: keyed, so that nobody can foresee the choice.
    :param share: 0 to 1.
    """
    return int.from_bytes(sha256(pseudonym.encode()).digest()[:4]) < share * 2**32


class Breaker:
    """Keeps a destination that does not answer from being called for each object.

    Closed, it lets everything through. A failure opens it for a period that
    doubles with each failure in a row; when the period is over one probe goes
    through, and its success closes it.

    :param clock: monotonic seconds.
    :param chance: gives random numbers in [0, 1).
    """

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._closed_at = 0.0

    @property
    def open(self) -> bool:
        """True while nothing may go through."""
        return self.remaining > 0.0

    @property
    def remaining(self) -> float:
        """Seconds until a probe may go through; 0 if it may now."""
        return max(0.0, self._closed_at - self._clock()) if self._failures else 0.0

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def failed(self) -> float:
        """Open for the next period and return its seconds."""
        self._failures += 1
        period = delay(self._failures, self._chance())
        self._closed_at = self._clock() + period
        return period

    def succeeded(self) -> None:
        """Close."""
        self._failures = 0

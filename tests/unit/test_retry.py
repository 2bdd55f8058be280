"""When to try again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node import retry

CHANCE = st.floats(0, 1, exclude_max=True)


def test_delays_double_from_fifteen_seconds_to_fifteen_minutes():
    delays = [retry.delay(attempts, 0.5) for attempts in range(1, 9)]
    assert delays == [15, 30, 60, 120, 240, 480, 900, 900]


@given(st.integers(1, 10**9), CHANCE)
def test_jitter_stays_within_a_fifth(attempts, chance):
    middle = retry.delay(attempts, 0.5)
    assert 0.8 * middle <= retry.delay(attempts, chance) <= 1.2 * middle


def test_giving_up_goes_by_age():
    assert not retry.give_up(6 * 86400.0, 7 * 86400.0)
    assert retry.give_up(7 * 86400.0, 7 * 86400.0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_on_failure_and_lets_a_probe_through_after_the_period():
    clock = Clock()
    breaker = retry.Breaker(clock, lambda: 0.5)
    assert not breaker.open
    assert breaker.failed() == 15
    assert breaker.open
    clock.now += 15
    assert not breaker.open


def test_a_failed_probe_doubles_the_period_and_a_good_one_closes_the_breaker():
    clock = Clock()
    breaker = retry.Breaker(clock, lambda: 0.5)
    breaker.failed()
    clock.now += 15
    assert breaker.failed() == 30
    clock.now += 15
    assert breaker.open
    clock.now += 15
    breaker.succeeded()
    assert not breaker.open
    assert breaker.failures == 0

"""The loop that outlives its bugs, and the guard around one row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.errors import (
    ConfigError,
    SpoolFullError,
    StaleClaimError,
    UnreachableError,
    UnsealableError,
)
from node.spool.memory import MemoryLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    EntryState,
    Event,
    Instance,
    Route,
)
from node.worker import Doorbell, Worker, cause, guard

ROOT = Path(__file__).resolve().parents[2]
SECRET = "DOE^JANE"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(clock):
    ledger = MemoryLedger(clock=clock)
    instance = Instance("1", "1.2.3", "2", "3", "4", "a" * 64, 9)
    rule = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
    ledger.accept(instance, rule, Event("accepted"))
    ledger.drained(1)
    return ledger


def entry_claim(ledger):
    [claim] = ledger.claim_entries("w", limit=1, lease=60)
    return claim


def delivery_claim(ledger):
    ledger.ready(
        entry_claim(ledger),
        "b" * 64,
        sop_class_uid="1",
        sop_instance_uid="2",
        transfer_syntax_uid="3",
        event=Event("sealed"),
    )
    ledger.drained(2)
    [claim] = ledger.claim_deliveries("w", "pacs", limit=1, lease=60)
    return claim


def raising(error):
    def work(_claim):
        raise error

    return work


def run(ledger, claim, work, delay=lambda _attempts: 10.0):
    return guard(
        ledger,
        claim,
        work,
        delay=delay,
        describe=lambda name, reason: Event(name, facts={"reason": reason}),
    )


def told(ledger):
    return [(event.event, event.facts["reason"]) for _, _, event in ledger.outbox(limit=99)]


# The guard


def test_work_that_ends_well_is_done(ledger):
    seen = []
    claim = entry_claim(ledger)
    assert run(ledger, claim, seen.append) == "done"
    assert seen == [claim]


def test_what_trying_again_can_help_is_deferred(ledger, clock):
    claim = entry_claim(ledger)
    assert run(ledger, claim, raising(UnreachableError("no"))) == "deferred"
    entry, _ = ledger.get(1)
    assert (entry.state, entry.reason) == (EntryState.RECEIVED, "unreachable")
    assert entry.not_before == clock.now + 10
    assert told(ledger) == [("entry_deferred", "unreachable")]


def test_the_delay_follows_the_attempts(ledger, clock):
    for attempts in (1, 2, 3, 4, 5):
        run(ledger, entry_claim(ledger), raising(UnreachableError("no")), lambda n: n * 7.0)
        assert ledger.get(1)[0].not_before == clock.now + attempts * 7
        clock.now += attempts * 7


def test_what_trying_again_cannot_help_is_parked_with_its_code(ledger):
    claim = entry_claim(ledger)
    assert run(ledger, claim, raising(UnsealableError("no", code="lossy"))) == "parked"
    entry, _ = ledger.get(1)
    assert (entry.state, entry.reason) == (EntryState.PARKED, "lossy")
    assert told(ledger) == [("entry_parked", "lossy")]


def test_a_delivery_is_deferred_and_parked_likewise(ledger, clock):
    claim = delivery_claim(ledger)
    assert run(ledger, claim, raising(UnreachableError("no"))) == "deferred"
    clock.now += 10
    [claim] = ledger.claim_deliveries("w", "pacs", limit=1, lease=60)
    assert run(ledger, claim, raising(UnsealableError("no"))) == "parked"
    entry, [delivery] = ledger.get(1)
    assert (delivery.state, delivery.reason) == (DeliveryState.PARKED, "unsealable")
    assert entry.state is EntryState.PARKED
    assert told(ledger) == [("delivery_deferred", "unreachable"), ("delivery_parked", "unsealable")]


def test_what_was_tried_for_too_long_is_given_up(ledger):
    claim = delivery_claim(ledger)
    result = run(ledger, claim, raising(UnreachableError("no")), lambda _attempts: None)
    assert result == "parked"
    assert ledger.get(1)[1][0].reason == "gave_up"


def test_an_unforeseen_error_is_tried_three_times_then_parked(ledger, clock):
    results = []
    for _ in range(3):
        results.append(run(ledger, entry_claim(ledger), raising(ZeroDivisionError(SECRET))))
        clock.now += 10
    assert results == ["deferred", "deferred", "parked"]
    entry, _ = ledger.get(1)
    assert (entry.state, entry.reason) == (EntryState.PARKED, "crash")


def test_attempts_that_ended_in_good_order_do_not_count_as_crashes(ledger, clock):
    for error in [UnreachableError("no")] * 9 + [ZeroDivisionError()] * 2:
        assert run(ledger, entry_claim(ledger), raising(error)) == "deferred"
        clock.now += 10


def test_a_row_that_killed_three_workers_is_parked_untouched(ledger):
    for _ in range(3):
        ledger.claim_entries("dead", limit=1, lease=60)
        ledger.release_worker("dead")
    assert run(ledger, entry_claim(ledger), raising(AssertionError)) == "parked"
    entry, _ = ledger.get(1)
    assert (entry.state, entry.reason) == (EntryState.PARKED, "poison")


def test_a_lost_lease_is_left_alone(ledger):
    claim = entry_claim(ledger)
    ledger.hold(1, "by_hand", Event("held", facts={"reason": "x"}))
    for error in (
        StaleClaimError("lost"),
        UnreachableError("no"),
        UnsealableError("no"),
        KeyError(),
    ):
        assert run(ledger, claim, raising(error)) == "lost"
    assert ledger.get(1)[0].state is EntryState.HELD


def test_a_ledger_that_cannot_say_so_is_not_hidden(ledger, monkeypatch):
    claim = entry_claim(ledger)

    def refuse(*_args, **_kwargs):
        raise SpoolFullError("full")

    monkeypatch.setattr(ledger, "retry_entry", refuse)
    with pytest.raises(SpoolFullError):
        run(ledger, claim, raising(UnreachableError("no")))


def test_no_text_of_an_error_is_logged(ledger):
    with capture_logs() as logs:
        run(ledger, entry_claim(ledger), raising(ValueError(SECRET)))
    assert [entry["event"] for entry in logs] == ["work_crashed", "entry_deferred"]
    assert logs[0]["cause"].startswith("ValueError at test_worker.py:")
    assert SECRET not in str(logs)


def test_a_cause_names_the_line_that_raised():
    assert cause(ValueError(SECRET)) == "ValueError"
    with pytest.raises(ValueError, match=r"DOE\^JANE") as caught:
        int(SECRET)
    assert cause(caught.value).startswith("ValueError at test_worker.py:")


# The loop


def work(steps, *, idle=0.0, bell=None):
    """Run a worker through a list of results; return how often it stepped."""
    stop = threading.Event()
    left = list(steps)

    def step():
        result = left.pop(0)
        if not left:
            stop.set()
        if isinstance(result, BaseException):
            raise result
        return result

    Worker("seal", step, idle=idle, stop=stop, bell=bell).run()
    return len(steps) - len(left)


def test_a_worker_steps_until_it_is_stopped():
    assert work([1, 1, 0, 1, 0]) == 5


def test_a_worker_that_is_stopped_before_it_starts_does_nothing():
    stop = threading.Event()
    stop.set()
    Worker("seal", lambda: 1 / 0, idle=9, stop=stop).run()


def test_a_worker_outlives_errors():
    with capture_logs() as logs:
        assert work([SpoolFullError(SECRET), ZeroDivisionError(SECRET), 1]) == 3
    events = [(e["event"], e.get("code")) for e in logs[1:-1]]
    assert events == [("step_failed", "spool_full"), ("step_crashed", "crash")]
    assert SECRET not in str(logs)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_a_worker_lets_an_end_of_the_process_through(error):
    with pytest.raises(type(error)):
        work([error, 1])


def test_pauses_grow_with_failures_and_shrink_with_success():
    pauses = []

    class Bell(Doorbell):
        def wait(self, seconds):
            pauses.append(seconds)

    class Noting(Worker):
        def _pause(self, seconds):
            pauses.append(seconds)

    stop = threading.Event()
    results = [SpoolFullError("x")] * 7 + [0, 1, SpoolFullError("x"), 0]

    def step():
        result = results.pop(0)
        if not results:
            stop.set()
        if isinstance(result, Exception):
            raise result
        return result

    Noting("seal", step, idle=1.0, stop=stop).run()
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 1.0, 2.0, 1.0]


SLEEPER = """
import threading
from node.log import configure
from node.worker import Worker, stop_on_signals
configure("seal", level="error")
stop = threading.Event()
stop_on_signals(stop)
done = []
def step():
    print("step", flush=True)
    if not done:
        done.append(1)
        threading.Event().wait(0.3)
        print("finished", flush=True)
        return 1
    return 0
Worker("seal", step, idle=60, stop=stop).run()
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_item_at_hand_end(number):
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout.readline() == "step\n"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest.startswith("finished\n")
    assert rest.endswith("stopped\n")


# The doorbell


@pytest.fixture
def bell(tmp_path):
    bell = Doorbell(tmp_path / "bell")
    yield bell
    bell.close()


def test_a_ring_ends_the_wait(bell):
    bell.wait(0)
    waited = threading.Thread(target=bell.wait, args=(60,))
    waited.start()
    Doorbell(bell._path).ring()
    waited.join(30)
    assert not waited.is_alive()


def test_a_ring_that_nobody_hears_is_no_error(bell, tmp_path):
    bell.ring()
    Doorbell(tmp_path / "nowhere" / "bell").ring()


def test_a_file_in_the_place_of_the_bell_is_refused(tmp_path):
    (tmp_path / "bell").write_text("always ready to be read")
    with pytest.raises(ConfigError):
        Doorbell(tmp_path / "bell").wait(0)


def test_many_rings_wake_once(bell):
    bell.wait(0)
    for _ in range(100_000):
        bell.ring()
        if os.read(bell._waiting, 1 << 16):
            break
    bell.ring()
    bell.ring()
    assert bell.wait(60)
    assert not bell.wait(0)


def test_a_worker_wakes_when_it_rings(bell):
    stop = threading.Event()
    woken = threading.Event()
    steps = []

    def step():
        steps.append(1)
        if len(steps) > 1:
            woken.set()
            stop.set()
        return 0

    bell.wait(0)
    thread = threading.Thread(target=Worker("s", step, idle=60, stop=stop, bell=bell).run)
    thread.start()
    while not woken.wait(0.05):
        Doorbell(bell._path).ring()
    thread.join(30)
    assert not thread.is_alive()


def test_a_worker_with_a_bell_stops_though_nobody_rings(bell):
    stop = threading.Event()
    thread = threading.Thread(target=Worker("s", lambda: 0, idle=60, stop=stop, bell=bell).run)
    thread.start()
    stop.set()
    thread.join(30)
    assert not thread.is_alive()

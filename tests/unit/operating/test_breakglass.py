"""Break-glass: allowed by the operator, seen by every process, audited, and over by itself."""

from __future__ import annotations

import json

import pytest
from lives import World

from node.accounts.trace import passed
from node.errors import RefusedError, UnreadableError, UnsealedError, UsageError
from node.operating.breakglass import BreakGlass
from node.reap import drain
from node.spool.memory import MemoryLedger
from node.types import Action, Route, Unsealable
from node.wiring import proved

START = 1_700_000_000.0
HOUR = 3600.0
ROUTES = {
    "ct": Route("ct", {}, Action.SEAL, ("pacs",), break_glass=True),
    "mr": Route("mr", {}, Action.SEAL, ("pacs",)),
}


class Site:
    """A state folder, and as many processes that look at it as a test wants."""

    def __init__(self, folder):
        self.now = START
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.path = folder / "state" / "breakglass.json"
        self.glass = self.process()

    def process(self, routes=ROUTES, longest=4 * HOUR):
        return BreakGlass(self.path, routes, longest, lambda: self.now)

    def begin(self, route="ct", reason="key lost", seconds=HOUR):
        return self.glass.begin(route, reason, seconds, "root", self.ledger)

    def events(self):
        return [(e.event, e.actor, e.facts) for _, _, e in self.ledger.outbox(limit=99)]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_nothing_is_open_until_somebody_opens_it(site):
    assert site.glass.open() == []
    assert site.glass.opening("ct", START) is None
    assert site.glass.settle(site.ledger) == 0


def test_what_one_process_opens_another_sees_and_only_for_that_route(site):
    made = site.begin()

    assert site.process().opening("ct", START) == made
    assert site.process().opening("mr", START) is None
    assert site.events() == [
        ("break_glass_opened", "root", {"route": "ct", "reason": "key lost", "seconds": HOUR})
    ]


def test_what_was_received_before_does_not_pass(site):
    site.begin()

    assert site.glass.opening("ct", START - 0.001) is None


def test_it_ends_by_itself_and_that_is_audited_once(site):
    site.begin()
    site.now += HOUR

    assert site.glass.opening("ct", START + 1) is None
    assert (site.glass.settle(site.ledger), site.glass.settle(site.ledger)) == (1, 0)
    name, actor, facts = site.events()[-1]
    assert (name, actor, facts["cause"], facts["reason"]) == (
        "break_glass_ended", "reap", "expired", "key lost",
    )  # fmt: skip


def test_a_person_ends_it_before_its_time(site):
    site.begin()
    site.now += 60
    site.glass.end("ct", "eve", site.ledger)

    assert site.process().open() == []
    name, actor, facts = site.events()[-1]
    assert (name, actor, facts["cause"]) == ("break_glass_ended", "eve", "ended")
    with pytest.raises(UsageError, match="not open"):
        site.glass.end("ct", "eve", site.ledger)


def test_an_end_that_was_cut_short_is_audited_by_the_next(site):
    class Killed(BaseException):
        pass

    class Dying:
        def record(self, _event):
            raise Killed

    site.begin()
    with pytest.raises(Killed):
        site.glass.end("ct", "eve", Dying())

    assert site.glass.open() == []
    assert site.glass.settle(site.ledger) == 1
    assert site.events()[-1][1] == "eve"


def test_it_is_audited_before_anything_can_pass(site):
    class Refusing:
        def record(self, _event):
            raise RefusedError("full")

    with pytest.raises(RefusedError):
        site.glass.begin("ct", "key lost", HOUR, "root", Refusing())
    assert site.glass.open() == []


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (("xa", "why", HOUR), UsageError, "no route"),
        (("mr", "why", HOUR), RefusedError, "allows no"),
        (("ct", "why", 4 * HOUR + 1), RefusedError, "at most"),
        (("ct", " ", HOUR), UsageError, "reason"),
        (("ct", "a\nb", HOUR), UsageError, "reason"),
    ],
)
def test_what_the_operator_does_not_allow_is_refused(site, asked, error, said):
    with pytest.raises(error, match=said):
        site.begin(*asked)
    assert (site.events(), site.glass.open()) == ([], [])


def test_a_node_that_forbids_it_opens_nothing(site):
    with pytest.raises(RefusedError, match="forbidden"):
        site.process(longest=0.0).begin("ct", "why", HOUR, "root", site.ledger)


def test_it_is_not_opened_twice(site):
    site.begin()
    with pytest.raises(UsageError, match="open already"):
        site.begin()


def test_what_the_configuration_forbids_meanwhile_is_closed_whatever_the_file_says(site):
    site.begin(seconds=2 * HOUR)
    site.now += HOUR

    assert site.process(longest=HOUR).open() == []
    assert site.process(longest=0.0).open() == []
    assert site.process(routes={"ct": ROUTES["mr"]}).open() == []
    assert site.process(routes={}).open() == []


def test_a_clock_that_is_set_back_closes_it(site):
    site.begin()
    site.now -= 1

    assert site.glass.open() == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "[" * 100_000, '{"open": [1]}', '{"open": [{"route": "ct"}]}', '{"open": 1}',
     '{"open": [{"route": "ct", "reason": "x", "actor": "x", "since": "0", "until": "z"}]}'],
)  # fmt: skip
def test_what_cannot_be_read_is_not_open_and_whoever_opens_is_told(site, text):
    site.begin()
    site.path.write_text(text)

    assert site.glass.open() == []
    assert site.glass.settle(site.ledger) == 0
    with pytest.raises(UnreadableError):
        site.begin()


def test_a_file_that_is_a_link_is_not_followed(site, tmp_path):
    site.begin()
    other = site.path.rename(tmp_path / "elsewhere.json")
    site.path.symlink_to(other)

    assert site.glass.open() == []


def test_the_file_names_who_and_why_and_is_the_users_alone(site):
    site.begin()

    [one] = json.loads(site.path.read_text())["open"]
    assert (one["route"], one["reason"], one["actor"]) == ("ct", "key lost", "root")
    assert site.path.stat().st_mode & 0o077 == 0


def test_the_gate_to_the_network_knows_it(tmp_path):
    world, site = World(tmp_path), Site(tmp_path)
    site.now = world.now = START - 60
    old = world.accept("1.1")
    site.now = world.now = START
    site.begin()
    new = world.accept("1.2")
    for claim in world.ledger.claim_entries("p", limit=9, lease=60):
        instance = claim.entry.instance
        world.ledger.ready(
            claim, instance.blob, sop_class_uid="1.2",
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid="1.2", event=world.event("passed_unsealed"),
        )  # fmt: skip

    def leaves(entry, routes=ROUTES):
        [delivery] = world.ledger.get(entry)[1]
        try:
            proved(world.ledger, routes, site.glass, delivery)
        except UnsealedError:
            return False
        return True

    assert (leaves(old), leaves(new)) == (False, True)
    site.now += HOUR
    assert not leaves(new)
    relays = {"ct": Route("ct", {}, Action.SEAL, ("pacs",), Unsealable.RELAY)}
    assert leaves(new, routes=relays)
    world.log.close()


def test_what_passed_is_listed_with_whom_it_was_sent_to_unsealed(tmp_path):
    world = World(tmp_path)
    passing = {"route": "ct", "reason": "key lost"}
    for number, (name, more) in enumerate(
        [
            ("passed_unsealed", {"entry": 1, **passing}),
            ("passed_unsealed", {"entry": 2, **passing}),
            ("delivery_sent", {"entry": 1, "destination": "pacs"}),
            ("instance_accepted", {"entry": 1, "kind": "duplicate"}),
            ("delivery_sent", {"entry": 1, "destination": "cloud"}),
            ("entry_sealed", {"entry": 2}),
            ("delivery_sent", {"entry": 2, "destination": "pacs"}),
            ("delivery_sent", {"entry": 3, "destination": "pacs"}),
            ("entry_forgotten", {"entry": 1}),
        ]
    ):
        world.ledger.record(world.event(name, f"1.{number}", **more))
    drain(world.ledger, world.log)

    found = passed(world.history())

    assert [(one.entry, one.sent, one.reason) for one in found] == [
        (1, ("pacs", "cloud"), "key lost"),
        (2, (), "key lost"),
    ]
    world.log.close()

"""What was begun and never ended: acceptances set against deliveries, and clocks that went back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from node.audit.reading import Told

CLOCK_SECONDS = 5.0  # events of several processes may stand a little out of order
STOPPED = {
    "entry_held": "held",
    "entry_parked": "parked",
    "delivery_parked": "parked",
}
GOES_ON = {"entry_sealed", "relayed_by_rule", "relayed_unsealed", "entry_retried", "entry_remade"}
ENDED = {"entry_discarded", "entry_forgotten"}


@dataclass(frozen=True, slots=True)
class Gap:
    """One object that did not arrive everywhere, or one place where time went back.

    :param at: when it was begun, in seconds since the epoch.
    :param state: ``waiting``, ``held``, ``parked`` or ``clock``.
    :param missing: destinations that have not got it.
    """

    seq: int
    at: float
    state: str
    entry: int = 0
    object: str = ""
    route: str = ""
    missing: tuple[str, ...] = ()
    reason: str = ""


@dataclass
class _Open:
    begun: Told
    state: str = "waiting"
    reason: str = ""
    to: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)


def gaps(events: Iterable[Told]) -> Iterator[Gap]:
    """Yield where a clock went back, then what is open at the end of a log, oldest first.

    An object is begun by ``instance_accepted``, and ended when every
    destination of its route has it, or when a person discarded it.
    """
    opened: dict[int, _Open] = {}
    last = 0.0
    for told in events:
        if last - told.at > CLOCK_SECONDS:
            behind = f"{last - told.at:.0f} s before the event before it"
            yield Gap(told.seq, told.at, "clock", reason=behind)
        last = told.at
        _follow(opened, told)
    for entry, one in sorted(opened.items()):
        begun = one.begun
        yield Gap(
            begun.seq, begun.at, one.state, entry, begun.event.object,
            _text(begun, "route"), tuple(sorted(one.to - one.sent)), one.reason,
        )  # fmt: skip


def _follow(opened: dict[int, _Open], told: Told) -> None:
    name, facts = told.event.event, told.event.facts
    entry = facts.get("entry")
    if not isinstance(entry, int):
        return
    if name == "instance_accepted":
        if facts.get("kind") != "duplicate":
            state = "waiting" if facts.get("kind") != "conflict" else "parked"
            opened[entry] = _Open(told, state, to=_names(told))
        return
    one = opened.get(entry)
    if one is None:
        return
    if name in STOPPED:
        one.state, one.reason = STOPPED[name], _text(told, "reason")
    elif name in GOES_ON:
        one.state, one.reason = "waiting", ""
    elif name == "entry_released":
        one.state, one.reason, one.to = "waiting", "", _names(told) or one.to
    elif name == "delivery_sent":
        one.sent.add(_text(told, "destination"))
    if name in ENDED or (name == "delivery_sent" and one.to <= one.sent):
        del opened[entry]


def _names(told: Told) -> set[str]:
    return set(filter(None, _text(told, "to").split(",")))


def _text(told: Told, key: str) -> str:
    return str(told.event.facts.get(key, ""))

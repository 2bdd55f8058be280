"""One object's life: everything that the ledger and the audit log tell of one SOP Instance UID."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from node.accounts.history import History
    from node.audit.reading import Told
    from node.spool.base import Ledger
    from node.types import Delivery, SpoolEntry

STEPS = {
    "instance_accepted": "received",
    "instance_refused": "refused",
    "entry_sealed": "sealed",
    "relayed_by_rule": "let pass unsealed",
    "relayed_unsealed": "let pass unsealed",
    "passed_unsealed": "let pass unsealed",
    "delivery_sent": "delivered",
    "instance_committed": "committed",
    "readback_verified": "read back",
    "readback_coerced": "read back",
    "readback_tampered": "read back",
    "readback_missing": "read back",
    "objects_retrieved": "retrieved",
    "entry_forgotten": "forgotten",
}
"""What people call an event; others are called by their own names."""
PASSING = frozenset(
    {"passed_unsealed", "delivery_sent", "entry_sealed", "entry_forgotten", "instance_accepted"}
)
ABOUT = (
    "entry",
    "destination",
    "workstation",
    "verdict",
    "objects",
    "patient",
)  # told in other columns


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to the object.

    :param at: seconds since the epoch.
    :param peer: who sent it, got it, or asked for it, or which of us did it.
    :param entry: number of the entry in the spool, 0 if it belongs to none.
    """

    at: float
    seq: int
    event: str
    step: str
    peer: str
    outcome: str
    verdict: str = ""
    entry: int = 0
    facts: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of an object.

    :param objects: the pseudonyms that the audit log calls it by.
    :param rows: what the spool still holds of it, with its deliveries.
    """

    objects: tuple[str, ...]
    rows: tuple[tuple[SpoolEntry, list[Delivery]], ...]
    steps: tuple[Step, ...]


def trace(uid: str, ledger: Ledger, history: History, pseudonym: Callable[[str], str]) -> Life:
    """Return the life of the object that was received, or sent, under a SOP Instance UID.

    :raises UsageError: nothing is known of it.
    :raises AuditError: the audit log cannot be read.
    """
    asked = pseudonym(uid)
    known = {entry.id for entry in ledger.find(uid)}
    received = bool(known)
    for told in history.events(naming=[asked]):
        if told.event.object == asked:
            known |= _entry(told)
            received = received or told.event.event == "instance_accepted"
    rows = tuple(_rows(ledger, sorted(known)))
    objects = {asked}
    for entry, deliveries in rows:
        uids = [entry.instance.sop_instance_uid, *(d.sop_instance_uid for d in deliveries)]
        objects |= {pseudonym(one) for one in uids if one}
    steps = tuple(_steps(history, objects, known, received=received))
    if not steps and not rows:
        raise UsageError(
            "nothing is known of this SOP Instance UID",
            hint="the node never accepted it, or its audit log is not that old",
        )
    return Life(tuple(sorted(objects)), rows, steps)


def _steps(
    history: History, objects: set[str], entries: set[int], *, received: bool
) -> Iterator[Step]:
    """Yield what was told of an object by its pseudonyms, or by the numbers of its entries.

    :param received: whether these are the pseudonyms that it was received under.
    """
    numbers = [f'"entry":{number}{end}' for number in entries for end in ",}"]
    mine = set(entries)
    for told in history.events(naming=[*objects, *numbers]):
        event = told.event
        named = event.object in objects
        if event.event == "instance_accepted" and received:
            # a ledger that was restored from a backup gives numbers a second time
            mine = mine | _entry(told) if named else mine - _entry(told)
        listed = _listed(told, objects)
        if named or listed or _entry(told) & mine:
            yield _step(told, listed)


def _step(told: Told, listed: tuple[str, ...]) -> Step:
    event = told.event
    facts = event.facts
    more = {key: value for key, value in facts.items() if key not in ABOUT and value != ""}
    verdict, *how = listed or (str(facts.get("verdict", "")),)
    step = STEPS.get(event.event, event.event.replace("_", " "))
    if "restored" in how:
        step += ", restored"
    return Step(
        told.at,
        told.seq,
        event.event,
        step,
        str(facts.get("workstation" if listed else "destination", "") or event.actor),
        event.outcome,
        verdict,
        next(iter(_entry(told)), 0),
        more,
    )


def _listed(told: Told, objects: set[str]) -> tuple[str, ...]:
    """Return what an event that lists objects says of one of these.

    The form is ``PSEUDONYM:VERDICT`` or ``PSEUDONYM:VERDICT:HOW``, and commas between them.
    """
    for item in str(told.event.facts.get("objects", "")).split(","):
        name, *said = item.split(":")
        if name in objects:
            return tuple(said) or ("",)
    return ()


def _entry(told: Told) -> set[int]:
    number = told.event.facts.get("entry", 0)
    return {number} if isinstance(number, int) and number else set()


def _rows(ledger: Ledger, entries: list[int]) -> Iterator[tuple[SpoolEntry, list[Delivery]]]:
    for number in entries:
        try:
            yield ledger.get(number)
        except KeyError:  # it has ended, and was forgotten
            continue


@dataclass(frozen=True, slots=True)
class Passed:
    """An object that break-glass let pass.

    :param sent: destinations that got it unsealed; the others got it sealed, or not yet.
    """

    at: float
    route: str
    entry: int
    object: str
    reason: str
    sent: tuple[str, ...] = ()


def passed(history: History) -> list[Passed]:
    """Return what break-glass has let pass, the oldest first.

    :raises AuditError: the audit log cannot be read.
    """
    done: list[Passed] = []
    passing: dict[int, Passed] = {}
    for told in history.events(naming=[f'"{name}"' for name in PASSING]):
        event, facts = told.event, told.event.facts
        if event.event not in PASSING or facts.get("kind") == "duplicate":
            continue
        for entry in _entry(told):
            former = passing.get(entry)
            if event.event == "passed_unsealed":
                if former:
                    done.append(former)
                route, reason = str(facts.get("route", "")), str(facts.get("reason", ""))
                passing[entry] = Passed(told.at, route, entry, event.object, reason)
            elif former and event.event == "delivery_sent":
                to = str(facts.get("destination", ""))
                passing[entry] = replace(former, sent=(*former.sent, to))
            elif former:  # sealed after all, forgotten, or another object with this number
                done.append(passing.pop(entry))
    return sorted([*done, *passing.values()], key=lambda one: one.at)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the audit log knows to be sealed under one key.

    :param objects: how many, as far back as the log goes.
    :param last: when the last one was; seconds since the epoch, 0 if there is none.
    """

    objects: int
    last: float


def sealed_under(history: History, key_id: str) -> Sealed:
    """Return what was sealed under the key of an id (hexadecimal).

    :raises AuditError: the audit log cannot be read.
    """
    objects: set[str] = set()
    last = 0.0
    for told in history.events(naming=[f'"key_id":"{key_id}"']):
        event = told.event
        if event.event == "entry_sealed" and event.facts.get("key_id") == key_id:
            objects.add(event.object)
            last = max(last, told.at)
    return Sealed(len(objects), last)

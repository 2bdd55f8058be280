"""What the ledgers have in common: the rules of the state machine (docs/spool.md)."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from node.errors import UsageError
from node.types import Action, Decision, DeliveryState, EntryState, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.types import Part

_encode = json.JSONEncoder(separators=(",", ":")).encode

HORIZON_SECONDS = 3600.0  # no delay and no lease reaches further ahead
ENDED = (EntryState.DONE, EntryState.DISCARDED)
WORKED = (Action.SEAL, Action.RELAY)  # the actions that a worker carries out
LOST = "original_lost"  # the reason where nothing can be sealed again
UNSENT = (DeliveryState.WAITING, DeliveryState.PENDING, DeliveryState.PARKED)


def begin(decision: Decision, *, conflict: bool) -> tuple[EntryState, str]:
    """Return the first state of an entry and the reason for it."""
    if conflict:
        return EntryState.PARKED, "conflict"
    if decision.route is None:
        return EntryState.HELD, "no_route"
    if decision.action not in WORKED:
        return EntryState.HELD, "rule"
    return EntryState.RECEIVED, ""


def route_of(decision: Decision) -> tuple[str, int, int]:
    """Return name, priority and threshold; nothing where no route matched."""
    route = decision.route
    return ("", 0, 0) if route is None else (route.name, route.priority, route.threshold)


def destinations_of(decision: Decision) -> dict[str, int]:
    """Return the destinations, each with the number of its share; 0 where it gets the whole."""
    route = decision.route
    to = dict.fromkeys(route.to) if route else {}
    shared = bool(route and route.threshold)
    return {name: number if shared else 0 for number, name in enumerate(to, 1)}


def refuse_unfitting(entry: int, deliveries: Sequence[int], parts: Sequence[Part]) -> None:
    """Raise UsageError for shares that are not, one by one, those of the deliveries."""
    if sorted(deliveries) != sorted(part.share for part in parts):
        raise UsageError(f"entry {entry} wants {len(deliveries)} shares, not {len(parts)}")


def annotated(event: Event, entry: int, kind: str) -> Event:
    """Add what only the ledger knows of an accepted instance."""
    return replace(event, facts={**event.facts, "entry": entry, "kind": kind})


def choose(due: Sequence[tuple[int, int]]) -> list[int]:
    """Choose from (id, crashes), the most urgent first, what one worker may claim.

    What crashed before goes alone: its neighbours must not share the blame.
    """
    if due and due[0][1]:
        return [due[0][0]]
    return [number for number, _ in takewhile(lambda row: not row[1], due)]


def refuse_ended(entry: int, state: EntryState) -> None:
    """Raise UsageError for an entry that has ended."""
    if state in ENDED:
        raise UsageError(f"entry {entry} is {state.value}; nothing is left to do for it")


def refuse_unended(entry: int, state: EntryState) -> None:
    """Raise UsageError for an entry that still has work to do."""
    if state not in ENDED:
        raise UsageError(
            f"entry {entry} is {state.value}; only what is done or discarded is forgotten"
        )


def unread(entry: int) -> UsageError:
    """Return the error for an entry that is done, but for being read back or committed."""
    return UsageError(
        f"entry {entry} waits to be read back, committed or reported; it is kept until then"
    )


def refuse_unready(entry: int, state: EntryState) -> None:
    """Raise UsageError for an entry that has nothing sealed on its way."""
    if state is not EntryState.READY:
        raise UsageError(f"entry {entry} is {state.value}; there is nothing to seal again")


def refuse_unworked(entry: int, action: Action) -> None:
    """Raise UsageError where no worker would know what to do."""
    if action not in WORKED:
        raise UsageError(
            f"entry {entry} has no action but {action.value}",
            hint="write a route that seals or relays it, then release it",
        )


def event_text(event: Event) -> str:
    """Write an event as JSON."""
    fields = {
        "event": event.event,
        "object": event.object,
        "actor": event.actor,
        "outcome": event.outcome,
        "facts": event.facts,
    }
    return _encode(fields)


def event_of(text: str) -> Event:
    """Read what :func:`event_text` wrote."""
    return Event(**json.loads(text))


def attributes_text(attributes: dict[str, str | tuple[str, ...]]) -> str:
    """Write routing attributes as JSON."""
    return _encode(attributes)


def attributes_of(text: str) -> dict[str, str | tuple[str, ...]]:
    """Read what :func:`attributes_text` wrote; a JSON list was a tuple."""
    found: dict[str, str | Sequence[str]] = json.loads(text)
    return {key: v if isinstance(v, str) else tuple(v) for key, v in found.items()}

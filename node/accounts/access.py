"""Who did what with whose images: the audit log joined with what only its officer can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from node.accounts.about import FACT
from node.audit.reading import read
from node.types import RECEIPT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from node.audit.reading import Told

    Opener = Callable[[str], dict[str, str] | None]

CACHED = 4096  # patients
REVEALS = frozenset(
    {"objects_retrieved", "original_restored", "record_extracted", "retrieve_warned"}
)
"""Events after which somebody has seen whose image it is."""


@dataclass(frozen=True, slots=True)
class Access:
    """One event about one object.

    :param at: seconds since the epoch.
    :param patient: keywords and values; empty where they are not noted, not readable or erased.
    :param note: ``sealed`` or ``erased`` where there is a patient that cannot be read.
    """

    seq: int
    at: float
    event: str
    actor: str
    outcome: str
    object: str
    patient: dict[str, str] = field(default_factory=dict)
    note: str = ""
    facts: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for; what is empty asks for all.

    :param since: seconds since the epoch; ``until`` is the first time too late.
    :param user: an actor, or the name of a local user.
    :param patient: a Patient ID.
    :param objects: pseudonyms.
    """

    since: float = 0.0
    until: float = float("inf")
    user: str = ""
    patient: str = ""
    objects: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()

    def takes(self, told: Told) -> bool:
        """Say whether an event is asked for, as far as can be told without its object."""
        event = told.event
        return (
            self.since <= told.at < self.until
            and (not self.user or self.user in _names(event.actor))
            and (not self.events or event.event in self.events)
        )


def accesses(directory: Path, wanted: Wanted, open_: Opener | None) -> Iterator[Access]:
    """Yield what is asked for of a log, in its order; events about several objects once for each.

    :param open_: opens a patient field, None for an erased one; None where
        nobody here may.
    :raises AuditError: a line is no event.
    """
    opened = lru_cache(maxsize=CACHED)(open_) if open_ else None
    about = _about(directory)
    for told in read(directory):
        if not wanted.takes(told):
            continue
        for name in _objects(told):
            sealed = str(told.event.facts.get(FACT, "")) or about.get(name, "")
            patient, note = _patient(sealed, opened)
            if wanted.objects and name not in wanted.objects:
                continue
            if wanted.patient and patient.get("PatientID") != wanted.patient:
                continue
            event = told.event
            facts = {key: value for key, value in event.facts.items() if key not in _HIDDEN}
            yield Access(
                told.seq, told.at, event.event, event.actor, event.outcome, name,
                patient, note, facts,
            )  # fmt: skip


_HIDDEN = {FACT, RECEIPT, "objects"}


def _about(directory: Path) -> dict[str, str]:
    """Return the patient field of each object, still sealed."""
    found: dict[str, str] = {}
    entries: dict[int | float | str, str] = {}
    for told in read(directory, naming=(f'"{FACT}":"', '"entry":')):
        event = told.event
        entry = event.facts.get("entry", 0)
        sealed = str(event.facts.get(FACT, ""))
        if sealed and entry:
            entries[entry] = sealed
        if not sealed and event.object not in found:
            sealed = entries.get(entry, "")  # it was sent under another UID
        if sealed and event.object:
            found[event.object] = sealed
    return found


def _objects(told: Told) -> Collection[str]:
    several = str(told.event.facts.get("objects", ""))
    return several.split(",") if several else (told.event.object,)


def _patient(sealed: str, opened: Opener | None) -> tuple[dict[str, str], str]:
    if not sealed:
        return {}, ""
    if opened is None:
        return {}, "sealed"
    fields = opened(sealed)
    return ({}, "erased") if fields is None else (fields, "")


def _names(actor: str) -> set[str]:
    return {actor, *actor.removeprefix("local:").split("/")}

"""What differs between two configurations, in words for the audit log."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.config.config import Config

LONGEST = 4000  # characters of a difference that are told
NAMED = ("sources", "workstations", "destinations", "hospitals", "tls", "routes")


def changes(before: Config, after: Config) -> dict[str, str | int | float]:
    """Return the names of tables that differ, and every value with what it was before.

    No secret can be among them: secrets stand in files that are named only.
    """
    old, new = _tables(before), _tables(after)
    facts: dict[str, str | int | float] = {}
    for title in NAMED:
        differing = {path[1] for path in old.keys() ^ new.keys() if path[0] == title}
        differing |= {
            path[1] for path in old.keys() & new.keys()
            if path[0] == title and old[path] != new[path]
        }  # fmt: skip
        facts[title] = ",".join(sorted(differing))
    order = [r.name for r in before.routes] != [r.name for r in after.routes]
    facts["order"] = "changed" if order else "same"
    diff = "; ".join(_differences(old, new))
    facts["diff"] = diff if len(diff) <= LONGEST else f"{diff[:LONGEST]}..."
    return facts


def _differences(old: dict[tuple[str, ...], str], new: dict[tuple[str, ...], str]) -> Iterator[str]:
    for path in sorted(old.keys() | new.keys()):
        name = ".".join(path)
        if path not in new:
            yield f"-{name} {old[path]}"
        elif path not in old:
            yield f"+{name} {new[path]}"
        elif old[path] != new[path]:
            yield f"{name} {old[path]} -> {new[path]}"


def _tables(config: Config) -> dict[tuple[str, ...], str]:
    """Return every value of a configuration as text, by its path."""
    found: dict[tuple[str, ...], str] = {}
    for single in ("node", "keys", "audit", "syslog"):
        found |= dict(_values((single,), getattr(config, single)))
    for title in NAMED:
        tables = getattr(config, title)
        nouns = {noun.name: noun for noun in tables} if title == "routes" else tables
        for name, noun in nouns.items():
            found |= dict(_values((title, name), noun))
    return found


def _values(path: tuple[str, ...], noun: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    for item in fields(noun):
        value = getattr(noun, item.name)
        if is_dataclass(value):
            yield from _values((*path, item.name), value)
        else:
            yield (*path, item.name), _text(value)


def _text(value: object) -> str:
    match value:
        case Enum():
            return str(value.value)
        case bytes():
            return value.hex()
        case Path() | str():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(_text(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{key} = {_text(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)

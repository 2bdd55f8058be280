"""How a table's options are declared, and how a whole table is read."""

from __future__ import annotations

from dataclasses import MISSING, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from node.config.values import MistakeError, nearest, shown

if TYPE_CHECKING:
    from node.config.values import Reader

T = TypeVar("T")


def option(
    reader: Reader, default: object, doc: str, *, example: object = None, names: str = ""
) -> Any:
    """Declare an option.

    :param default: as it would be written in the file; None means absent.
    :param names: the kind of table that its value names, if it does.
    """
    return field(
        default_factory=lambda: None if default is None else reader(default),
        metadata={
            "read": reader, "default": default, "doc": doc, "example": example, "names": names,
        },
    )  # fmt: skip


def needed(reader: Reader, example: object, doc: str, *, names: str = "") -> Any:
    """Declare an option that has no default."""
    return field(
        metadata={"read": reader, "default": None, "doc": doc, "example": example, "names": names}
    )


def table(kind: type[T]) -> Reader:
    """Return a reader of a whole TOML table; it reports every mistake in it at once."""

    def read_table(value: object) -> T:
        if not isinstance(value, dict):
            raise MistakeError("must be a table")
        known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
        found = [
            (shown(key), f"unknown key{nearest(key, known)}") for key in value if key not in known
        ]
        values = {}
        for key, item in known.items():
            if key in value:
                try:
                    values[key] = item.metadata["read"](value[key])
                except MistakeError as error:
                    found += error.below(key)
            elif item.default_factory is MISSING:
                found.append((key, "is missing"))
        if found:
            raise MistakeError(*found, sound=values)
        return kind(**values)

    return read_table

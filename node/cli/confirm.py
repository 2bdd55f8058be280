"""A person confirms what cannot be taken back, by typing what it is about."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from node.cli.arguments import Parser
    from node.cli.output import Out


def add_yes(parser: Parser, metavar: str) -> None:
    """Add ``--yes``, which confirms without a terminal by naming the thing again."""
    parser.add_argument(
        "--yes", metavar=metavar, default="", help=f"do not ask; give {metavar} once more"
    )


def confirmed(word: str, given: str, meaning: list[str], out: Out) -> None:
    """Return if a person means it; what it means is said first, on stderr.

    :param word: what must be typed, or given with ``--yes``.
    :raises UsageError: something else was given or typed, or there is no terminal to ask on.
    """
    for line in meaning:
        out.note(line)
    if not given:
        if not sys.stdin.isatty():
            raise UsageError(
                "nobody confirmed it, and nothing was changed",
                hint=f"--yes {word} confirms without a terminal",
            )
        given = input(f"type {word} to go on: ").strip()
    if given != word:
        raise UsageError(f"that is not {word}: nothing was changed")

"""The command line's parser, and the one way to the configuration that it names.

Help is laid out here and not by ``argparse``, whose layout changes from one
Python to the next: the manual is generated from it and compared.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from node.config.load import load
from node.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.config.config import Config

WIDTH = 80
INDENT = 24  # columns before the explanation of an option
COMMON = 3  # options that every parser has; shown after its own
CONFIG_HELP = "configuration directory (default: $SEALNODE_CONFIG)"


class AskedError(Exception):
    """Help or the version was asked for; the text is the answer."""


class Parser(argparse.ArgumentParser):
    """A parser that knows ``--config`` and ``--json``, and raises instead of exiting.

    :param text: paragraphs that stand after the options, as they are.
    """

    def __init__(self, prog: str, *, description: str = "", text: str = "", **_: Any) -> None:
        super().__init__(prog, description=description, allow_abbrev=False, add_help=False)
        self._text = text
        self.add_argument(
            "--config", metavar="DIR", type=Path, default=argparse.SUPPRESS, help=CONFIG_HELP
        )
        self.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="answer in JSON, one object a line",
        )
        self.add_argument("-h", "--help", action=_Answer, help="print this and exit")

    def add_version(self, version: str) -> None:
        """Add ``--version``."""
        self.add_argument(
            "--version", action=_Answer, text=f"{version}\n", help="print the version and exit"
        )

    def error(self, message: str) -> NoReturn:
        """Raise :class:`UsageError` with the name of the help that helps."""
        raise UsageError(message, hint=f"see '{self.prog} --help'")

    def format_usage(self) -> str:
        """Return one line: the command with its arguments."""
        operands = (_operand(action) for action in self._actions if not action.option_strings)
        return f"usage: {' '.join([self.prog, '[OPTION]...', *operands])}\n"

    def format_help(self) -> str:
        """Return the whole help."""
        parts = [self.format_usage(), _filled(self.description or "")]
        operands = [action for action in self._actions if not action.option_strings]
        commands: list[tuple[str, str]] = []
        plain: list[tuple[str, str]] = []
        for action in operands:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - its only name
                commands += [
                    (name, parser.description or "") for name, parser in action.choices.items()
                ]
            else:
                plain.append((_operand(action).strip("[].") or "", _help(action)))
        spelt = [action for action in self._actions if action.option_strings]
        own = [*spelt[COMMON:], *spelt[:COMMON]]
        options = [(_spelling(action), _help(action)) for action in own]
        for title, rows in (("COMMANDS", commands), ("ARGUMENTS", plain), ("OPTIONS", options)):
            if rows:
                parts.append(section(title, rows))
        if self._text:
            parts.append(textwrap.dedent(self._text).strip("\n") + "\n")
        return "\n".join(part for part in parts if part)


class _Answer(argparse.Action):
    """An option that ends the command line with a text: the help, or one that was given."""

    def __init__(self, option_strings: Sequence[str], dest: str, text: str = "", **kw: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **kw)
        self._text = text

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise AskedError(self._text or parser.format_help())


def section(title: str, rows: list[tuple[str, str]]) -> str:
    """Return a titled list of names and their explanations."""
    lines = [title]
    for name, explanation in rows:
        filled = textwrap.wrap(explanation, WIDTH - INDENT) or [""]
        head = f"  {name}"
        if len(head) >= INDENT:
            lines.append(head)
            head = ""
        lines.append(f"{head:<{INDENT}}{filled[0]}".rstrip())
        lines += [" " * INDENT + line for line in filled[1:]]
    return "\n".join(lines) + "\n"


def configured(args: argparse.Namespace) -> Config:
    """Return the configuration that ``--config`` or ``SEALNODE_CONFIG`` names.

    :raises UsageError: neither names one.
    :raises ConfigError: it has mistakes.
    """
    return load(directory_of(args))


def directory_of(args: argparse.Namespace) -> Path:
    """Return the configuration directory.

    :raises UsageError: none is named.
    """
    directory: Path | None = args.config
    if directory is None:
        raise UsageError(
            "no configuration is named",
            hint="give --config DIR or set SEALNODE_CONFIG; 'nodectl init DIR' makes one",
        )
    return directory


def _operand(action: argparse.Action) -> str:
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - its only name
        return "COMMAND ..."
    name = str(action.metavar or action.dest.upper())
    return {"?": f"[{name}]", "*": f"[{name}]...", "+": f"{name}..."}.get(str(action.nargs), name)


def _spelling(action: argparse.Action) -> str:
    spelt = ", ".join(action.option_strings)
    if action.nargs == 0:
        return spelt
    return f"{spelt} {action.metavar or action.dest.upper()}"


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _filled(text: str) -> str:
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    return "\n\n".join(textwrap.fill(part, WIDTH) for part in paragraphs) + "\n" if text else ""

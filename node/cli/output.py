"""What a person or a script reads: answers on stdout, everything else on stderr.

stdout carries only the answer: text for people, one JSON object a line with
``--json``. Messages follow age's manner: lower case, no full stop, a hint
where something helps. Control characters in what is shown are escaped, so
that no file name and no peer can drive the terminal.
"""

from __future__ import annotations

import dataclasses
import json
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from node.errors import SealnodeError


class Out:
    """Where a verb writes to.

    :param json: whether answers are JSON lines.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO, *, json: bool = False) -> None:
        self.json = json
        self._stdout = stdout
        self._stderr = stderr

    def answer(self, facts: Mapping[str, Any], text: str | None = None) -> None:
        """Write one answer: the facts as JSON, or the text, or the facts as lines.

        :param text: what a person reads; may have several lines.
        """
        if self.json:
            self._write(json.dumps(dict(facts), default=_plain))
        elif text is not None:
            self._write("\n".join(printable(line) for line in text.split("\n")))
        else:
            width = max((len(key) for key in facts), default=0) + 1
            for key, value in facts.items():
                self._write(f"{key + ':':<{width}} {printable(_shown(value))}")

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        """Write rows: each as a JSON line, or all as an aligned table.

        :param columns: the keys that a person sees, with their titles.
        """
        if self.json:
            for row in rows:
                self.answer(row)
            return
        cells = [[printable(_shown(row.get(key, ""))) for key in columns] for row in rows]
        if self._stdout.isatty():
            self._rich_table(list(columns.values()), cells)
            return
        lines = [list(columns.values()), *cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self._write("  ".join(padded).rstrip())

    def note(self, text: str) -> None:
        """Tell a person something that is no part of the answer."""
        self._say(text)

    def warning(self, text: str) -> None:
        """Tell a person of something that will surprise."""
        self._say(f"nodectl: warning: {text}")

    def error(self, error: SealnodeError) -> None:
        """Say what went wrong, each mistake of a configuration on its own line."""
        lines = error.mistakes if isinstance(error, ConfigError) else (str(error),)
        self.complain(*lines, hint=error.hint)

    def complain(self, *lines: str, hint: str = "") -> None:
        """Write errors and what may help."""
        for line in lines:
            self._say(f"nodectl: error: {line}")
        if hint:
            self._say(f"nodectl: hint: {hint}")

    @contextmanager
    def progress(self, total: int, label: str) -> Iterator[Callable[[], None]]:
        """Give a function that counts one step; draws a bar where a terminal shows it."""
        if total < 2 or self.json or not self._stderr.isatty():  # noqa: PLR2004 - one step is none
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(file=self._stderr), transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda: bar.advance(task)

    def _rich_table(self, titles: list[str], cells: list[list[str]]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in titles:
            grid.add_column(title, overflow="fold")
        for line in cells:
            grid.add_row(*(Text(cell) for cell in line))  # Text: no markup in what peers say
        Console(file=self._stdout).print(grid)

    def _write(self, line: str) -> None:
        self._stdout.write(line + "\n")

    def _say(self, line: str) -> None:
        self._stdout.flush()  # keeps the order where both go to one place
        self._stderr.write(printable(line) + "\n")
        self._stderr.flush()


def printable(text: str) -> str:
    """Return text with control, bidirectional and lone surrogate characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def duration(seconds: float) -> str:
    """Return a time span as a person says it: ``"3 d 4 h"``, ``"12 s"``."""
    rest, parts = int(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def size(count: int) -> str:
    """Return a number of bytes with a unit: ``"512.0 MiB"``."""
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:  # noqa: PLR2004 - the definition of KiB
        amount, units = amount / 1024, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    return "" if value is None else str(value)


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")

"""Named SQL statements, kept in a ``.sql`` file beside the code that runs them."""

from __future__ import annotations

import re
from importlib.resources import files

MARK = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(file: str) -> dict[str, str]:
    """Read the statements of one file of this package, each below ``-- name: …``."""
    text = files("node.spool").joinpath(file).read_text(encoding="utf-8")
    _, *parts = MARK.split(text)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}

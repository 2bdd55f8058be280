"""The command line, run in process."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import configuration
import pytest

from node.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def nodectl() -> Callable[..., Ended]:
    """Run one command line as the console script would."""

    def call(*argv: object, environ: dict[str, str] | None = None) -> Ended:
        stdout, stderr = io.StringIO(), io.StringIO()
        status = run([str(word) for word in argv], environ or {}, stdout, stderr)
        return Ended(status, stdout.getvalue(), stderr.getvalue())

    return call


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration that is right."""
    return configuration.write(tmp_path, configuration.NODE.replace("10.0.1.0/24", "127.0.0.0/8"))


@pytest.fixture
def site(nodectl: Callable[..., Ended], tmp_path: Path) -> Path:
    """A configuration with keys, as ``nodectl init`` writes it."""
    assert nodectl("init", tmp_path / "site").status == 0
    return tmp_path / "site"

"""A configuration on disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import configuration
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a configuration that is right but for what the test changes."""
    return partial(configuration.write, tmp_path)

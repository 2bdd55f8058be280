"""The compiler, and what it keeps."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def compiled(function: F) -> F:
    """Compile as part of whatever calls it."""
    machine: Any = numba.njit(nogil=True)(function)
    return cast("F", machine)


def _edition() -> str:
    """Return a short name of these sources as they are."""
    here = Path(__file__).parent
    return f"{zlib.crc32(b''.join((here / name).read_bytes() for name in SOURCES)):08x}"


SOURCES = (
    "bounds.py",
    "coding.py",
    "counting.py",
    "desk.py",
    "fast.py",
    "fastbounds.py",
    "fastcounting.py",
    "fastlayer.py",
    "fastsearch.py",
    "fastsense.py",
    "fine/chances.py",
    "fine/fast.py",
    "fine/fastchances.py",
    "fine/model.py",
    "fine/plain.py",
    "fine/stack.py",
    "machine.py",
    "search.py",
    "settings.py",
)
"""All that the machine code is made of."""

EDITION = _edition()


def kept(function: F) -> F:
    """Compile on the first call, and keep the machine code for the next process.

    numba looks only at the age of the file that the function stands in, so
    the name says of which edition of all the sources it is. Such a function
    takes arrays and numbers only: other types would be written into what is kept.
    """
    function.__qualname__ += f"_{EDITION}"
    machine: Any = numba.njit(nogil=True, cache=True)(function)
    return cast("F", machine)

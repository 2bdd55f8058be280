"""What a rehearsal leaves uncompiled, the first image would wait for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from node.mark.rehearsal import rehearse

numba = pytest.importorskip("numba", reason="nothing is compiled without numba")


def kept():
    """Return the functions whose machine code is kept."""
    from node.mark import machine  # noqa: PLC0415 - needs numba

    root = Path(machine.__file__).parent
    for source in machine.SOURCES:
        name = ".".join(["node.mark", *(root / source).relative_to(root).with_suffix("").parts])
        for function in vars(importlib.import_module(name)).values():
            is_kept = machine.EDITION in getattr(function, "__qualname__", "")
            if is_kept and function.__module__ == name:
                yield name, function


def test_all_that_is_kept_is_compiled_for_16_bits_and_for_32_where_it_counts_in_either():
    rehearse(finer=True)
    compiled = {(name, one.__name__): len(one.signatures) for name, one in kept()}
    assert len(compiled) > 5
    assert compiled == {one: 2 if one[0] == "node.mark.fast" else 1 for one in compiled}

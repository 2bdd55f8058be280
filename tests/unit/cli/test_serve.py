"""What ``nodectl serve`` does before there are stages."""

from __future__ import annotations

import os

import pytest

from node.cli.serve import _apart
from node.errors import ConfigError


def test_keys_are_checked_in_another_process_and_what_is_wrong_is_told_here():
    def check():
        raise ConfigError([f"process {os.getpid()}"], hint="a hint")

    with pytest.raises(ConfigError) as caught:
        _apart(check)
    assert caught.value.mistakes != (f"process {os.getpid()}",)
    assert caught.value.hint == "a hint"


def test_nothing_wrong_is_told_as_nothing_and_nothing_stays_here():
    seen = []
    _apart(lambda: seen.append("a key"))
    assert seen == []


def test_a_check_that_fails_otherwise_fails_here_too():
    def check():
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        _apart(check)

"""Key files on disk: whole or as before, and never open to others."""

from __future__ import annotations

import os
import stat

import pytest

from node.crypto import keyfile
from node.errors import ConfigError


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "a.key"
    keyfile.write(path, b"one", keyfile.SECRET)
    keyfile.write(path, b"two", keyfile.SECRET)
    assert keyfile.read(path, keyfile.SECRET) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_a_new_file_is_never_open_to_others_not_even_for_a_moment(tmp_path, monkeypatch):
    modes = []
    original = os.fchmod

    def fchmod(descriptor, mode):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        original(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    keyfile.write(tmp_path / "a.key", b"secret", keyfile.SECRET)
    assert modes == [0o600]


def test_a_file_is_durable_before_its_name_is(tmp_path, monkeypatch):
    synced = []
    original = os.fsync

    def fsync(descriptor):
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "a.key").exists()))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    keyfile.write(tmp_path / "a.key", b"secret", keyfile.SECRET)
    assert synced == [(False, False), (True, True)]


def test_a_disk_that_refuses_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.key"
    keyfile.write(path, b"old", keyfile.SECRET)

    def fsync(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ConfigError) as caught:
        keyfile.write(path, b"new", keyfile.SECRET)
    assert "No space left" in caught.value.mistakes[0]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        keyfile.read(tmp_path / "a.key", keyfile.SECRET)
    assert caught.value.mistakes == (f"{tmp_path / 'a.key'}: does not exist",)


def test_public_files_may_have_any_access(tmp_path):
    path = tmp_path / "a.pub"
    path.write_bytes(b"x")
    path.chmod(0o666)
    assert keyfile.read(path, keyfile.PUBLIC) == b"x"


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_directory_that_others_can_write_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(ConfigError):
        keyfile.check_directory(tmp_path)


def test_a_file_is_no_directory(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    for wrong in (path, tmp_path / "absent"):
        with pytest.raises(ConfigError):
            keyfile.check_directory(wrong)

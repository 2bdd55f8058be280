"""Ending an epoch: retired keys open and never seal, destroyed ones do neither."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest

from node.crypto import custody, ending, keyfile
from node.crypto.epoch import parse_ending
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, NotOurKeyError, UnreadableError
from node.types import Binding

BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")
NOW = 1_790_000_000.0


def clock() -> float:
    return NOW


@pytest.fixture
def keys(tmp_path):
    custody.create(tmp_path / "keys", clock=clock, suite="x25519")
    return DirectoryKeys(tmp_path / "keys")


@contextmanager
def refused(words):
    with pytest.raises(ConfigError) as caught:
        yield
    assert words in " ".join(caught.value.mistakes)


def sealed(keys) -> tuple[str, bytes]:
    sealer = keys.sealer()
    return sealer.key_id.hex(), sealer.seal(b"patient", BINDING, b"record")


def test_a_retired_epoch_opens_and_its_successor_seals(keys):
    key, payload = sealed(keys)
    ended, begun = ending.retire(keys.directory, key, clock=clock)
    assert (ended.number, begun.epoch) == (1, 2)
    assert keys.sealer().key_id.hex() == begun.id
    assert keys.opener().open(payload, BINDING, b"record") == b"patient"


def test_a_retired_key_that_comes_back_from_a_backup_does_not_seal(keys):
    key, _ = sealed(keys)
    old = (keys.directory / "epoch.key").read_bytes()
    ending.retire(keys.directory, key, clock=clock)
    keyfile.write(keys.directory / "epoch.key", old, keyfile.SECRET)
    with refused("was retired on 2026-09-21"):
        keys.sealer()
    custody.rotate(keys.directory, clock=clock)
    assert keys.epoch().number == 3


def test_an_epoch_that_is_not_the_current_one_is_retired_without_a_new_one(keys):
    key, _ = sealed(keys)
    custody.rotate(keys.directory, clock=clock)
    _, begun = ending.retire(keys.directory, key, clock=clock)
    assert begun is None
    with refused("it was retired"):
        ending.retire(keys.directory, key, clock=clock)


def test_nothing_opens_what_a_destroyed_epoch_sealed(keys):
    key, payload = sealed(keys)
    ending.retire(keys.directory, key, clock=clock)
    capsule = keys.capsule_path(bytes.fromhex(key)).read_bytes()
    ending.destroy(keys.directory, key, clock=clock)
    with pytest.raises(NotOurKeyError, match="was destroyed on 2026-09-21"):
        keys.opener().open(payload, BINDING, b"record")
    assert all(one.read_bytes() != capsule for one in keys.directory.rglob("*") if one.is_file())


def test_a_capsule_that_comes_back_does_not_open_and_goes_again(keys):
    key, payload = sealed(keys)
    custody.rotate(keys.directory, clock=clock)
    path = keys.capsule_path(bytes.fromhex(key))
    capsule = path.read_bytes()
    ending.destroy(keys.directory, key, clock=clock)
    path.write_bytes(capsule)
    with pytest.raises(NotOurKeyError):
        keys.opener().open(payload, BINDING, b"record")
    ending.destroy(keys.directory, key, clock=clock)
    assert not path.exists()


def test_the_current_epoch_is_not_destroyed(keys):
    key, payload = sealed(keys)
    with refused("is the current one"):
        ending.destroy(keys.directory, key, clock=clock)
    assert keys.opener().open(payload, BINDING, b"record") == b"patient"


def test_destroying_that_breaks_off_leaves_nothing_that_opens(keys, monkeypatch):
    key, payload = sealed(keys)
    custody.rotate(keys.directory, clock=clock)

    def fail(path):
        raise keyfile.mistake(path, "cannot be destroyed")

    monkeypatch.setattr(keyfile, "shred", fail)
    with pytest.raises(ConfigError):
        ending.destroy(keys.directory, key, clock=clock)
    with pytest.raises(NotOurKeyError):
        keys.opener().open(payload, BINDING, b"record")


def test_a_key_id_and_a_number_are_never_used_again(keys):
    key, _ = sealed(keys)
    secrets = iter([keys.epoch().key.secret(), b"2" * 32, b"2" * 32, b"3" * 32])
    custody.rotate(keys.directory, clock=clock)
    ending.destroy(keys.directory, key, clock=clock)
    first = custody.rotate(keys.directory, clock=clock, random=lambda _: next(secrets))
    second = custody.rotate(keys.directory, clock=clock, random=lambda _: next(secrets))
    assert (first.epoch, second.epoch) == (3, 4)
    assert len({key, first.id, second.id}) == 3


def test_a_copy_that_still_opens_a_destroyed_epoch_is_found(keys, tmp_path):
    key, _ = sealed(keys)
    custody.rotate(keys.directory, clock=clock)
    shutil.copytree(keys.directory, tmp_path / "copy")
    ending.destroy(keys.directory, key, clock=clock)
    found = custody.verify_backup(keys.directory, tmp_path / "copy")
    assert [(one.epoch, one.state) for one in found] == [(2, "opens"), (1, "not_destroyed")]


def test_the_file_of_an_ending_has_one_form(keys):
    key, _ = sealed(keys)
    ended, _ = ending.retire(keys.directory, key, clock=clock)
    assert parse_ending(ended.render()) == ended
    for forged in (
        ended.render().replace(b"retired", b"paused"),
        ended.render().replace(b"id: ", b"id: 0"),
        ended.render() + b"\n",
    ):
        with pytest.raises(UnreadableError):
            parse_ending(forged)


def test_an_ending_under_another_name_is_refused(keys):
    key, _ = sealed(keys)
    ended, _ = ending.retire(keys.directory, key, clock=clock)
    path = keys.ending_path(ended.key_id)
    path.rename(path.with_name("00000000.end"))
    with refused("holds the end of"):
        keys.sealer()

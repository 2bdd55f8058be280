"""The contract of every key provider: each test runs against all of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

import pytest

from node.crypto import custody
from node.crypto.keyring import DirectoryKeys, MemoryKeys
from node.errors import ConfigError, DamagedError, NotOurKeyError, UnreadableError
from node.types import Binding

if TYPE_CHECKING:
    from pathlib import Path

    from node.crypto.base import KeyProvider

BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", 512, 512, 1, 1, 16, 12, 0)
PURPOSE = b"record"


class Site(Protocol):
    """A site under test: its keys, and a way to begin a new epoch."""

    def keys(self) -> KeyProvider: ...

    def rotate(self) -> None: ...


class MemorySite:
    def __init__(self, secrets: list[bytes]) -> None:
        self.secrets = secrets

    def keys(self) -> MemoryKeys:
        return MemoryKeys(self.secrets)

    def rotate(self) -> None:
        self.secrets.append(hashlib.sha256(self.secrets[-1]).digest())


class DirectorySite:
    def __init__(self, directory: Path, suite: str) -> None:
        self.directory = directory
        self.now = 1_790_000_000.0
        custody.create(directory, clock=lambda: self.now, suite=suite)

    def keys(self) -> DirectoryKeys:
        return DirectoryKeys(self.directory)

    def rotate(self) -> None:
        custody.rotate(self.directory, clock=lambda: self.now)


@pytest.fixture(params=["memory", "mlkem768-x25519", "x25519", "mlkem768", "p256", "rsa-oaep-3072"])
def site(request, tmp_path) -> Site:
    if request.param == "memory":
        return MemorySite([b"1" * 32])
    return DirectorySite(tmp_path / "keys", request.param)


def test_what_the_sealer_closes_the_opener_and_the_prover_open(site):
    keys = site.keys()
    closed = keys.sealer().seal(b"patient", BINDING, PURPOSE)
    assert keys.opener().open(closed, BINDING, PURPOSE) == b"patient"
    assert keys.prover().open(closed, BINDING, PURPOSE) == b"patient"


def test_the_payload_bears_the_key_id_of_the_sealer(site):
    sealer = site.keys().sealer()
    assert sealer.seal(b"", BINDING, PURPOSE)[2:6] == sealer.key_id


def test_two_sealers_of_one_epoch_make_the_same_bytes(site):
    one, other = site.keys().sealer(), site.keys().sealer()
    assert one.seal(b"a", BINDING, PURPOSE) == other.seal(b"a", BINDING, PURPOSE)


def test_all_three_agree_on_the_mark_key(site):
    keys = site.keys()
    sealer = keys.sealer()
    expected = (sealer.key_id, sealer.tag_key(BINDING))
    assert next(iter(keys.opener().tag_keys(BINDING))) == expected
    assert list(keys.prover().tag_keys(BINDING)) == [expected]


def test_after_a_rotation_the_opener_opens_old_and_new(site):
    old = site.keys().sealer().seal(b"old", BINDING, PURPOSE)
    site.rotate()
    new = site.keys().sealer().seal(b"new", BINDING, PURPOSE)
    opener = site.keys().opener()
    assert opener.open(old, BINDING, PURPOSE) == b"old"
    assert opener.open(new, BINDING, PURPOSE) == b"new"
    assert old[2:6] != new[2:6]


def test_after_a_rotation_the_prover_knows_the_new_epoch_alone(site):
    old = site.keys().sealer().seal(b"old", BINDING, PURPOSE)
    site.rotate()
    with pytest.raises(NotOurKeyError):
        site.keys().prover().open(old, BINDING, PURPOSE)


def test_mark_keys_come_newest_first(site):
    ids = [site.keys().sealer().key_id]
    for _ in range(3):
        site.rotate()
        ids.insert(0, site.keys().sealer().key_id)
    assert [key_id for key_id, _ in site.keys().opener().tag_keys(BINDING)] == ids


def test_an_altered_payload_is_damaged_for_opener_and_prover(site):
    keys = site.keys()
    closed = bytearray(keys.sealer().seal(b"a", BINDING, PURPOSE))
    closed[-1] ^= 1
    for opener in (keys.opener(), keys.prover()):
        with pytest.raises(DamagedError):
            opener.open(bytes(closed), BINDING, PURPOSE)


def test_bytes_that_are_no_payload_are_unreadable(site):
    with pytest.raises(UnreadableError):
        site.keys().opener().open(b"not a payload", BINDING, PURPOSE)


@pytest.mark.parametrize("part", ["sealer", "prover", "opener"])
def test_a_provider_without_keys_says_so(part, tmp_path):
    for keys in (MemoryKeys([]), DirectoryKeys(tmp_path / "absent")):
        with pytest.raises(ConfigError):
            getattr(keys, part)()


def test_no_provider_shows_a_secret(site):
    keys = site.keys()
    shown = repr(keys) + repr(keys.sealer()) + repr(keys.opener()) + repr(keys.prover())
    if isinstance(site, MemorySite):
        assert "1111" not in shown
    assert keys.sealer().key_id.hex() in shown

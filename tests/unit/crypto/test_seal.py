"""Closing and opening: the equations of payload-v1, and what is refused how."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.crypto import payload
from node.crypto.seal import EpochKey, EpochSealer, KeyringOpener
from node.errors import DamagedError, NotOurKeyError, UnreadableError, UnsealableError
from node.types import Binding

SECRET = bytes(range(32))
BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", 512, 512, 1, 1, 16, 12, 0)
KEY = EpochKey(SECRET)
SEALER = EpochSealer(KEY)
OPENER = KeyringOpener([KEY])


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for 32 bytes, written out once more so that the code has a witness."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")


def test_hkdf_is_that_of_rfc_5869():
    # RFC 5869 A.1: the first 32 bytes of its output
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_a_payload_follows_the_equations_of_the_specification():
    plaintext = b"the patient"
    key_id = hashlib.sha256(b"sealnode/v1/key-id" + SECRET).digest()[:4]
    data = payload.associated_data(key_id, b"record", BINDING)
    digest = hashlib.sha256(data).digest()
    salt_key = hkdf(SECRET, b"", b"sealnode/v1/salt")
    salt = hmac.digest(salt_key, digest + plaintext, "sha256")[:16]
    key = hkdf(SECRET, salt, b"sealnode/v1/object" + digest)
    ciphertext = AESGCM(key).encrypt(bytes(12), plaintext, data)
    expected = b"\x01\x01" + key_id + salt + ciphertext
    assert SEALER.seal(plaintext, BINDING, b"record") == expected


def test_the_mark_key_follows_the_equation_of_the_specification():
    digest = hashlib.sha256(payload.encode_binding(BINDING)).digest()
    expected = hkdf(SECRET, b"", b"sealnode/v1/mark" + digest)
    assert SEALER.tag_key(BINDING) == expected
    assert list(OPENER.tag_keys(BINDING)) == [(KEY.key_id, expected)]


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(5000)])
def test_what_was_sealed_opens(plaintext):
    closed = SEALER.seal(plaintext, BINDING, b"record")
    assert len(closed) == len(plaintext) + 38
    assert OPENER.open(closed, BINDING, b"record") == plaintext


def test_sealing_twice_gives_the_same_bytes():
    assert SEALER.seal(b"a", BINDING, b"record") == SEALER.seal(b"a", BINDING, b"record")


def test_other_plaintexts_bindings_and_purposes_have_other_salts():
    other = dataclasses.replace(BINDING, rows=511)
    salts = {
        payload.parse(SEALER.seal(*arguments)).salt
        for arguments in [
            (b"a", BINDING, b"record"),
            (b"b", BINDING, b"record"),
            (b"a", other, b"record"),
            (b"a", BINDING, b"header"),
        ]
    }
    assert len(salts) == 4


def test_a_payload_does_not_open_in_another_object():
    closed = SEALER.seal(b"a", BINDING, b"record")
    for field in dataclasses.fields(BINDING):
        value = "1.9" if field.type == "str" else getattr(BINDING, field.name) + 1
        with pytest.raises(DamagedError):
            OPENER.open(closed, dataclasses.replace(BINDING, **{field.name: value}), b"record")


def test_a_payload_does_not_open_for_another_purpose():
    with pytest.raises(DamagedError):
        OPENER.open(SEALER.seal(b"a", BINDING, b"record"), BINDING, b"header")


def test_every_single_bit_is_guarded_and_refused_as_what_it_is():
    closed = SEALER.seal(b"abc", BINDING, b"record")
    for bit in range(len(closed) * 8):
        forged = bytearray(closed)
        forged[bit // 8] ^= 1 << bit % 8
        expected = UnreadableError if bit < 16 else NotOurKeyError if bit < 48 else DamagedError
        if forged[:2] == b"\x01\x03":  # the suite that codes as DNA
            expected = DamagedError
        with pytest.raises(expected):
            OPENER.open(bytes(forged), BINDING, b"record")


def test_a_payload_with_a_salt_of_its_own_choosing_is_damaged():
    """Someone who holds the epoch key still cannot make a second payload of a plaintext."""
    data = payload.associated_data(KEY.key_id, b"record", BINDING)
    digest = hashlib.sha256(data).digest()
    key = hkdf(SECRET, b"s" * 16, b"sealnode/v1/object" + digest)
    ciphertext = AESGCM(key).encrypt(bytes(12), b"a", data)
    forged = payload.pack(payload.Payload(KEY.key_id, b"s" * 16, ciphertext))
    with pytest.raises(DamagedError):
        OPENER.open(forged, BINDING, b"record")


def test_another_key_is_named_and_not_called_damage():
    closed = EpochSealer(EpochKey(bytes(32))).seal(b"a", BINDING, b"record")
    with pytest.raises(NotOurKeyError) as caught:
        OPENER.open(closed, BINDING, b"record")
    assert closed[2:6].hex() in str(caught.value)


def test_an_opener_tries_its_keys_newest_first():
    older, newer = EpochKey(b"1" * 32), EpochKey(b"2" * 32)
    opener = KeyringOpener([newer, older])
    assert [key_id for key_id, _ in opener.tag_keys(BINDING)] == [newer.key_id, older.key_id]
    assert opener.key_ids == (newer.key_id, older.key_id)
    closed = EpochSealer(older).seal(b"a", BINDING, b"record")
    assert opener.open(closed, BINDING, b"record") == b"a"


def test_a_plaintext_beyond_the_limit_is_refused():
    with pytest.raises(UnsealableError, match="16 MiB"):
        SEALER.seal(bytes(payload.MAX_PLAINTEXT + 1), BINDING, b"record")


def test_a_key_of_another_length_is_no_key():
    with pytest.raises(ValueError, match="32 bytes"):
        EpochKey(bytes(31))


@pytest.mark.parametrize("holder", [KEY, SEALER, OPENER])
def test_nothing_that_holds_a_key_shows_more_than_its_id(holder):
    shown = repr(holder) + str(holder)
    assert KEY.key_id.hex() in shown
    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown


@pytest.mark.parametrize("holder", [KEY, SEALER, OPENER])
def test_nothing_that_holds_a_key_can_be_pickled(holder):
    with pytest.raises(TypeError):
        pickle.dumps(holder)

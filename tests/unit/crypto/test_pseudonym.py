"""Pseudonyms of UIDs for logs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import pickle

import pytest

from node.crypto.pseudonym import Pseudonymizer

KEY = bytes(range(32))


def test_a_pseudonym_is_the_published_function_of_key_and_uid():
    digest = hmac.new(KEY, b"1.2.3", hashlib.sha256).digest()
    expected = base64.b32encode(digest[:10]).decode()
    assert Pseudonymizer(KEY).pseudonym("1.2.3") == expected
    assert len(expected) == 16


def test_other_uids_and_other_keys_give_other_pseudonyms():
    found = {Pseudonymizer(key).pseudonym(uid) for key in (KEY, bytes(32)) for uid in ("1", "1.2")}
    assert len(found) == 4


def test_the_key_is_not_shown_and_not_pickled():
    assert repr(Pseudonymizer(KEY)) == "<Pseudonymizer>"
    with pytest.raises(TypeError):
        pickle.dumps(Pseudonymizer(KEY))

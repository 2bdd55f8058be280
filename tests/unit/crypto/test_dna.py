"""DNA coding: exact both ways, as the page says it, and nothing but a coding."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given
from hypothesis import strategies as st

from node.crypto import dna, payload
from node.crypto.seal import EpochKey, EpochSealer, KeyringOpener
from node.types import Binding

KEY = bytes(range(32))
BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", 512, 512, 1, 1, 16, 12, 0)
keys = st.binary(min_size=32, max_size=32)


@given(st.binary(max_size=300), keys)
def test_decoding_gives_back_what_was_coded_in_as_many_bytes(plaintext, key):
    coded = dna.encode(plaintext, key)
    assert len(coded) == len(plaintext)
    assert dna.decode(coded, key) == plaintext


@given(st.binary(max_size=100), keys)
def test_it_is_the_coding_that_the_page_describes_base_by_base(plaintext, key):
    blocks = -(-len(plaintext) // 16)
    drawn = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(1000))
    expected = bytearray()
    for at, byte in enumerate(plaintext):
        first, second = (dna.RULES[drawn[at // 16] >> shift & 7] for shift in (0, 3))
        value = 0
        for shift in (6, 4, 2, 0):
            base = first[byte >> shift & 3]
            other = "ACGT"[drawn[blocks + at] >> shift & 3]
            total = "ACGT"[("ACGT".index(base) + "ACGT".index(other)) % 4]
            value |= second.index(total) << shift
        expected.append(value)
    assert dna.encode(plaintext, key) == bytes(expected)


def test_the_rules_are_the_eight_in_which_complements_are_complements():
    pairs = {"AT", "TA", "CG", "GC"}
    assert len(set(dna.RULES)) == 8
    assert all({rule[0] + rule[3], rule[1] + rule[2]} <= pairs for rule in dna.RULES)


def test_a_payload_is_no_longer_and_opens_without_being_told_of_the_coding():
    key = EpochKey(KEY)
    plain, coded = (EpochSealer(key, suite) for suite in payload.SUITES)
    one, other = (sealer.seal(b"patient" * 9, BINDING, b"record") for sealer in (plain, coded))
    assert len(one) == len(other)
    assert one[1:2] + other[1:2] == b"\x01\x03"
    assert coded.seal(b"patient" * 9, BINDING, b"record") == other
    assert KeyringOpener([key]).open(other, BINDING, b"record") == b"patient" * 9


@pytest.mark.parametrize("length", [0, 15, 16, 17, 5000])
def test_the_coding_depends_on_the_key(length):
    plaintext = bytes(length)
    assert (dna.encode(plaintext, KEY) == dna.encode(plaintext, bytes(32))) == (length == 0)

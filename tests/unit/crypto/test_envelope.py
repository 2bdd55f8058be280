from __future__ import annotations

import subprocess

import peers
import pytest
from certificates import rsa_pair
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.envelope import Custodian, Envelope
from node.errors import NotOurKeyError, UnreadableError

SECRET = b"s" * 32
ONE, TWO, SHORT = rsa_pair("one"), rsa_pair("two"), rsa_pair("short", bits=1024)


@settings(max_examples=12, deadline=None)
@given(st.binary(max_size=300))
def test_each_holder_of_a_certificate_gets_the_content_and_nobody_else(content):
    closed = Envelope([ONE[0], TWO[0]], SECRET).close(content)

    assert Custodian(*ONE).open(closed) == Custodian(*TWO).open(closed) == content
    with pytest.raises(NotOurKeyError):
        Custodian(*TWO).open(Envelope([ONE[0]], SECRET).close(content))


def test_the_same_content_gives_the_same_bytes_in_any_order_and_other_content_others():
    closed = Envelope([ONE[0], TWO[0]], SECRET).close(b"content")

    assert Envelope([TWO[0], ONE[0]], SECRET).close(b"content") == closed
    assert Envelope([TWO[0], ONE[0]], b"t" * 32).close(b"content") != closed


def test_an_envelope_that_an_element_padded_opens():
    assert Custodian(*ONE).open(Envelope([ONE[0]], SECRET).close(b"1") + b"\0") == b"1"


@pytest.mark.parametrize("bytes_", [b"", b"\x30", b"\x30\x84", b"\x30\x03\x02\x01\x00", b"x" * 99])
def test_what_is_no_envelope_is_refused(bytes_):
    with pytest.raises(NotOurKeyError):
        Custodian(*ONE).open(bytes_)


def test_certificates_and_keys_that_do_not_serve_are_refused():
    with pytest.raises(UnreadableError, match="2048 bits"):
        Envelope([SHORT[0]], SECRET)
    with pytest.raises(UnreadableError, match="no certificate"):
        Envelope([b"x"], SECRET)
    with pytest.raises(UnreadableError, match="not the key"):
        Custodian(ONE[0], TWO[1])
    with pytest.raises(UnreadableError, match="no private key"):
        Custodian(ONE[0], b"x")


@pytest.mark.peers
def test_openssl_opens_it(tmp_path):
    peers.needed("openssl")
    names = {"it": Envelope([ONE[0]], SECRET).close(b"a\r\nb\0"), "pem": ONE[0], "key": ONE[1]}
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)

    done = subprocess.run(
        [peers.program("openssl"), "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "it",
         "-recip", "pem", "-inkey", "key"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip

    assert done.stdout == b"a\r\nb\0"

"""Signed notes: what they say, and that nothing else passes for one."""

from __future__ import annotations

import base64
import hashlib

import pytest

from node.audit.checkpoint import Checkpoint, Signer, Verifier, generate
from node.errors import AuditError, ConfigError

ROOT = hashlib.sha256(b"root").digest()
TIME = "2026-01-02T03:04:05.678901Z"
# The key pair of the documentation of Go's golang.org/x/mod/sumdb/note.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.fixture(scope="module")
def keys():
    return generate("sealnode/test")


def test_a_note_reads_as_it_was_signed(keys):
    private, public = keys
    note = Signer(private).sign(7, ROOT, TIME)
    assert Verifier(public).open(note) == Checkpoint("sealnode/test", 7, ROOT, TIME)
    assert Signer(private).public_key == public.strip()


def test_a_note_has_the_form_of_c2sp(keys):
    lines = Signer(keys[0]).sign(7, ROOT, TIME).split("\n")
    assert lines[:3] == ["sealnode/test", "7", base64.b64encode(ROOT).decode()]
    assert lines[3:5] == [TIME, ""]
    assert lines[5].startswith("\u2014 sealnode/test ")
    assert lines[6:] == [""]


def test_keys_are_those_of_go_notes():
    assert Signer(GO_PRIVATE).public_key == GO_PUBLIC


def test_two_keys_are_never_the_same():
    assert generate("a")[0] != generate("a")[0]


def test_every_changed_character_of_a_note_is_noticed(keys):
    private, public = keys
    note = Signer(private).sign(12, ROOT, TIME)
    verifier = Verifier(public)
    for place in range(len(note)):
        for other in ("A", "\n", ""):
            changed = note[:place] + other + note[place + 1 :]
            if changed != note and changed.rstrip("\n") != note.rstrip("\n"):
                with pytest.raises(AuditError):
                    verifier.open(changed)


def test_a_note_of_another_key_is_refused(keys):
    note = Signer(generate("sealnode/test")[0]).sign(7, ROOT, TIME)
    with pytest.raises(AuditError):
        Verifier(keys[1]).open(note)


def test_a_witness_may_add_its_signature(keys):
    private, public = keys
    witness, witness_public = generate("witness")
    note = Signer(private).sign(7, ROOT, TIME)
    other = Signer(witness).sign(7, ROOT, TIME).splitlines()[-1]
    assert Verifier(public).open(note + other + "\n").size == 7
    with pytest.raises(AuditError):
        Verifier(witness_public).open(note + other + "\n")  # it signed another text


@pytest.mark.parametrize(
    "text",
    [
        "name\n007\n{root}\n{time}\n",
        "name\n-7\n{root}\n{time}\n",
        "name\nseven\n{root}\n{time}\n",
        "name\n7\n{root}\n",
        "name\n7\n{root}\n{time}\nmore\n",
        "name\n7\nAAAA\n{time}\n",
        "name\n7\n!\n{time}\n",
    ],
)
def test_a_signed_text_of_another_form_is_refused(text):
    private, public = generate("name")
    signer = Signer(private)
    text = text.format(root=base64.b64encode(ROOT).decode(), time=TIME)
    mark = base64.b64encode(Verifier(public)._id + signer._key.sign(text.encode())).decode()
    with pytest.raises(AuditError, match="form"):
        Verifier(public).open(f"{text}\n\u2014 name {mark}\n")


@pytest.mark.parametrize(
    "key",
    [
        "", "name", "name+00000000", "name+zz+AAAA", GO_PUBLIC[:-4], GO_PUBLIC.replace("c7", "c8"),
        GO_PUBLIC.replace("Peter", "Piter"), GO_PUBLIC.replace("+AR", "+BR"), GO_PRIVATE,
    ],
)  # fmt: skip
def test_what_is_no_public_key_is_refused(key):
    with pytest.raises(ConfigError):
        Verifier(key)


@pytest.mark.parametrize(
    "key", ["", GO_PUBLIC, GO_PRIVATE[:-4], GO_PRIVATE.replace("c74f", "c74e")]
)
def test_what_is_no_private_key_is_refused(key):
    with pytest.raises(ConfigError):
        Signer(key)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_a_note_cannot_carry_is_refused(name):
    with pytest.raises(ConfigError):
        generate(name)

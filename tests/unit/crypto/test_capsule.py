"""Capsules: for whom they open, and what is noticed."""

from __future__ import annotations

import dataclasses

import pytest

from node.crypto import capsule, recipient
from node.crypto.seal import EpochKey
from node.errors import DamagedError, UnreadableError

NOW = 1_790_000_000
KEY = EpochKey(bytes(range(32)))
SITE = recipient.generate("site", NOW, "x25519")
ARCHIVE = recipient.generate("archive", NOW, "p256")
STRANGER = recipient.generate("stranger", NOW, "x25519")
CAPSULE = capsule.make(KEY, 3, NOW, [SITE.recipient, ARCHIVE.recipient])
TEXT = CAPSULE.render()


@pytest.mark.parametrize("identity", [SITE, ARCHIVE])
def test_it_opens_for_each_recipient(identity):
    opened = capsule.parse_capsule(TEXT).open(identity)
    assert opened is not None
    assert opened.secret() == KEY.secret()


def test_it_is_for_nobody_else():
    assert capsule.parse_capsule(TEXT).open(STRANGER) is None


def test_it_reads_as_it_was_written():
    assert capsule.parse_capsule(TEXT) == CAPSULE
    assert TEXT.startswith(
        f"sealnode capsule v1\nepoch: 3\nid: {KEY.key_id.hex()}\ncreated: ".encode()
    )
    assert f"-> x25519 {SITE.recipient.id} site\n".encode() in TEXT


@pytest.mark.parametrize(
    "altered",
    [
        dataclasses.replace(CAPSULE, epoch=4),
        dataclasses.replace(CAPSULE, created=NOW + 1),
        dataclasses.replace(CAPSULE, slots=CAPSULE.slots[:1]),
        dataclasses.replace(CAPSULE, slots=CAPSULE.slots[::-1]),
        dataclasses.replace(CAPSULE, mac=bytes(32)),
        dataclasses.replace(CAPSULE, key_id=b"abcd"),
    ],
)
def test_whoever_opens_it_notices_every_change(altered):
    with pytest.raises(DamagedError):
        capsule.parse_capsule(altered.render()).open(SITE)
    with pytest.raises(DamagedError):
        altered.check(KEY)


def test_the_capsule_of_another_key_does_not_fit():
    with pytest.raises(DamagedError):
        CAPSULE.check(EpochKey(bytes(32)))


def test_a_key_of_another_length_inside_is_damage():
    slot = dataclasses.replace(CAPSULE.slots[0], wrapped=SITE.recipient.wrap(b"k", KEY.key_id))
    made = capsule.assemble(KEY, 3, NOW, (slot,))
    with pytest.raises(DamagedError):
        made.open(SITE)


@pytest.mark.parametrize("recipients", [[], [SITE.recipient, SITE.recipient]])
def test_a_capsule_has_recipients_and_none_twice(recipients):
    with pytest.raises(ValueError, match="recipients"):
        capsule.make(KEY, 1, NOW, recipients)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"epoch: 3", b"epoch: 0"),
        (b"epoch: 3", b"epoch: 03"),
        (b"epoch: 3", b"epoch: -3"),
        (b"id: " + KEY.key_id.hex().encode(), b"id: " + KEY.key_id.hex().upper().encode() + b"F"),
        (b"id: " + KEY.key_id.hex().encode(), b"id: abc"),
        (b"-> mac\n", b"-> mic\n"),
        (b"-> x25519 ", b"-> x25519 x "),
    ],
)
def test_other_spellings_are_refused(old, new):
    assert old in TEXT
    with pytest.raises(UnreadableError):
        capsule.parse_capsule(TEXT.replace(old, new))


def test_a_capsule_without_recipients_or_with_one_twice_is_refused():
    bare = TEXT[: TEXT.index(b"-> x25519")] + TEXT[TEXT.index(b"-> mac") :]
    slot = TEXT[TEXT.index(b"-> x25519") : TEXT.index(b"-> p256")]
    twice = TEXT.replace(slot, slot + slot)
    for forged in (bare, twice):
        with pytest.raises(UnreadableError):
            capsule.parse_capsule(forged)

"""Splitting and combining: any k of n, and what becomes of liars."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from node.crypto.shares import scheme, shamir, tree
from node.crypto.shares.judging import State
from node.crypto.shares.keys import SetKeys, derive
from node.crypto.shares.share import Mode, Share, leaf, parse
from node.crypto.shares.signer import Signer
from node.errors import DamagedError, UnreadableError, UsageError

SITE, OTHER = Signer(bytes(32)), Signer(b"\1" * 32)
OBJECT = os.urandom(1001)


def split(k=3, n=5, mode=Mode.COMPUTATIONAL, by=SITE, data=OBJECT) -> list[bytes]:
    return [bytes(one) for one in scheme.split(data, k, n, mode=mode, by=by)]


def states(report) -> list[State]:
    return [one.state for one in report.findings]


def altered(share: bytes, at: int) -> bytes:
    changed = bytearray(share)
    changed[at] ^= 1
    return bytes(changed)


def rebuilt(shares: list[bytes], keep: list[int], bodies: list[bytes], by: Signer | None):
    """Return shares of the numbers kept, with other bodies, in a tree and set of their own."""
    parsed = [parse(shares[i - 1]) for i in keep]
    secret = shamir.join({one.index: one.key_share for one in parsed}).tobytes()
    keys = SetKeys(secret, parsed[0].about)
    leaves = {
        one.index: leaf(one.about, one.index, one.key_share, keys.tag(one.index, body))
        for one, body in zip(parsed, bodies, strict=True)
    }
    all_leaves = [leaves.get(i, bytes(32)) for i in range(1, parsed[0].about.n + 1)]
    root = tree.root(all_leaves)
    made = []
    for one, body in zip(parsed, bodies, strict=True):
        path = tree.path(all_leaves, one.index - 1)
        signature = by.sign(one.about.pack(), root) if by else b""
        tag = keys.tag(one.index, body)
        lie = Share(one.about, one.index, one.key_share, tag, path, root, signature, b"")
        made.append(lie.pack_head() + body)
    return made


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("k", "n"), [(k, n) for n in range(2, 9) for k in range(2, n + 1)])
def test_any_k_of_n_give_the_object_and_no_fewer_do(mode, k, n):
    shares = split(k, n, mode)
    for chosen in itertools.combinations(shares, k):
        assert scheme.combine(chosen, trusted=[SITE.public]).data == OBJECT
    for chosen in itertools.combinations(shares, k - 1):
        with pytest.raises(UnreadableError):
            scheme.combine(chosen)


@pytest.mark.parametrize("mode", list(Mode))
def test_k_minus_1_shares_dressed_up_as_enough_give_nothing(mode):
    """Not only the count stands in the way: the secret that they give is another one."""
    shares = split(3, 5, mode, by=None)
    pair = [parse(one) for one in shares[:2]]
    about = replace(pair[0].about, k=2)
    secret = shamir.join({one.index: one.key_share for one in pair}).tobytes()
    keys = SetKeys(secret, about)
    assert not any(keys.fits(one) for one in pair)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("length", [0, 1, 7, 8, 16, 4096, 70_001])
def test_objects_of_every_length_come_back(mode, length):
    data = os.urandom(length)
    assert scheme.combine(split(2, 3, mode, data=data)[1:]).data == data


@pytest.mark.parametrize("mode", list(Mode))
def test_what_proves_itself_may_go_without_commitment(mode):
    shares = scheme.split(OBJECT, 3, 5, mode=mode, by=SITE, bind=False)
    assert not parse(shares[0]).about.bound
    assert scheme.combine(shares[2:], trusted=[SITE.public]).data == OBJECT


@pytest.mark.parametrize("mode", list(Mode))
def test_every_changed_bit_of_a_share_is_found_and_the_rest_still_combine(mode):
    shares = split(2, 3, mode, data=b"x" * 40)
    for at in range(len(shares[0])):
        given = [altered(shares[0], at), *shares[1:]]
        done = scheme.combine(given, trusted=[SITE.public])
        assert done.data == b"x" * 40
        found = states(done.report)
        assert found[0] in {State.DAMAGED, State.UNREADABLE, State.UNTRUSTED, State.STRANGER}
        assert found[1:] == [State.GOOD, State.GOOD]


def test_two_liars_of_five_are_named_and_three_of_five_are_too_many():
    shares = split(3, 5)
    lies = [altered(shares[0], -1), altered(shares[1], 100)]
    done = scheme.combine([*lies, *shares[2:]], trusted=[SITE.public])
    assert done.data == OBJECT
    assert states(done.report)[:2] == [State.DAMAGED, State.DAMAGED]
    with pytest.raises(DamagedError, match="too few good shares: 2 of 5"):
        scheme.combine([*lies, altered(shares[2], -1), *shares[3:]], trusted=[SITE.public])


def test_a_share_put_under_the_number_of_another_is_found():
    shares = split(2, 3)
    moved = bytearray(shares[0])
    moved[96] = 2
    assert states(scheme.combine([moved, *shares[1:]]).report)[0] is State.DAMAGED


def test_a_set_that_someone_else_signed_does_not_count():
    mine, theirs = split(), split(by=OTHER, data=b"something else")
    report = scheme.combine([*theirs, *mine], trusted=[SITE.public]).report
    assert states(report) == [State.UNTRUSTED] * 5 + [State.GOOD] * 5
    with pytest.raises(DamagedError):
        scheme.combine(theirs, trusted=[SITE.public])
    with pytest.raises(DamagedError):
        scheme.combine(split(by=None), trusted=[SITE.public])


def test_a_signature_cannot_be_borrowed():
    mine, theirs = split(2, 2), split(2, 2, by=OTHER, data=b"something else")
    dressed = [lie[:32] + good[32:64] + lie[64:] for lie, good in zip(theirs, mine, strict=True)]
    assert set(states(scheme.check(dressed, trusted=[SITE.public]))) == {State.DAMAGED}


def test_enough_shares_of_two_sets_are_refused_and_few_of_another_named():
    one, two = split(2, 3), split(2, 3)
    with pytest.raises(UsageError):
        scheme.combine([*one, *two])
    assert states(scheme.combine([*one[:2], two[2]]).report)[2] is State.STRANGER


def ghash_product(a: bytes, b: bytes) -> bytes:
    """Multiply in GF(2^128) as GCM does (NIST SP 800-38D, 6.3)."""
    product, factor = 0, int.from_bytes(b)
    for bit in range(127, -1, -1):
        product ^= factor if int.from_bytes(a) >> bit & 1 else 0
        factor = factor >> 1 ^ (0xE1 << 120 if factor & 1 else 0)
    return product.to_bytes(16)


@pytest.mark.parametrize("mode", list(Mode))
def test_k_keepers_together_cannot_pass_off_another_object(mode):
    """They know the tag key, and find another body of the same tag; the commitment tells."""
    shares = split(2, 3, mode)
    first = parse(shares[0])
    secret = shamir.join({i: parse(shares[i - 1]).key_share for i in (1, 2)}).tobytes()
    tag_key = derive(secret, b"tag")
    power = Cipher(algorithms.AES(tag_key), modes.ECB()).encryptor().update(bytes(16))
    change = b"\1" * 16
    change += ghash_product(change, power)
    body = bytes(first.body)
    lie = bytes(a ^ b for a, b in zip(body, change.ljust(len(body), b"\0"), strict=True))
    forged = first.pack_head() + lie
    report = scheme.check([forged, shares[1]], trusted=[SITE.public])
    assert states(report) == [State.GOOD, State.GOOD]  # else this test would prove nothing
    with pytest.raises(DamagedError, match="do not give the object"):
        scheme.combine([forged, shares[1]], trusted=[SITE.public])


def test_padding_that_is_not_zero_is_refused():
    shares = split(2, 2, Mode.PERFECT, by=None, data=b"odd")
    parsed = [parse(one) for one in shares]
    whole = shamir.join({one.index: one.body for one in parsed})
    rooms = [np.empty(8, np.uint8) for _ in range(2)]
    shamir.split(whole.tobytes()[:3] + b"\0\0\0\0\1", 2, rooms, os.urandom)
    with pytest.raises(DamagedError):
        scheme.combine(rebuilt(shares, [1, 2], [room.tobytes() for room in rooms], None))


def test_fewer_than_k_shares_are_unproven_not_good():
    report = scheme.check(split(3, 5)[:2])
    assert states(report) == [State.UNPROVEN] * 2
    assert not report.enough


def test_the_same_randomness_gives_the_same_shares_and_other_randomness_others():
    def source():
        state = iter(range(10_000))
        return lambda count: bytes(next(state) % 251 for _ in range(count))

    one = scheme.split(OBJECT, 2, 3, random=source())
    assert one == scheme.split(OBJECT, 2, 3, random=source())
    assert set(map(bytes, one)).isdisjoint(map(bytes, scheme.split(OBJECT, 2, 3)))


def test_perfect_shares_of_equal_objects_have_nothing_in_common():
    one, two = split(2, 2, Mode.PERFECT), split(2, 2, Mode.PERFECT)
    equal = sum(a == b for a, b in zip(one[0][300:], two[0][300:], strict=True))
    assert equal < 30  # 1,000 bytes: 4 by chance


@pytest.mark.parametrize("mode", list(Mode))
def test_n_shares_cost_n_kths_and_1_percent(mode):
    data = bytes(512 * 1024)
    for k, n in ((2, 3), (3, 5), (5, 8), (8, 8)):
        total = sum(len(one) for one in scheme.split(data, k, n, mode=mode, by=SITE))
        copies = n / k if mode is Mode.COMPUTATIONAL else n
        assert total <= 1.01 * copies * len(data)


@pytest.mark.parametrize(("k", "n"), [(1, 2), (3, 2), (2, 40)])
def test_numbers_that_make_no_sense_are_refused(k, n):
    with pytest.raises(UsageError):
        scheme.split(OBJECT, k, n)


def test_no_error_says_anything_of_the_object():
    shares = split(2, 3, data=b"PATIENT NAME")
    with pytest.raises(DamagedError) as caught:
        scheme.combine([altered(shares[0], -1), shares[1]])
    assert "PATIENT" not in str(caught.value) + caught.value.hint

"""Laws of the seal: exact both ways, and every change refused as what it is.

Records, payloads and key files are made at random and then mutated; nothing
but the class of errors that the specification names may come out.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from node.crypto import capsule as capsules
from node.crypto import document, payload, recipient, record
from node.crypto.epoch import Epoch, parse_epoch_key
from node.crypto.seal import EpochKey, EpochSealer, KeyringOpener
from node.errors import DamagedError, NotOurKeyError, UnreadableError
from node.types import Attribute, Binding, Record

KEY = EpochKey(bytes(range(32)))
SEALER = EpochSealer(KEY)
OPENER = KeyringOpener([KEY])
HEADS = {bytes((payload.VERSION, suite)) for suite in payload.SUITES}
IDENTITY = recipient.generate("site", 1_790_000_000, "x25519")
CAPSULE = capsules.make(KEY, 3, 1_790_000_000, [IDENTITY.recipient]).render()
VRS = ("AE", "CS", "DA", "DS", "FD", "LO", "OB", "OW", "PN", "SH", "SQ", "TM", "UI", "UN", "UV")

uids = st.from_regex(r"[0-9.]{0,64}", fullmatch=True)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
bindings = st.builds(Binding, uids, uids, u32, u32, u32, u16, u16, u16, u16)
purposes = st.from_regex(rb"[a-z0-9-]{1,32}", fullmatch=True)
digests = st.binary(min_size=32, max_size=32)
values = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"M ", b"20200101", bytes(300)]))
attributes = st.dictionaries(u32, st.tuples(st.sampled_from(VRS), values), max_size=12).map(
    lambda found: tuple(Attribute(tag, *found[tag]) for tag in sorted(found))
)
sections = st.one_of(st.just(b""), st.binary(max_size=200))
records = st.builds(
    Record,
    attributes,
    digests,
    digests,
    sections,
    logo=sections,
    file=sections,
    robust=sections,
    coarse=sections,
)


@st.composite
def mutations(draw, data: bytes) -> bytes:
    """Return bytes that differ from ``data``: flipped, cut, extended, moved or doubled."""
    at = draw(st.integers(0, max(0, len(data) - 1)))
    kind = draw(st.sampled_from(["flip", "set", "cut", "grow", "insert", "delete", "swap"]))
    if kind == "flip":
        found = data[:at] + bytes((data[at] ^ 1 << draw(st.integers(0, 7)),)) + data[at + 1 :]
    elif kind == "set":
        found = data[:at] + bytes((draw(st.integers(0, 255)),)) + data[at + 1 :]
    elif kind == "cut":
        found = data[:at]
    elif kind == "grow":
        found = data + draw(st.binary(min_size=1, max_size=8))
    elif kind == "insert":
        found = data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at:]
    elif kind == "delete":
        found = data[:at] + data[at + draw(st.integers(1, 8)) :]
    else:
        found = data[at:] + data[:at]
    assume(found != data)
    return found


@given(st.binary(max_size=300), bindings, purposes)
def test_what_was_sealed_opens_and_sealing_again_gives_the_same(plaintext, binding, purpose):
    closed = SEALER.seal(plaintext, binding, purpose)
    assert len(closed) == len(plaintext) + payload.OVERHEAD
    assert OPENER.open(closed, binding, purpose) == plaintext
    assert SEALER.seal(plaintext, binding, purpose) == closed


@given(st.binary(max_size=80), bindings, bindings, purposes, purposes)
def test_a_payload_opens_nowhere_else(plaintext, binding, other, purpose, elsewhere):
    assume((binding, purpose) != (other, elsewhere))
    closed = SEALER.seal(plaintext, binding, purpose)
    with pytest.raises(DamagedError):
        OPENER.open(closed, other, elsewhere)


@given(bindings, bindings)
def test_no_two_bindings_share_an_encoding(one, other):
    assert (payload.encode_binding(one) == payload.encode_binding(other)) == (one == other)


@given(st.data(), st.binary(max_size=80))
def test_a_mutated_payload_is_refused_as_what_it_is(data, plaintext):
    binding = Binding("1.2", "3.4")
    forged = data.draw(mutations(SEALER.seal(plaintext, binding, b"record")))
    if len(forged) < payload.OVERHEAD or forged[:2] not in HEADS:
        expected = UnreadableError
    elif forged[2:6] != KEY.key_id:
        expected = NotOurKeyError
    else:
        expected = DamagedError
    with pytest.raises(expected):
        OPENER.open(forged, binding, b"record")


@pytest.mark.slow
def test_every_other_value_of_every_byte_of_a_payload_is_refused_as_what_it_is():
    closed = SEALER.seal(b"the patient", Binding("1.2", "3.4"), b"record")
    for at in range(len(closed)):
        expected = UnreadableError if at < 2 else NotOurKeyError if at < 6 else DamagedError
        for value in set(range(256)) - {closed[at]}:
            forged = closed[:at] + bytes((value,)) + closed[at + 1 :]
            with pytest.raises(DamagedError if forged[:2] in HEADS and at < 2 else expected):
                OPENER.open(forged, Binding("1.2", "3.4"), b"record")


@given(records, uids)
def test_a_record_comes_back_as_it_was(found, uid):
    binding = Binding("1.2", uid)
    encoded = record.encode(found, binding)
    assert record.decode(encoded, binding) == found
    assert record.encode(found, binding) == encoded


@given(records)
def test_a_record_never_costs_more_than_its_parts(found):
    encoded = record.encode(found, Binding("1.2", "3.4"))
    parts = [found.undo, found.logo, found.file, found.robust, found.coarse]
    plain = sum(len(one.value) + 9 for one in found.attributes) + sum(len(p) + 2 for p in parts)
    assert len(encoded) <= 67 + plain


@given(st.data(), records)
def test_a_mutated_record_is_unreadable_or_another_record(data, found):
    """A record has no checksum of its own: the seal around it has one."""
    binding = Binding("1.2", "3.4")
    forged = data.draw(mutations(record.encode(found, binding)))
    with contextlib.suppress(UnreadableError):
        other = record.decode(forged, binding)
        if not forged[1] & 0x10 and not record.encode(other, binding)[1] & 0x10:
            assert record.encode(other, binding) == forged  # not two plain texts for one record


@given(st.binary(max_size=200))
def test_noise_is_never_a_record_by_accident_nor_a_traceback(noise):
    with contextlib.suppress(UnreadableError):
        record.decode(b"\x01\x10" + bytes(64) + noise, Binding("1.2", "3.4"))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mutated_capsule_is_refused(data):
    forged = data.draw(mutations(CAPSULE))
    with pytest.raises((UnreadableError, DamagedError)):  # noqa: PT012 - for others is refused, too
        if capsules.parse_capsule(forged).open(IDENTITY) is None:
            raise DamagedError("it names another recipient")


def test_every_flipped_bit_of_a_capsule_is_refused():
    for bit in range(len(CAPSULE) * 8):
        forged = bytearray(CAPSULE)
        forged[bit // 8] ^= 1 << bit % 8
        try:
            key = capsules.parse_capsule(bytes(forged)).open(IDENTITY)
        except (UnreadableError, DamagedError):
            continue
        assert key is None  # the fingerprint of the recipient changed: it is for others
        with pytest.raises(DamagedError):
            capsules.parse_capsule(bytes(forged)).check(KEY)


@given(st.data(), digests)
def test_a_mutated_epoch_key_is_refused_or_has_the_same_secret(data, secret):
    text = Epoch(12, 1_790_000_000, EpochKey(secret)).render()
    forged = data.draw(mutations(text))
    with contextlib.suppress(UnreadableError):
        assert parse_epoch_key(forged).key.secret() == secret


@given(st.binary(max_size=300))
def test_noise_is_no_key_file_and_no_traceback(noise):
    for parse in (capsules.parse_capsule, recipient.parse_recipient, recipient.parse_identity):
        with pytest.raises(UnreadableError):
            parse(noise)


words = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
field_values = st.from_regex(r"[!-~]([ -~]{0,62}[!-~])?", fullmatch=True)
stanzas = st.builds(
    document.Stanza,
    st.lists(words, min_size=1, max_size=4).map(tuple),
    st.binary(min_size=1, max_size=200),
)


@given(
    words,
    st.dictionaries(words, field_values, max_size=4),
    st.lists(stanzas, min_size=1, max_size=4),
)
def test_a_document_parses_as_it_was_rendered(kind, fields, parts):
    made = document.Document(kind, fields, tuple(parts))
    assert document.parse(made.render(), kind, tuple(fields)) == made


@given(st.integers(0, 253402300799))
def test_times_come_back(seconds):
    assert document.parse_time("x", document.format_time(seconds)) == seconds

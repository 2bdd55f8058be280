"""The container: layout, limits, and what a payload is bound to."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from node.crypto import payload
from node.errors import UnreadableError
from node.types import Binding

BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", 512, 256, 7, 3, 16, 12, 1)


def test_the_layout_is_the_published_one():
    packed = payload.pack(payload.Payload(b"kkkk", b"s" * 16, b"c" + b"t" * 16))
    assert packed == b"\x01\x01kkkk" + b"s" * 16 + b"c" + b"t" * 16
    assert len(packed) == payload.OVERHEAD + 1 == 39


def test_parsing_gives_back_what_was_packed():
    parts = payload.Payload(b"\x00\xff\x01\x02", bytes(range(16)), bytes(40))
    assert payload.parse(payload.pack(parts)) == parts


@pytest.mark.parametrize("length", [0, 1, 37])
def test_what_is_too_short_is_no_payload(length):
    with pytest.raises(UnreadableError):
        payload.parse((b"\x01\x01" + bytes(40))[:length])


def test_what_is_too_long_is_no_payload():
    with pytest.raises(UnreadableError):
        payload.parse(b"\x01\x01" + bytes(payload.OVERHEAD + payload.MAX_PLAINTEXT - 1))


@pytest.mark.parametrize("head", [b"\x00\x01", b"\x02\x01", b"\x01\x00", b"\x01\x02"])
def test_another_version_or_suite_is_refused_with_a_hint(head):
    with pytest.raises(UnreadableError) as caught:
        payload.parse(head + bytes(40))
    assert "newer" in caught.value.hint


def test_the_binding_is_encoded_as_published():
    assert payload.encode_binding(BINDING) == (
        b"\x191.2.840.10008.5.1.4.1.1.2\x071.2.3.4"
        b"\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00\x07\x00\x03\x00\x10\x00\x0c\x00\x01"
    )


def test_every_field_of_the_binding_counts():
    changed = {
        field.name: dataclasses.replace(
            BINDING,
            **{field.name: "1.2" if field.type == "str" else getattr(BINDING, field.name) + 1},
        )
        for field in dataclasses.fields(BINDING)
    }
    encodings = {payload.encode_binding(other) for other in changed.values()}
    assert len(encodings | {payload.encode_binding(BINDING)}) == len(changed) + 1


def test_text_cannot_slide_from_one_uid_into_the_other():
    one = payload.encode_binding(Binding("1.2", "3.4"))
    other = payload.encode_binding(Binding("1.23", ".4"))
    assert one != other


@pytest.mark.parametrize(
    "binding",
    [
        Binding("1.2", "1" * 65),
        Binding("1.2", "1.2\N{LATIN SMALL LETTER E WITH ACUTE}"),
        Binding("1.2", "1.2", rows=-1),
        Binding("1.2", "1.2", rows=2**32),
        Binding("1.2", "1.2", bits_stored=2**16),
    ],
)
def test_a_binding_that_no_object_can_have_is_unreadable(binding):
    with pytest.raises(UnreadableError):
        payload.encode_binding(binding)


def test_the_associated_data_names_version_suite_key_purpose_and_binding():
    data = payload.associated_data(b"kkkk", b"record", BINDING)
    assert data == b"\x01\x01kkkk\x06record" + payload.encode_binding(BINDING)


@pytest.mark.parametrize("purpose", [b"", b"Record", b"a b", b"x" * 33, b"record\n"])
def test_a_purpose_is_a_short_label(purpose):
    with pytest.raises(ValueError, match="purpose"):
        payload.associated_data(b"kkkk", purpose, BINDING)


def test_no_error_shows_a_uid():
    uid = "9.8.7" * 20
    with pytest.raises(UnreadableError) as caught:
        payload.encode_binding(Binding("1.2", uid))
    assert "9.8.7" not in str(caught.value) + caught.value.hint
    assert hashlib.sha256(uid.encode()).hexdigest() not in str(caught.value)

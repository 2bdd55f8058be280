"""The text form of key files: one spelling, and no other."""

from __future__ import annotations

import pytest

from node.crypto import document
from node.errors import UnreadableError

TEXT = (
    b"sealnode thing v1\nid: 1a2b\ncreated: 2026-10-05T08:00:00Z\n"
    b"-> secret\nQUJD\n-> more words\n" + b"A" * 64 + b"\nAAAA\n"
)
FIELDS = ("id", "created")


def test_a_document_is_read_and_rendered_alike():
    found = document.parse(TEXT, "thing", FIELDS)
    assert found.fields == {"id": "1a2b", "created": "2026-10-05T08:00:00Z"}
    assert [stanza.words for stanza in found.stanzas] == [("secret",), ("more", "words")]
    assert [stanza.body for stanza in found.stanzas] == [b"ABC", bytes(51)]
    assert found.render() == TEXT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"sealnode thing v1", b"sealnode thing v2"),
        (b"sealnode thing v1", b"sealnode other v1"),
        (b"sealnode thing v1", b" sealnode thing v1"),
        (b"\n", b"\r\n"),
        (b"id: 1a2b\n", b""),
        (b"id: 1a2b\n", b"id: 1a2b\nid: 1a2b\n"),
        (b"id: 1a2b\n", b"id: 1a2b \n"),
        (b"id: 1a2b\n", b"id:  1a2b\n"),
        (b"id: 1a2b\n", b"id:\n"),
        (b"id: 1a2b\n", b"id: " + b"a" * 65 + b"\n"),
        (b"id: 1a2b\n", b"extra: 1\nid: 1a2b\n"),
        (b"id: 1a2b\n", "id: \N{GREEK SMALL LETTER ALPHA}\n".encode()),
        (b"-> secret\n", b"->  secret\n"),
        (b"-> secret\n", b"-> Secret\n"),
        (b"-> secret\n", b"->\n"),
        (b"-> secret\n", b""),
        (b"QUJD\n", b""),
        (b"QUJD\n", b"\nQUJD\n"),
        (b"QUJD\n", b"QUJE=\n"),
        (b"QUJD\n", b"QUI\n"),
        (b"QUJD\n", b"QUJ=\n"),  # bits that are not zero below the padding
        (b"QUJD\n", b"QU\nJD\n"),
        (b"A" * 64 + b"\nAAAA\n", b"A" * 60 + b"\nAAAA\n"),
        (b"A" * 64 + b"\nAAAA\n", b"A" * 64 + b"\nAAAA"),
        (b"A" * 64 + b"\nAAAA\n", b"A" * 64 + b"\nAAAA\n\n"),
    ],
)
def test_every_other_spelling_is_refused(old, new):
    assert old in TEXT
    with pytest.raises(UnreadableError):
        document.parse(TEXT.replace(old, new), "thing", FIELDS)


@pytest.mark.parametrize("data", [b"", b"\n", b"sealnode thing v1\n", b"\xff", bytes(2 << 20)])
def test_what_is_no_document_is_refused(data):
    with pytest.raises(UnreadableError):
        document.parse(data, "thing", ())


def test_a_body_is_the_only_stanza():
    found = document.parse(TEXT, "thing", FIELDS)
    with pytest.raises(UnreadableError):
        found.body("secret")
    alone = document.Document("thing", {}, found.stanzas[:1])
    assert alone.body("secret") == b"ABC"
    with pytest.raises(UnreadableError):
        alone.body("public")


def test_neither_errors_nor_reprs_quote_a_line():
    with pytest.raises(UnreadableError) as caught:
        document.parse(TEXT.replace(b"QUJD", b"!SECRET!"), "thing", FIELDS)
    assert "SECRET" not in str(caught.value)
    assert "ABC" not in repr(document.parse(TEXT, "thing", FIELDS))


@pytest.mark.parametrize(
    "text", ["", "2026-10-05", "2026-1-05T08:00:00Z", "2026-13-05T08:00:00Z", "2026-10-05T08:00:00"]
)
def test_a_time_has_one_spelling(text):
    with pytest.raises(UnreadableError):
        document.parse_time("thing", text)


def test_times_are_utc():
    assert document.format_time(1_791_187_200.9) == "2026-10-05T08:00:00Z"
    assert document.parse_time("thing", "2026-10-05T08:00:00Z") == 1_791_187_200

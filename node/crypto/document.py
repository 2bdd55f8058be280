"""The text form that all key files share: one kind, fields, stanzas.

Source: docs/formats/keys-v1.md, section 1. Strict: what parses renders to the
same bytes. SECURITY: errors quote no line, since a line may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from node.errors import UnreadableError

MAX_BYTES = 1 << 20
_COLUMNS = 64
_WORD = r"[a-z0-9-]{1,64}"
_HEAD = re.compile(rf"sealnode ({_WORD}) v1")
_FIELD = re.compile(rf"({_WORD}): ([!-~](?:[ -~]{{0,62}}[!-~])?)")
_STANZA = re.compile(rf"->((?: {_WORD})+)")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{1,64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, repr=False)
class Stanza:
    """Words and the bytes below them; the bytes may be a secret, so they are not shown."""

    words: tuple[str, ...]
    body: bytes

    def __repr__(self) -> str:
        return f"<Stanza {' '.join(self.words)}>"

    def render(self) -> str:
        """Return its lines."""
        text = base64.b64encode(self.body).decode("ascii")
        lines = [text[at : at + _COLUMNS] for at in range(0, len(text), _COLUMNS)]
        return "\n".join(["-> " + " ".join(self.words), *lines]) + "\n"


@dataclass(frozen=True, slots=True)
class Document:
    """A key file taken apart."""

    kind: str
    fields: dict[str, str]
    stanzas: tuple[Stanza, ...]

    def render(self) -> bytes:
        """Return the one text of this document."""
        head = [f"sealnode {self.kind} v1", *(f"{n}: {v}" for n, v in self.fields.items())]
        text = "\n".join(head) + "\n" + "".join(stanza.render() for stanza in self.stanzas)
        return text.encode("ascii")

    def body(self, word: str) -> bytes:
        """Return the bytes of the only stanza, which must be called ``word``.

        :raises UnreadableError: there are other stanzas.
        """
        if [stanza.words for stanza in self.stanzas] != [(word,)]:
            raise UnreadableError(f"{self.kind}: one stanza {word} was expected")
        return self.stanzas[0].body


def parse(data: bytes, kind: str, fields: tuple[str, ...]) -> Document:
    """Read a document of one kind, with exactly these fields in this order.

    :raises UnreadableError: it is anything else.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"{kind}: the file is longer than 1 MiB")
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise UnreadableError(f"{kind}: the file is not ASCII text") from None
    head = _HEAD.fullmatch(lines[0])
    if head is None or head[1] != kind:
        raise UnreadableError(f"{kind}: the first line is not 'sealnode {kind} v1'")
    pairs = [_FIELD.fullmatch(line) for line in lines[1 : 1 + len(fields)]]
    found = {pair[1]: pair[2] for pair in pairs if pair}
    if tuple(found) != fields:
        raise UnreadableError(f"{kind}: the fields must be {', '.join(fields)}")
    document = Document(kind, found, _stanzas(kind, lines[1 + len(fields) : -1]))
    if document.render() != data:
        raise UnreadableError(f"{kind}: the text is not in its one canonical form")
    return document


def _stanzas(kind: str, lines: list[str]) -> tuple[Stanza, ...]:
    found: list[tuple[tuple[str, ...], list[str]]] = []
    for number, line in enumerate(lines):
        if words := _STANZA.fullmatch(line):
            found.append((tuple(words[1].split()), []))
        elif found and _BASE64.fullmatch(line):
            found[-1][1].append(line)
        else:
            raise UnreadableError(f"{kind}: line {number + 1} after the fields makes no sense")
    if not found:
        raise UnreadableError(f"{kind}: there is no stanza")
    try:
        stanzas = tuple(
            Stanza(words, base64.b64decode("".join(body), validate=True)) for words, body in found
        )
    except binascii.Error:
        raise UnreadableError(f"{kind}: a stanza is no base64") from None
    if not all(stanza.body for stanza in stanzas):
        raise UnreadableError(f"{kind}: a stanza is empty")
    return stanzas


def format_time(seconds: float) -> str:
    """Return seconds since the epoch as ``2026-10-05T08:00:00Z``."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_TIME)


def parse_time(kind: str, text: str) -> int:
    """Return the seconds since the epoch that ``format_time`` wrote.

    :raises UnreadableError: the text is no such time.
    """
    try:
        seconds = int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise UnreadableError(f"{kind}: the time makes no sense") from None
    if format_time(seconds) != text:
        raise UnreadableError(f"{kind}: the time is not in its one canonical form")
    return seconds

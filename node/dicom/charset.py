"""Text in the character sets of DICOM (PS3.3 C.12.1.1.2, PS3.5 6.1).

For showing only: what is kept, hashed or sent are the bytes.
"""

from __future__ import annotations

import re

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

# Python's codecs of these want to see the escape sequence themselves.
_SELF_ESCAPING = frozenset({"iso2022_jp", "iso2022_jp_2", "iso_ir_58"})
_ESCAPE = re.compile(rb"(?=\x1b)")
# Each of these ends what an escape sequence began (PS3.5 6.1.2.5.3).
_RESET = re.compile(rb"[\\^=\t\n\f\r]")


def decode(value: bytes, character_set: bytes) -> str:
    """Return text in a Specific Character Set (0008,0005), given as raw bytes.

    Bytes that are not in it become U+FFFD; an unknown set reads as ASCII.
    """
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    terms = character_set.decode("ascii", "replace").strip(" \0").split("\\")
    first = python_encoding.get(terms[0].strip(), "ascii")
    if b"\x1b" not in value:
        return value.decode(first, "replace")
    return "".join(_decode_fragment(part, first) for part in _ESCAPE.split(value) if part)


def _decode_fragment(fragment: bytes, first: str) -> str:
    for length in (4, 3):
        encoding = CODES_TO_ENCODINGS.get(fragment[:length])
        if encoding in _SELF_ESCAPING:
            return fragment.decode(encoding, "replace")
        if encoding is not None:
            text = fragment[length:]
            reset = _RESET.search(text)
            end = reset.start() if reset else len(text)
            return text[:end].decode(encoding, "replace") + text[end:].decode(first, "replace")
    return fragment.decode(first, "replace")

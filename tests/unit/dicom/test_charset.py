from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.data import get_charset_files
from pydicom.valuerep import PN_DELIMS

from node.dicom.charset import decode

NAMED = [path for path in get_charset_files("*.dcm") if "PatientName" in pydicom.dcmread(path)]


@pytest.mark.parametrize("path", NAMED, ids=lambda path: Path(path).stem)
def test_names_in_every_character_set_read_as_pydicom_reads_them(path):
    ds = pydicom.dcmread(path)
    raw = ds.get_item("PatientName").value
    raw = raw.original_string if hasattr(raw, "original_string") else raw
    sets = ds.get("SpecificCharacterSet", "")
    sets = [sets] if isinstance(sets, str) else list(sets)
    expected = decode_bytes(raw, convert_encodings(sets), PN_DELIMS)
    assert decode(raw, "\\".join(sets).encode()).strip() == str(expected).strip()


def test_korean_and_japanese_names_are_read():
    korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
    assert decode(korean, b"\\ISO 2022 IR 149") == "Hong^Gildong=洪^吉洞"
    japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    assert decode(japanese, b"\\ISO 2022 IR 87") == "Yamada^Tarou=山田^太郎"


def test_what_is_not_in_the_set_shows_as_replacement():
    assert decode(b"M\xfcller", b"ISO_IR 192") == "M�ller"
    assert decode(b"M\xfcller", b"ISO_IR 999") == "M�ller"
    assert decode(b"\x1b$)C\xff", b"\\ISO 2022 IR 149") == "�"


def test_an_unterminated_escape_does_not_raise():
    assert decode(b"Doe\x1b", b"") == "Doe\x1b"
    assert decode(b"Doe\x1b$", b"\\ISO 2022 IR 87").startswith("Doe")

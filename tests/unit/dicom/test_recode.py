from __future__ import annotations

import pytest
from making import TEST_FILES

from node.dicom import recode as module
from node.dicom.compare import differences
from node.dicom.elements import Encoding, element_bytes, walk
from node.dicom.reader import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, read, read_dataset
from node.dicom.recode import recode, turned
from node.errors import UnreadableError

LE = Encoding.EXPLICIT_LE
SYNTAXES = {
    EXPLICIT_LE: LE,
    IMPLICIT_LE: Encoding.IMPLICIT_LE,
    EXPLICIT_BE: Encoding.EXPLICIT_BE,
}


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "waveform_ecg.dcm", "CT_small.dcm"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_data_set_means_the_same_in_every_encoding(name, syntax):
    obj = read((TEST_FILES / name).read_bytes())
    there = read_dataset(recode(obj.dataset, obj.encoding, SYNTAXES[syntax]), syntax)
    assert differences(obj, there) == ()
    assert [e.tag for e in there.elements] == [e.tag for e in obj.elements]


def test_words_are_turned_round_by_their_size():
    assert turned(b"abcd", "US") == b"badc"
    assert turned(b"abcd", "UL") == b"dcba"
    assert turned(b"abcdefgh", "FD") == b"hgfedcba"
    assert turned(b"abcd", "OB") == b"abcd"
    assert turned(b"abc", "US") == b"abc"


def test_a_value_too_long_for_its_vr_becomes_un():
    data = element_bytes(0x00081030, "", b"x" * 70_000, Encoding.IMPLICIT_LE)
    (element,) = walk(recode(data, Encoding.IMPLICIT_LE, LE), LE)
    assert element.vr == "UN"


def test_deep_nesting_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_DEPTH", 1)
    data = b""
    for _ in range(3):
        data = element_bytes(
            0x00081115, "SQ", b"\xfe\xff\0\xe0" + len(data).to_bytes(4, "little") + data, LE
        )
    with pytest.raises(UnreadableError):
        recode(data, LE, LE)

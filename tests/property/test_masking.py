"""Laws of pseudonyms, for data sets of any shape: nothing listed stays, everything comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import dataset, part10
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sealing import ORDER, examiner, marker

from node.crypto.keyring import MemoryKeys
from node.crypto.mapping import Mapping
from node.dicom.actions import table
from node.sealing.pseudonyms import Pseudonyms
from node.types import Profile, VerdictKind

KEYS = MemoryKeys([b"k" * 32])
CANARY = "Zqx"
REFUSED = {0x00420011}  # a document is never sent
TEXT = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
LISTED = sorted(
    tag
    for tag in (int(digits, 16) for digits in table() if "x" not in digits and digits > "0008")
    if dictionary_has_tag(tag) and dictionary_VR(tag) in TEXT and tag not in REFUSED
)
SEQUENCES = (0x00081115, 0x00082218, 0x0040A043, 0x0040A730, 0x00081140, 0x00089215)
PROFILES = st.builds(
    Profile,
    name=st.just("p"),
    dates=st.sampled_from(["remove", "shift"]),
    graphics=st.booleans(),
)


def text(number: int) -> str:
    return f"{CANARY}{number:04}"


leaves = st.dictionaries(st.sampled_from(LISTED), st.integers(0, 9999), max_size=6)
shapes = st.recursive(
    leaves,
    lambda inner: st.tuples(
        leaves,
        st.dictionaries(
            st.sampled_from(SEQUENCES), st.lists(inner, max_size=3), min_size=1, max_size=2
        ),
        st.booleans(),
    ),
    max_leaves=12,
)


def built(shape) -> Dataset:
    flat, inside, private = shape if isinstance(shape, tuple) else (shape, {}, False)
    ds = Dataset()
    for tag, number in flat.items():
        ds.add_new(tag, dictionary_VR(tag), text(number))
    for tag, items in inside.items():
        ds.add_new(tag, "SQ", Sequence([built(item) for item in items]))
        ds[tag].is_undefined_length = private
    if private:
        ds.private_block(0x0029, "ACME", create=True).add_new(0x01, "UN", CANARY.encode())
    return ds


@pytest.mark.filterwarnings("ignore")  # canaries are no valid values
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=shapes,
    profile=PROFILES,
    syntax=st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]),
)
def test_no_listed_text_and_nothing_private_stays_and_the_file_comes_back(shape, profile, syntax):
    whole = dataset()
    whole.update(built(shape))
    data = part10(whole, syntax)
    hidden = Pseudonyms(Mapping(b"m" * 32), profile)
    order = replace(ORDER, pseudonyms=hidden, carrier="header", keep_file=True)

    made = marker(KEYS).mark(data, order)

    assert CANARY.encode() not in made.data
    assert made.data == marker(KEYS).mark(data, order).data
    found = examiner(KEYS).examine(made.data)
    assert found.verdict.kind is VerdictKind.INTACT
    assert found.restored == data

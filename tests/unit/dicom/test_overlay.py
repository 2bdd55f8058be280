"""The visible logo: an overlay plane that others can read, and that goes when restored."""

from __future__ import annotations

import io

import making
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sealing import RECEIVED_AT, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.dicom import overlay, reader
from node.mark import logo
from node.sealing.order import Order
from node.types import VerdictKind

INK = np.zeros((5, 7), np.bool_)
INK[1, 2] = INK[4, 6] = INK[0, 0] = True
ORDER = Order(received_at=RECEIVED_AT, logo=logo.encode(INK), visible="overlay")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_pydicom_sees_the_logo_in_the_corner_and_restoring_takes_it_out(syntax):
    keys = MemoryKeys([bytes(32)])
    words = pydicom.dcmread(io.BytesIO(sample("CT_small.dcm"))).pixel_array.astype(np.uint16)
    data = making.image((words + 2000)[None, :, :, None], syntax=syntax)
    made = marker(keys).mark(data, ORDER)
    seen = pydicom.dcmread(io.BytesIO(made.data))
    drawn = seen.overlay_array(0x6000)
    scale = 128 // (8 * 7)
    assert np.array_equal(drawn, np.repeat(np.repeat(INK, scale, 0), scale, 1))
    assert seen[0x60000040].value == "G"
    top, left = seen[0x60000050].value
    assert (top + drawn.shape[0] - 1, left + drawn.shape[1] - 1) == (126, 126)
    found = examiner(keys).examine(made.data)
    assert found.verdict.kind is VerdictKind.INTACT
    assert reader.read(found.restored).dataset == reader.read(data).dataset


def test_in_big_endian_the_words_of_the_plane_are_swapped():
    words = np.zeros((1, 64, 64, 1), np.uint16)
    little, big = (
        overlay.elements(reader.read(making.image(words, syntax=syntax)), INK)
        for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian)
    )
    data = [np.frombuffer(plane[0x60003000][12:], np.uint8) for plane in (little, big)]
    assert data[0].any()
    assert np.array_equal(data[0].reshape(-1, 2)[:, ::-1].ravel(), data[1])


def test_a_plane_that_is_there_is_left_alone():
    obj = reader.read(sample("MR-SIEMENS-DICOM-WithOverlays.dcm"))
    assert 0x60003000 in obj.index
    assert min(overlay.elements(obj, INK)) >> 16 == 0x6002


def test_no_plane_is_added_where_all_are_taken_or_there_is_no_such_module():
    ds = pydicom.dcmread(io.BytesIO(sample("CT_small.dcm")))
    for group in range(0x6000, 0x6020, 2):
        ds.add_new((group, 0x0040), "CS", "G")
    full = reader.read(making.part10(ds))
    assert overlay.elements(full, INK) == {}
    ds = pydicom.dcmread(io.BytesIO(sample("CT_small.dcm")))
    ds.PerFrameFunctionalGroupsSequence = []
    assert overlay.elements(reader.read(making.part10(ds)), INK) == {}

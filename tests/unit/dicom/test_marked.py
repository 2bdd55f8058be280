from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from making import dataset, image, part10
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom import marked, pixels, reader
from node.dicom.compare import differences
from node.dicom.declaration import Work
from node.dicom.elements import SEQUENCE_END, UNDEFINED, Encoding, element_bytes, header
from node.dicom.encapsulated import to_items
from node.dicom.headers import assemble, header_bytes, header_copy, open_copy, parse_header
from node.dicom.marked import HEADER_COPY, KEY_HINT, SEALED_RECORD
from node.dicom.reader import read, read_dataset
from node.errors import UnsealableError

WORDS = np.arange(40, dtype=np.uint16).reshape(1, 8, 5, 1) * 50
WORK = Work("reversible mark tiles-1", "a1b2c3d4", "0.1.0", 1_700_000_000.25)
PRIVATE = {HEADER_COPY: b"copy!", SEALED_RECORD: b"record", KEY_HINT: b"a1b2c3d4"}
SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def dressed(obj, *, private=PRIVATE, image=True):
    """The object marked by a flip of every sample, as the bytes that a PACS gets."""
    changes = marked.plan(obj, WORK, image=image)
    stored = extremes = None
    if image:
        loaded = pixels.load(obj)
        samples = loaded.carrier.samples ^ 1
        stored = loaded.store(samples)
        extremes = int(samples.min()), int(samples.max())
    body = marked.dress(obj, changes, stored, private=private, extremes=extremes)
    syntax = obj.transfer_syntax_uid
    data = reader.write_part10("1.2.3", "1.2.3.4", syntax, reader.wire(body, syntax))
    return data, changes


def shown(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def restored(data: bytes, obj, changes, *, copy: bool = True) -> bytes:
    """What the marked bytes and the undo data give back, as a file."""
    packed = header_copy(obj) if copy else None
    undo = marked.undo(obj, changes, raw=marked.MAX_RAW if packed else None)
    original = parse_header(open_copy(packed)) if packed else None
    found = read(data)
    back = marked.undress(found, undo, original)
    assert back == header_bytes(obj)
    loaded = pixels.load(found)
    return marked.rebuild(back, loaded.restore(loaded.carrier.samples ^ 1), obj.file)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("copy", [True, False])
def test_a_marked_object_becomes_the_file_that_it_was(syntax, copy):
    icon = Dataset()
    icon.PixelData = bytes(600)
    icon["PixelData"].VR = "OB"
    data = image(
        WORDS,
        syntax=syntax,
        tail=b"tail",
        SmallestImagePixelValue=0,
        LargestImagePixelValue=4000,
        DerivationDescription="theirs",
        IconImageSequence=Sequence([icon]),
        ContributingEquipmentSequence=Sequence([dataset()]),
    )
    obj = read(data)
    sealed, changes = dressed(obj)
    whole = restored(sealed, obj, changes, copy=copy)
    if syntax == DeflatedExplicitVRLittleEndian:
        assert read(whole).dataset == obj.dataset
    else:
        assert whole == data


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_header_says_what_was_done(syntax):
    obj = read(image(WORDS, syntax=syntax, DerivationDescription="theirs"))
    ds = shown(dressed(obj)[0])
    assert list(ds.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    lines = ds.DerivationDescription.splitlines()
    assert lines == ["theirs", "Sealnode 0.1.0: reversible mark tiles-1; key a1b2c3d4"]
    (item,) = ds.ContributingEquipmentSequence
    assert item.Manufacturer == "Sealnode"
    assert item.SoftwareVersions == "0.1.0"
    assert item.ContributionDateTime == "20231114221320.250000+0000"
    (purpose,) = item.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109103", "DCM")
    block = ds.private_block(0x5EA1, "SEALNODE")
    values = [block[byte].value for byte in (HEADER_COPY, SEALED_RECORD, KEY_HINT)]
    assert [v.encode() if isinstance(v, str) else v for v in values] == [
        b"copy!\0",
        b"record",
        b"a1b2c3d4",
    ]
    assert ds.PatientName == "Doe^Jane"
    assert ds.SOPInstanceUID == obj.text("SOPInstanceUID")


def test_every_untouched_element_keeps_its_bytes():
    obj = read(image(WORDS, StationName="odd", PixelPaddingValue=7))
    found = read(dressed(obj)[0])
    changes = marked.plan(obj, WORK, image=True)
    for element in obj.elements:
        if element.tag not in {*changes.touched, reader.PIXEL_DATA}:
            other = found.index[element.tag]
            assert found.data[other.start : other.end] == obj.data[element.start : element.end]


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES[:3])
def test_an_item_is_added_to_contributing_equipment_that_is_there(syntax, undefined):
    theirs = Dataset()
    theirs.Manufacturer = "theirs"
    ds = dataset(ContributingEquipmentSequence=Sequence([theirs]))
    ds["ContributingEquipmentSequence"].is_undefined_length = undefined
    sequence = ds["ContributingEquipmentSequence"]
    obj = read(image(WORDS, syntax=syntax, ContributingEquipmentSequence=sequence.value))
    if undefined:
        raw = read(part10(ds, syntax))
        element = raw.element("ContributingEquipmentSequence")
        raw_bytes = raw.data[element.start : element.end]
        below, above = assemble(obj, {element.tag: raw_bytes})
        pixel = obj.index[reader.PIXEL_DATA]
        whole = below + obj.data[pixel.start : pixel.end] + above
        obj = read(obj.file + whole)
        assert obj.element("ContributingEquipmentSequence").undefined
    sealed, changes = dressed(obj)
    items = shown(sealed).ContributingEquipmentSequence
    assert [item.Manufacturer for item in items] == ["theirs", "Sealnode"]
    assert restored(sealed, obj, changes) == obj.file + obj.dataset


def test_extremes_are_true_of_the_marked_samples_where_they_were_given():
    obj = read(image(WORDS, SmallestImagePixelValue=0, LargestImagePixelValue=1950))
    ds = shown(dressed(obj)[0])
    assert (ds.SmallestImagePixelValue, ds.LargestImagePixelValue) == (1, 1951)
    signed = read(image(WORDS, signed=True, SmallestImagePixelValue=-5))
    assert shown(dressed(signed)[0])["SmallestImagePixelValue"].VR == "SS"
    assert "LargestImagePixelValue" not in shown(dressed(signed)[0])
    assert "SmallestImagePixelValue" not in shown(dressed(read(image(WORDS)))[0])


def signed_object():
    below, above = assemble(
        read(image(WORDS)),
        {
            marked.MAC_PARAMETERS: element_bytes(marked.MAC_PARAMETERS, "SQ", b"", LE),
            marked.DIGITAL_SIGNATURES: element_bytes(marked.DIGITAL_SIGNATURES, "SQ", b"", LE),
        },
    )
    obj = read(image(WORDS))
    pixel = obj.index[reader.PIXEL_DATA]
    return read(obj.file + below + obj.data[pixel.start : pixel.end] + above)


LE = Encoding.EXPLICIT_LE


def test_signatures_and_icons_that_marking_makes_untrue_go():
    obj = signed_object()
    sealed, changes = dressed(obj)
    found = read(sealed)
    for tag in (marked.MAC_PARAMETERS, marked.DIGITAL_SIGNATURES):
        assert tag in obj.index
        assert tag not in found.index
    assert restored(sealed, obj, changes) == obj.file + obj.dataset


def test_a_seal_in_the_header_alone_adds_the_private_block_and_nothing_else():
    obj = signed_object()
    sealed, changes = dressed(obj, image=False)
    found = read(sealed)
    assert set(found.index) - set(obj.index) == {0x5EA10010, 0x5EA11001, 0x5EA11002, 0x5EA11003}
    assert set(obj.index) <= set(found.index)
    undo = marked.undo(obj, changes, raw=None)
    assert len(undo) < 30
    header = marked.undress(found, undo)
    assert marked.refill(header, found, obj.file) == obj.file + obj.dataset


def test_an_object_without_pixels_is_sealed_in_its_header():
    data = part10(dataset())
    obj = read(data)
    sealed, changes = dressed(obj, image=False)
    header = marked.undress(read(sealed), marked.undo(obj, changes, raw=marked.MAX_RAW))
    assert marked.refill(header, read(sealed), obj.file) == data


@pytest.mark.parametrize("in_pixels", [True, False])
def test_an_offset_table_goes_with_the_stream_that_it_describes(in_pixels):
    native = read(image(WORDS))
    before, after = assemble(native, {})
    table = element_bytes(0x7FE00001, "OV", bytes(8), LE)
    pixel = header(reader.PIXEL_DATA, "OB", UNDEFINED, LE) + to_items([b"stream"])
    data = before + table + pixel + header(SEQUENCE_END, "", 0, LE) + after
    obj = read_dataset(data, "1.2.840.10008.1.2.5")
    changes = marked.plan(obj, WORK, image=in_pixels)
    stored = pixels.Stored(to_items([b"other"]), obj.transfer_syntax_uid) if in_pixels else None
    found = read_dataset(marked.dress(obj, changes, stored, private={}), obj.transfer_syntax_uid)
    assert (0x7FE00001 in found.index) is not in_pixels
    back = marked.undress(found, marked.undo(obj, changes, raw=None))
    assert back == header_bytes(obj)
    if not in_pixels:
        assert read(marked.refill(back, found)).dataset == data


def test_group_lengths_stay_true_and_come_back():
    obj = read(image(WORDS))
    lengths = {
        group << 16: element_bytes(group << 16, "UL", struct.pack("<I", length), LE)
        for group, length in ((0x0008, 4711), (0x0010, 24), (0x0028, 99))
    }
    below, above = assemble(obj, lengths)
    pixel = obj.index[reader.PIXEL_DATA]
    obj = read(obj.file + below + obj.data[pixel.start : pixel.end] + above)
    sealed, changes = dressed(obj)
    found = read(sealed)
    group = [e for e in found.elements if e.tag >> 16 == 0x0008]
    (length,) = struct.unpack("<I", found.raw(0x00080000))
    assert length == group[-1].end - group[0].end
    assert found.raw(0x00280000) == obj.raw(0x00280000)
    assert restored(sealed, obj, changes) == obj.file + obj.dataset


def test_our_block_stands_beside_those_of_others():
    ds = dataset()
    ds.private_block(0x5EA1, "OTHER", create=True).add_new(1, "LO", "theirs")
    obj = read(part10(ds))
    sealed, changes = dressed(obj, image=False)
    found = read(sealed)
    assert marked.private_block(found) == 0x11
    assert marked.private_value(found, SEALED_RECORD) == b"record"
    header = marked.undress(found, marked.undo(obj, changes, raw=None))
    assert header == header_bytes(obj)


def test_a_sealed_object_is_known_and_not_sealed_again():
    obj = read(image(WORDS))
    assert not marked.is_marked(obj)
    found = read(dressed(obj)[0])
    assert marked.is_marked(found)
    with pytest.raises(UnsealableError) as caught:
        marked.plan(found, WORK, image=True)
    assert caught.value.code == "already_sealed"
    assert marked.private_value(obj, KEY_HINT) is None


def test_marking_twice_gives_the_same_bytes():
    obj = read(image(WORDS))
    assert dressed(obj)[0] == dressed(obj)[0]


def test_elements_out_of_order_and_a_full_group_are_refused():
    late = element_bytes(0x00080001, "UL", bytes(4), LE)
    with pytest.raises(UnsealableError) as caught:
        marked.plan(read(image(WORDS) + late), WORK, image=True)
    assert caught.value.code == "order"
    creators = b"".join(element_bytes(0x5EA10000 | n, "LO", b"TAKEN ", LE) for n in range(16, 256))
    full = read_dataset(creators, ExplicitVRLittleEndian)
    with pytest.raises(UnsealableError) as caught:
        marked.plan(full, WORK, image=False)
    assert caught.value.code == "private_group"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY"]),
        (["DERIVED", "SECONDARY"], ["DERIVED", "SECONDARY"]),
        (["ORIGINAL"], "DERIVED"),
    ],
)
def test_image_type_becomes_derived(before, after):
    ds = shown(dressed(read(image(WORDS, ImageType=before)))[0])
    value = ds.ImageType if isinstance(ds.ImageType, str) else list(ds.ImageType)
    assert value == after


def test_image_type_stays_in_enhanced_objects_and_where_there_is_none():
    frames = Sequence([dataset(ImageType=None)])
    enhanced = read(image(WORDS, SharedFunctionalGroupsSequence=frames))
    assert list(shown(dressed(enhanced)[0]).ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    empty = read(image(WORDS, ImageType=""))
    assert not shown(dressed(empty)[0]).ImageType


def test_a_description_that_leaves_no_room_stays():
    obj = read(image(WORDS, DerivationDescription="x" * 1000))
    sealed, changes = dressed(obj)
    assert shown(sealed).DerivationDescription == "x" * 1000
    assert restored(sealed, obj, changes) == obj.file + obj.dataset


def test_undo_data_are_small():
    obj = read(image(WORDS, SmallestImagePixelValue=0))
    changes = marked.plan(obj, WORK, image=True)
    assert len(marked.undo(obj, changes, raw=marked.MAX_RAW)) < 80


@pytest.mark.parametrize("before", SYNTAXES[:3])
@pytest.mark.parametrize("after", SYNTAXES[:3])
def test_a_header_written_anew_in_another_encoding_is_undone_in_that_encoding(before, after):
    theirs = Dataset()
    theirs.Manufacturer = "theirs"
    attributes = {
        "SmallestImagePixelValue": 0,
        "ContributingEquipmentSequence": Sequence([theirs]),
    }
    obj = read(image(WORDS, syntax=before, **attributes))
    changes = marked.plan(obj, WORK, image=True)
    undo = marked.undo(obj, changes, raw=None)
    found = read(image(WORDS ^ 1, syntax=after, ImageType="DERIVED", PatientID="new"))
    header = marked.undress(found, undo)
    back = read(
        marked.rebuild(header, pixels.load(found).restore(pixels.load(obj).carrier.samples))
    )
    assert differences(obj, back) == ("PatientID",)
    assert pixels.load(back).sha256 == pixels.load(obj).sha256


def test_a_file_keeps_its_preamble_and_meta_information():
    data = b"II*\0" + bytes(124) + image(WORDS)[128:]
    obj = read(data)
    sealed, changes = dressed(obj)
    assert sealed[:128] == bytes(128)
    assert restored(sealed, obj, changes) == data


def test_what_never_was_a_file_gets_meta_information():
    obj = read(image(WORDS))
    bare = read_dataset(obj.dataset, obj.transfer_syntax_uid)
    sealed, changes = dressed(bare)
    whole = restored(sealed, bare, changes)
    assert read(whole).dataset == obj.dataset
    assert shown(whole).file_meta.MediaStorageSOPInstanceUID == obj.text("SOPInstanceUID")

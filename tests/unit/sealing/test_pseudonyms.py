"""Objects whose identity is taken out, sealed, and given back."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from certificates import rsa_pair
from making import dataset, image, part10
from masks import canaries
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sealing import ORDER, examiner, marker, sample

from node.crypto.envelope import Custodian, Envelope
from node.crypto.keyring import MemoryKeys
from node.crypto.mapping import Mapping
from node.dicom import identity, reader
from node.errors import UnsealableError
from node.mark.embedder import TiledEmbedder
from node.mark.message import own
from node.sealing.pseudonyms import Pseudonyms
from node.types import Profile, VerdictKind
from node.verify import Examiner

KEYS = MemoryKeys([bytes(range(32))])
MAPPING = Mapping(b"m" * 32)
BASIC = Pseudonyms(MAPPING, Profile("basic"))
HIDDEN = replace(ORDER, pseudonyms=BASIC, carrier="auto", keep_file=True)
ICON = 0x00880200
NOISE = np.random.default_rng(5).normal(1000, 3, (1, 256, 256, 1)).astype(np.uint16)


def file_with_everything(syntax: str, *, pixels: bool) -> tuple[bytes, set[bytes]]:
    """A file with a canary wherever the patient may be, its meta information included."""
    ds, planted = canaries()
    planted = {value: tag for value, tag in planted.items() if tag != ICON}
    block = ds.private_block(0x0029, "Wqx ACME", create=True)
    block.add_new(0x10, "OB", b"Wqx private")
    icon = pydicom.Dataset()
    icon.PixelData = b"Wqx icon"
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = [icon]
    ds.add_new(0x60003000, "OW", b"Wqx over")
    if pixels:
        data = image(NOISE, stored=12, syntax=syntax)
        whole = pydicom.dcmread(io.BytesIO(data))
    else:
        whole = dataset()
    whole.update(ds)
    data = part10(whole, syntax)
    values = {value if isinstance(value, bytes) else value.encode() for value in planted}
    return b"Wqx preamble".ljust(128, b"\0") + data[128:], values | {b"Wqx"}


@pytest.mark.filterwarnings("ignore")  # canaries are no valid values
@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_nothing_of_the_patient_is_left_and_all_of_it_comes_back_byte_for_byte(syntax, pixels):
    data, values = file_with_everything(syntax, pixels=pixels)
    assert all(value in data for value in values)

    made = marker(KEYS).mark(data, HIDDEN)

    assert [value for value in values if value in made.data] == []
    found = examiner(KEYS).examine(made.data)
    assert found.verdict.kind is VerdictKind.INTACT
    assert found.restored == data


def test_the_object_sent_has_the_derived_uid_in_command_meta_information_and_data_set():
    data = sample("CT_small.dcm")
    original = reader.read(data).text("SOPInstanceUID")

    made = marker(KEYS).mark(data, HIDDEN)

    found = pydicom.dcmread(io.BytesIO(made.data))
    derived = BASIC.uid(original)
    assert made.sop_instance_uid == found.SOPInstanceUID == derived != original
    assert found.file_meta.MediaStorageSOPInstanceUID == derived
    assert original.encode() not in made.data


def test_the_object_says_how_its_identity_was_removed():
    profile = Profile("p", dates="shift", retain_device=True)
    order = replace(HIDDEN, pseudonyms=Pseudonyms(MAPPING, profile))

    found = pydicom.dcmread(io.BytesIO(marker(KEYS).mark(sample("CT_small.dcm"), order).data))

    assert found.PatientIdentityRemoved == "YES"
    assert re.match("PS3.15 Basic", found.DeidentificationMethod)
    codes = [item.CodeValue for item in found.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113104", "113107", "113109"]
    assert found.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize(("dates", "shown"), [("remove", 0), ("shift", 0), ("keep", 1)])
def test_an_object_tells_when_it_was_sealed_only_where_dates_are_kept(dates, shown):
    order = replace(HIDDEN, pseudonyms=Pseudonyms(MAPPING, Profile("p", dates=dates)))

    found = pydicom.dcmread(io.BytesIO(marker(KEYS).mark(image(NOISE, stored=12), order).data))

    (equipment,) = found.ContributingEquipmentSequence
    assert ("ContributionDateTime" in equipment) == shown
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"


def test_an_image_with_room_carries_what_was_changed_in_its_pixels_as_well():
    made = marker(KEYS).mark(image(NOISE, stored=12, PatientComments="is well"), HIDDEN)
    ds = pydicom.dcmread(io.BytesIO(made.data))
    del ds[0x5EA11001]  # an archive that drops private elements leaves the pixels
    kept = io.BytesIO()
    ds.save_as(kept)

    found = examiner(KEYS).examine(kept.getvalue())

    assert made.carrier == "pixels"
    assert found.exact
    assert pydicom.dcmread(io.BytesIO(found.restored or b"")).PatientComments == "is well"


def test_sealing_again_gives_the_same_bytes():
    data = image(NOISE, stored=12)
    assert marker(KEYS).mark(data, HIDDEN) == marker(KEYS).mark(data, HIDDEN)


def test_the_robust_mark_and_pseudonyms_go_together():
    order = replace(HIDDEN, robust=own(bytes(32)).message(7))
    data = sample("693_UNCR.dcm")

    made = marker(KEYS).mark(data, order)

    assert made.robust
    assert examiner(KEYS).examine(made.data).restored == data


def test_a_picture_with_burned_in_names_is_not_sealed():
    with pytest.raises(UnsealableError) as caught:
        marker(KEYS).mark(image(NOISE, BurnedInAnnotation="YES"), HIDDEN)
    assert caught.value.code == "burned_in"


def test_uids_alone_can_be_derived():
    order = replace(ORDER, pseudonyms=Pseudonyms(MAPPING, None), carrier="auto", keep_file=True)
    data = sample("CT_small.dcm")
    before = reader.read(data)

    made = marker(KEYS).mark(data, order)

    after = pydicom.dcmread(io.BytesIO(made.data))
    assert after.SOPInstanceUID == made.sop_instance_uid != before.text("SOPInstanceUID")
    assert after.PatientName == before.text("PatientName")
    assert "PatientIdentityRemoved" not in after
    assert examiner(KEYS).examine(made.data).restored == data


def without(data: bytes, *tags: int) -> bytes:
    """The file as an archive writes it that drops some elements."""
    ds = pydicom.dcmread(io.BytesIO(data))
    for tag in tags:
        del ds[tag]
    kept = io.BytesIO()
    ds.save_as(kept)
    return kept.getvalue()


class TestTwoCarriers:
    """Header copy and Encrypted Attributes each give back what the other lost."""

    COPY, ENCRYPTED = 0x5EA11001, 0x04000500
    PAIR = rsa_pair("custodian")
    ORDER = replace(
        HIDDEN, pseudonyms=Pseudonyms(MAPPING, Profile("p"), Envelope([PAIR[0]], b"e" * 32))
    )
    ORIGINAL = image(NOISE, stored=12, PatientComments="x" * 900, StudyDate="20200102")

    def examiner(self) -> Examiner:
        custodian = Custodian(*self.PAIR)
        return Examiner(KEYS.opener(), TiledEmbedder(), None, custodian=custodian)

    @pytest.mark.parametrize("lost", [(), (COPY,), (ENCRYPTED,)])
    def test_an_original_comes_back_byte_for_byte_without_one_of_them(self, lost):
        made = marker(KEYS).mark(self.ORIGINAL, self.ORDER)

        found = self.examiner().examine(without(made.data, *lost))

        assert found.exact
        assert found.restored == self.ORIGINAL

    def test_without_both_the_identity_is_still_in_the_pixels(self):
        made = marker(KEYS).mark(self.ORIGINAL, self.ORDER)

        found = self.examiner().examine(without(made.data, self.COPY, self.ENCRYPTED))

        assert not found.exact
        names = dict(identity.readable(found.record.attributes))
        assert (names["PatientName"], names["StudyDate"]) == ("Doe^Jane", "20200102")

    @pytest.mark.parametrize("lost", [(), (COPY,), (ENCRYPTED,)])
    def test_either_tells_who_it_is_about_when_the_pixels_lost_it(self, lost):
        made = marker(KEYS).mark(self.ORIGINAL, self.ORDER)
        ds = pydicom.dcmread(io.BytesIO(without(made.data, *lost)))
        ds.PixelData = bytes(len(ds.PixelData))
        file = io.BytesIO()
        ds.save_as(file)

        examiner = self.examiner()

        assert examiner.examine(file.getvalue()).record is None
        assert dict(identity.readable(examiner.who(file.getvalue())))["PatientName"] == "Doe^Jane"

    def test_any_tool_that_reads_cms_finds_the_attributes_as_they_were(self):
        made = marker(KEYS).mark(self.ORIGINAL, self.ORDER)
        item = pydicom.dcmread(io.BytesIO(made.data)).EncryptedAttributesSequence[0]

        content = io.BytesIO(Custodian(*self.PAIR).open(item.EncryptedContent))

        ds = read_dataset(content, is_implicit_VR=False, is_little_endian=True)
        kept = ds.ModifiedAttributesSequence[0]
        assert item.EncryptedContentTransferSyntaxUID == ExplicitVRLittleEndian
        assert (kept.PatientName, kept.PatientComments) == ("Doe^Jane", "x" * 900)
        assert kept.SOPInstanceUID == reader.read(self.ORIGINAL).text("SOPInstanceUID")

    def test_a_retry_sends_the_same_envelope(self):
        assert marker(KEYS).mark(self.ORIGINAL, self.ORDER) == marker(KEYS).mark(
            self.ORIGINAL, self.ORDER
        )

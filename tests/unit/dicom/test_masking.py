from __future__ import annotations

import io
import re

import numpy as np
import pydicom
import pytest
from making import NUMBERED_UID, dataset, image, part10
from masks import CANARY, canaries, nested
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.crypto.mapping import Mapping
from node.dicom import headers, masking, reader
from node.dicom.elements import ITEM, Encoding, element_bytes, header
from node.errors import UnsealableError
from node.types import Profile, SafePrivate

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
WORDS = np.arange(40, dtype=np.uint16).reshape(1, 8, 5, 1)
MAPPING = Mapping(b"m" * 32)
BASIC = Profile("basic")


def masked(data: bytes, profile: Profile = BASIC) -> tuple[pydicom.Dataset, bytes]:
    """The masked object as pydicom reads it, and its bytes without pixels."""
    obj = reader.read(data)
    body = headers.changed(obj, masking.mask(obj, profile, MAPPING)).dataset
    syntax = obj.transfer_syntax_uid
    file = reader.write_part10("1.2.3", "1.2.3.4", syntax, body)
    return pydicom.dcmread(io.BytesIO(file)), body


def masked_dataset(profile: Profile = BASIC, **attributes) -> pydicom.Dataset:
    return masked(part10(dataset(**attributes)), profile)[0]


def item(**attributes) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.filterwarnings("ignore")  # canaries are no valid values
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_value_of_any_attribute_of_the_table_is_left_at_any_depth(syntax, depth):
    ds, planted = canaries()
    whole = dataset()
    whole.update(nested(ds, depth))
    data = part10(whole, syntax)
    values = {value if isinstance(value, bytes) else value.encode() for value in planted}
    assert len(values) > 600
    assert all(value in data for value in values)

    _, body = masked(data)

    assert [value for value in values if value in body] == []


def test_private_elements_go_at_any_depth_but_for_those_that_are_known_to_be_safe():
    def private(ds: Dataset) -> Dataset:
        block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "1.5")
        block.add_new(0x03, "LO", CANARY.format(1))
        other = ds.private_block(0x0029, "ACME", create=True)
        other.add_new(0x10, "UN", CANARY.format(2).encode())
        return ds

    ds = private(dataset())
    ds.ReferencedSeriesSequence = Sequence([private(item())])
    safe = Profile("s", safe_private=(SafePrivate(0x7053, 0, "Philips PET Private Group"),))

    nothing, _ = masked(part10(ds))
    some, body = masked(part10(ds), safe)

    assert not any(element.tag.is_private for element in nothing.iterall())
    for found in (some, some.ReferencedSeriesSequence[0]):
        assert found[0x7053, 0x1000].value == 1.5
        assert (0x7053, 0x1003) not in found
        assert (0x0029, 0x0010) not in found
    assert b"Zqx" not in body


def test_names_and_numbers_are_stable_pseudonyms_and_the_same_at_any_depth():
    request = item(AccessionNumber="A77", PatientID="4711 ")

    def of(**more):
        return masked_dataset(
            AccessionNumber="A77", ReferencedSeriesSequence=Sequence([request]), **more
        )

    one, again, other = of(), of(PatientID=" 4711"), of(PatientID="4712")

    assert one.PatientID == again.PatientID != other.PatientID
    assert re.fullmatch("[A-Z2-7]{16}", one.PatientID)
    assert one.PatientName == f"Pseudonym^{one.PatientID}"
    inside = one.ReferencedSeriesSequence[0]
    assert (inside.AccessionNumber, inside.PatientID) == (one.AccessionNumber, one.PatientID)
    assert of(IssuerOfPatientID="ELSEWHERE").PatientID != one.PatientID


def test_patients_without_an_id_are_never_taken_for_one():
    def key(**attributes) -> bytes:
        return masking.patient_key(reader.read(part10(dataset(PatientID="", **attributes))))

    names = key(PatientBirthDate="19700101"), key(PatientBirthDate="19700102")
    nameless = key(PatientName=""), key(PatientName="", StudyInstanceUID="1.2.9")
    assert len({*names, *nameless}) == 4


def test_uids_of_instances_are_mapped_everywhere_and_those_of_classes_nowhere():
    ct, private_class = "1.2.840.10008.5.1.4.1.1.2", "1.3.12.2.1107.5.9.1"
    one, two = NUMBERED_UID.format(1), NUMBERED_UID.format(77)
    reference = item(ReferencedSOPClassUID=private_class, ReferencedSOPInstanceUID=two)
    content = item(ValueType="IMAGE", ReferencedSOPSequence=Sequence([reference]))
    code = item(CodeValue="1", ContextUID=ct, CodingSchemeUID="2.16.840.1.113883.6.96")
    found = masked_dataset(
        SourceImageSequence=Sequence([reference]),
        ContentSequence=Sequence([content, item(ValueType="UIDREF", UID=one)]),
        AnatomicRegionSequence=Sequence([code]),
        FailedSOPInstanceUIDList=[one, two],
        SpecificCharacterSet="ISO_IR 100",
    )

    def to(uid: str) -> str:
        return MAPPING.uid(uid.encode()).decode()

    assert found.SOPInstanceUID == to(one) == found.ContentSequence[1].UID
    assert found.SOPClassUID == ct
    for inside in (found.SourceImageSequence, found.ContentSequence[0].ReferencedSOPSequence):
        assert inside[0].ReferencedSOPInstanceUID == to(two)
        assert inside[0].ReferencedSOPClassUID == private_class
    assert found.FailedSOPInstanceUIDList == [to(one), to(two)]
    kept = found.AnatomicRegionSequence[0]
    assert (kept.ContextUID, kept.CodingSchemeUID) == (ct, code.CodingSchemeUID)


def test_text_of_reports_goes_and_their_codes_and_numbers_stay():
    name = item(CodeValue="121071", CodingSchemeDesignator="DCM", CodeMeaning="Finding")
    items = [
        item(ValueType="TEXT", TextValue="Mrs Doe is well", ConceptNameCodeSequence=[name]),
        item(ValueType="PNAME", PersonName="House^Gregory"),
        item(ValueType="NUM", MeasuredValueSequence=[item(NumericValue="17")]),
        item(ValueType="DATE", Date="20200102"),
    ]
    found = masked_dataset(ContentSequence=Sequence(items)).ContentSequence

    assert found[0].TextValue == found[1].PersonName == "REMOVED"
    assert found[0].ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert found[2].MeasuredValueSequence[0].NumericValue == 17
    assert found[3].Date == "19000101"


def test_a_patients_name_is_found_in_text_that_the_table_leaves_alone():
    found = masked_dataset(
        FilterType="DOE JANE", ConvolutionKernel="DOELIKE", ContrastBolusRoute="4711", Modality="CT"
    )

    assert (found.FilterType, found.ContrastBolusRoute) == ("REMOVED", "REMOVED")
    assert found.ConvolutionKernel == "DOELIKE"


def test_dates_are_removed_shifted_alike_for_a_patient_or_kept():
    dates = {"StudyDate": "20200131", "AcquisitionDateTime": "20200229101112.5+0100"}

    def of(profile: str, **more):
        return masked_dataset(Profile("p", dates=profile), StudyTime="101112", **dates, **more)

    removed, kept, shifted, other = (
        of("remove"),
        of("keep"),
        of("shift"),
        of("shift", PatientID="9"),
    )
    assert (removed.StudyDate, removed.StudyTime) == ("", "")
    assert (kept.StudyDate, kept.AcquisitionDateTime) == tuple(dates.values())
    assert shifted.StudyTime == "101112"
    assert shifted.AcquisitionDateTime[8:] == "101112.5+0100"
    apart = pydicom.valuerep.DA(shifted.AcquisitionDateTime[:8]) - pydicom.valuerep.DA(
        shifted.StudyDate
    )
    assert apart.days == 29
    assert "19900101" < shifted.StudyDate < "20200101"
    assert shifted.StudyDate != other.StudyDate


def test_options_keep_what_they_say_and_no_more():
    about = {
        "StationName": "CT7",
        "InstitutionName": "Mercy",
        "PatientSex": "F",
        "StudyDescription": "CT THORAX NATIVE",
        "SeriesDescription": "for dr house",
    }

    def of(**options):
        found = masked_dataset(Profile("p", **options), **about)
        return {keyword for keyword, value in about.items() if found.get(keyword) == value}

    assert of() == set()
    assert of(retain_device=True) == {"StationName"}
    assert of(retain_institution=True) == {"InstitutionName"}
    assert of(retain_characteristics=True) == {"PatientSex"}
    assert of(descriptors=("ct thorax*",)) == {"StudyDescription"}


def test_a_listed_descriptor_with_the_patients_name_in_it_goes_nevertheless():
    profile = Profile("p", descriptors=("*",))

    found = masked_dataset(profile, StudyDescription="CT of Doe", SeriesDescription="CT 5mm")

    assert (found.StudyDescription, found.SeriesDescription) == ("REMOVED", "CT 5mm")


def test_overlays_and_curves_go_whole():
    ds = dataset()
    ds.add_new(0x60000010, "US", 8)
    ds.add_new(0x60021500, "LO", CANARY.format(1))
    ds.add_new(0x60003000, "OW", CANARY.format(2).encode())
    ds.add_new(0x50003000, "OW", CANARY.format(3).encode())

    found, body = masked(part10(ds))

    assert not any(element.tag.group >> 8 in (0x50, 0x60) for element in found)
    assert b"Zqx" not in body


@pytest.mark.parametrize(
    ("code", "attributes"),
    [
        ("burned_in", {"BurnedInAnnotation": "YES"}),
        ("document", {"EncapsulatedDocument": b"%PDF"}),
    ],
)
def test_what_shows_the_patient_elsewhere_is_refused(code, attributes):
    obj = reader.read(image(WORDS, **attributes))

    with pytest.raises(UnsealableError) as caught:
        masking.mask(obj, BASIC, MAPPING)

    assert caught.value.code == code


def test_an_overlay_or_text_in_the_pixel_data_is_refused():
    with pytest.raises(UnsealableError) as tail:
        masking.mask(reader.read(image(WORDS, tail=b"Doe^Jane")), BASIC, MAPPING)
    ds = dataset(Rows=1, Columns=1)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 12)
    with pytest.raises(UnsealableError) as overlay:
        masking.mask(reader.read(part10(ds)), BASIC, MAPPING)

    assert (tail.value.code, overlay.value.code) == ("pixel_tail", "overlay_in_pixels")


def test_a_route_may_send_pictures_with_burned_in_names_if_it_says_so():
    obj = reader.read(image(WORDS, BurnedInAnnotation="YES"))

    assert masking.mask(obj, Profile("p", burned_in="send"), MAPPING)


def test_only_uids_of_sop_instances_change_where_the_patient_is_kept():
    reference = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    reference.ReferencedSOPInstanceUID = NUMBERED_UID.format(9)
    data = part10(dataset(ReferencedImageSequence=Sequence([reference])))

    changes = masking.mask_uids(reader.read(data), MAPPING)

    assert sorted(changes) == [0x00080018, 0x00081140]


def test_a_sequence_that_cannot_be_gone_through_is_left_out():
    broken = header(ITEM, "", 255, Encoding.EXPLICIT_LE) + b"Doe^Jane"
    element = element_bytes(0x00081115, "SQ", broken, Encoding.EXPLICIT_LE)
    obj = reader.read(part10(dataset()))
    body = b"".join(headers.assemble(obj, {0x00081115: element}))

    found, body = masked(reader.write_part10("1.2", "1.3", ExplicitVRLittleEndian, body))

    assert "ReferencedSeriesSequence" not in found
    assert b"Doe" not in body

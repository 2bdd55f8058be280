"""DICOM objects for tests, written by pydicom so that our reader never checks our own writing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

if TYPE_CHECKING:
    import numpy as np

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"
NUMBERED_UID = "1.2.826.0.1.3680043.10.1234.{}"
UNTRUE = "Doe^Jane"


def dataset(**attributes: Any) -> Dataset:
    """A small data set with UIDs and a patient; keywords add, None removes."""
    ds = Dataset()
    ds.SOPClassUID = CT_SOP_CLASS
    ds.SOPInstanceUID = NUMBERED_UID.format(1)
    ds.StudyInstanceUID = NUMBERED_UID.format(2)
    ds.SeriesInstanceUID = NUMBERED_UID.format(3)
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientName = UNTRUE
    ds.PatientID = "4711"
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def part10(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The data set as a file in a native transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CT_SOP_CLASS)
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", NUMBERED_UID.format(1))
    meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta = meta
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def image(
    words: np.ndarray,
    *,
    stored: int | None = None,
    high_bit: int | None = None,
    signed: bool = False,
    photometric: str = "",
    planar: int = 0,
    syntax: str = ExplicitVRLittleEndian,
    tail: bytes = b"",
    **attributes: Any,
) -> bytes:
    """A file whose pixels are ``words``: uint8 or uint16, frames x rows x columns x samples.

    :param tail: bytes behind the words, before padding to even length.
    """
    frames, rows, columns, samples = words.shape
    bits = words.dtype.itemsize * 8
    stored = bits if stored is None else stored
    ds = dataset(
        Rows=rows,
        Columns=columns,
        SamplesPerPixel=samples,
        PhotometricInterpretation=photometric or ("RGB" if samples == 3 else "MONOCHROME2"),
        BitsAllocated=bits,
        BitsStored=stored,
        HighBit=stored - 1 if high_bit is None else high_bit,
        PixelRepresentation=int(signed),
    )
    if frames > 1:
        ds.NumberOfFrames = frames
    if samples > 1:
        ds.PlanarConfiguration = planar
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    order = words.transpose(0, 3, 1, 2) if planar else words
    byte_order = ">" if syntax == ExplicitVRBigEndian else "<"
    value = order.astype(words.dtype.newbyteorder(byte_order)).tobytes() + tail
    ds.PixelData = value + b"\0" * (len(value) % 2)
    ds["PixelData"].VR = "OW" if bits == 16 else "OB"
    return part10(ds, syntax)

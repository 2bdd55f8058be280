"""Test objects without a patient, one for each kind that a PACS may treat in its own way.

Each says in its header, and by its UIDs, that it is one. What is drawn in them
looks enough like an image (smooth parts, edges, noise) to carry a mark.
"""

from __future__ import annotations

import io
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from node.dicom import pixels, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from node.dicom.pixels import Codec

STUDY = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'sealnode:qualification').int}"  # PS3.5 B.2
LABEL = "SEALNODE^PHANTOM"
PATIENT = "SEALNODE-QUALIFY"
BYTE = 8  # bits
SIDE = 256  # rows and columns
COMPRESSED = (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, *COMPRESSED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image: bits stored, frames, and samples of a pixel."""

    name: str
    sop_class_uid: str
    modality: str
    bits: int
    frames: int = 1
    samples: int = 1
    signed: bool = False


CT = Kind("CT", "1.2.840.10008.5.1.4.1.1.2", "CT", 12, signed=True)
US = Kind("US colour", "1.2.840.10008.5.1.4.1.1.6.1", "US", 8, samples=3)
KINDS = (
    CT,
    Kind("MR", "1.2.840.10008.5.1.4.1.1.4", "MR", 12),
    Kind("CR", "1.2.840.10008.5.1.4.1.1.1", "CR", 10),
    Kind("DX", "1.2.840.10008.5.1.4.1.1.1.1", "DX", 14),
    Kind("MG", "1.2.840.10008.5.1.4.1.1.1.2", "MG", 14),
    US,
    Kind("multi-frame", "1.2.840.10008.5.1.4.1.1.3.1", "US", 8, frames=4),
)
PDF_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.11"
PDF = b"%PDF-1.4\n% a test object of Sealnode, of no patient\n%%EOF\n"


@dataclass(frozen=True, slots=True)
class Phantom:
    """One test object as a Part 10 file."""

    name: str
    transfer_syntax_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    data: bytes


def phantoms(run: str, codec: Codec) -> Iterator[Phantom]:
    """Yield each kind once, and a grey and a colour one in each transfer syntax.

    :param run: tells the UIDs of one run from those of another: an archive
        that has an object already would not show what it does to a new one.
    :param codec: encodes those in compressed transfer syntaxes.
    """
    for kind in KINDS:
        yield _image(kind, ExplicitVRLittleEndian, run, codec)
    for syntax in SYNTAXES[1:]:
        for kind in (CT, US):
            yield _image(kind, syntax, run, codec)
    yield _document("PDF", PDF_CLASS, "DOC", run)
    yield _document("SR", SR_CLASS, "SR", run)


def syntax_name(transfer_syntax_uid: str) -> str:
    """Return what people call a transfer syntax: its name of PS3.6, without the details."""
    name = UID(transfer_syntax_uid).name
    return re.split(r",| \(| Image Compression", name, maxsplit=1)[0]


def _image(kind: Kind, syntax: UID, run: str, codec: Codec) -> Phantom:
    ds = _labelled(kind.name, kind.sop_class_uid, kind.modality, syntax, run)
    deep = kind.bits > BYTE
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel = kind.samples
    ds.PhotometricInterpretation = "RGB" if kind.samples > 1 else "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16 if deep else BYTE, kind.bits, kind.bits - 1
    ds.PixelRepresentation = int(kind.signed)
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    if kind.samples > 1:
        ds.PlanarConfiguration = 0
    if kind.frames > 1:
        ds.NumberOfFrames = kind.frames
    words = _drawn(kind)
    if kind.signed:
        ds.RescaleIntercept, ds.RescaleSlope = "0", "1"
        words = words - (1 << kind.bits - 1)
    dtype = ("<i2" if kind.signed else "<u2") if deep else "u1"
    ds.PixelData = words.astype(dtype).tobytes()
    ds["PixelData"].VR = "OW" if deep else "OB"
    if syntax in COMPRESSED:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        native = pixels.load(reader.read(_phantom(kind.name, ds).data))
        ds.PixelData = codec.encode(native.words, native.facts, str(syntax))
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = syntax
    return _phantom(kind.name, ds)


def _drawn(kind: Kind) -> NDArray[np.int64]:
    """Draw discs on a slope, with a little noise; shape (frames, rows, columns, samples)."""
    rng = np.random.default_rng(kind.bits * 100 + kind.frames * 10 + kind.samples)
    top = (1 << kind.bits) - 1
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    frames = []
    for number in range(kind.frames):
        picture = 0.25 + 0.2 * x + 0.1 * y
        for cx, cy, radius, level in ((0.35, 0.4, 0.2, 0.2), (0.65, 0.6, 0.15, -0.15)):
            inside = (x - cx - number * 0.02) ** 2 + (y - cy) ** 2 < radius**2
            picture = picture + level * inside
        noise = rng.normal(0.0, max(1.0, top / 1000), (SIDE, SIDE))
        grey = np.clip(np.round(picture * top + noise), top // 16, top - top // 16)
        channels = [grey, *(np.clip(np.round(grey * share), 1, top - 1) for share in (0.8, 0.6))]
        frames.append(np.stack(channels[: kind.samples], axis=-1))
    return np.stack(frames).astype(np.int64)


def _document(name: str, sop_class_uid: str, modality: str, run: str) -> Phantom:
    ds = _labelled(name, sop_class_uid, modality, ExplicitVRLittleEndian, run)
    if sop_class_uid == PDF_CLASS:
        ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
        ds.DocumentTitle = "SEALNODE TEST OBJECT"
        ds.BurnedInAnnotation = "NO"
        ds.EncapsulatedDocument = PDF + b"\0" * (len(PDF) % 2)
    else:
        ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
        ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
        title = Dataset()
        title.CodeValue, title.CodingSchemeDesignator = "121070", "DCM"
        title.CodeMeaning = "Findings"
        ds.ConceptNameCodeSequence = [title]
    return _phantom(name, ds)


def _labelled(name: str, sop_class_uid: str, modality: str, syntax: UID, run: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = _uid(f"{run}:{name}:{syntax}")
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = _uid(f"{run}:{name}")
    ds.PatientName, ds.PatientID = LABEL, PATIENT
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20000101", "000000", "1", ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "SEALNODE TEST OBJECTS, NO PATIENT"
    ds.SeriesDescription = f"TEST {name}"
    ds.Manufacturer = "Sealnode"
    ds.Modality = modality
    ds.SeriesNumber, ds.InstanceNumber = "1", "1"
    return ds


def _phantom(name: str, ds: Dataset) -> Phantom:
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    written = io.BytesIO()
    dcmwrite(written, ds, enforce_file_format=True)
    return Phantom(
        name,
        str(ds.file_meta.TransferSyntaxUID),
        str(ds.SOPInstanceUID),
        str(ds.SeriesInstanceUID),
        written.getvalue(),
    )


def _uid(name: str) -> str:
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'sealnode:qualification:{name}').int}"

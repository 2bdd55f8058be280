"""What is sealed into an object, what carries it, and what is found again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Binding:
    """What a seal is bound to; computed from the object on both sides, never stored."""

    sop_class_uid: str
    sop_instance_uid: str
    rows: int = 0
    columns: int = 0
    frames: int = 0
    samples_per_pixel: int = 0
    bits_allocated: int = 0
    bits_stored: int = 0
    pixel_representation: int = 0


@dataclass(frozen=True, slots=True)
class Attribute:
    """One element as received: tag, two-letter VR, raw little-endian value bytes."""

    tag: int
    vr: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Attachment:
    """What another system gave to be sealed with an object.

    :param kind: its media type, one of ``node.sealing.attachments.KINDS``.
    """

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """What is sealed into an object: the patient, the proof and the way back.

    :param attributes: identifying and study attributes as received.
    :param pixels_sha256: of the original words, little endian; of the value
        field as it stands where only the header is sealed.
    :param object_sha256: of the original header (``dicom.headers``).
    :param undo: how to turn the marked header back; opaque but for ``dicom``.
    :param logo: packed by ``mark.logo``; may be empty.
    :param file: preamble and meta information of a sealed *file*, else empty.
    :param robust: how to take the robust layer out again; empty without one.
    :param coarse: what the image looks like, roughly (:mod:`node.mark.coarse`); may be empty.
    :param attached: attachments, or their digest (:mod:`node.sealing.attachments`); may be empty.
    """

    attributes: tuple[Attribute, ...]
    pixels_sha256: bytes
    object_sha256: bytes
    undo: bytes
    logo: bytes = b""
    file: bytes = b""
    robust: bytes = b""
    coarse: bytes = b""
    attached: bytes = b""


@dataclass(frozen=True)
class Carrier:
    """Samples that a mark may move, and how far.

    All frames stand one below the other. ``low`` and ``high`` bound each
    sample (inclusive) and broadcast against ``samples``; no allowed move
    changes what they depend on. Samples inside ``padding`` (inclusive range)
    must not move, and no other sample may move into it.

    :param samples: int32, shape (frames * frame_rows, columns).
    """

    samples: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    frame_rows: int
    padding: tuple[int, int] | None = None

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The least and the largest sample."""
        return int(self.samples.min()), int(self.samples.max())


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of one frame, in stored pixels; frame counts from 0."""

    frame: int
    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read out of a carrier.

    :param samples: int32: the original where a tile is intact, else as found.
    :param unplaced: whether something changed for which no region can be named.
    """

    payload: bytes | None  #: None when too little of it survived
    samples: NDArray[np.int32]
    altered: tuple[Region, ...]  #: the tiles that are not as they were marked
    unplaced: bool
    tiles: int  #: how many the image has


@dataclass(frozen=True, slots=True)
class Quality:
    """How far a marked image is from its original; PSNR in dB."""

    max_change: int
    changed: int
    psnr_stored: float  #: against the range that BitsStored allows
    psnr_data: float  #: against the image's own range
    ssim: float  #: as displayed at the VOI window; 1 is the same


@dataclass(frozen=True, slots=True)
class Limits:
    """What a mark may cost an image of one modality.

    :param max_change: of any sample by the reversible mark, in stored values.
    :param min_psnr: in dB, against the image's own range; of all marks together.
    :param min_ssim: as displayed at the VOI window; of all marks together.
    """

    max_change: int = 8
    min_psnr: float = 0.0
    min_ssim: float = 0.0


class VerdictKind(Enum):
    """What is true of an object. A word, never a boolean."""

    INTACT = "INTACT"
    HEADER_COERCED = "HEADER_COERCED"
    TAMPERED = "TAMPERED"
    LOSSY = "LOSSY"
    UNMARKED = "UNMARKED"
    NOT_OUR_KEY = "NOT_OUR_KEY"
    UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding with its evidence.

    :param coerced: keywords (or tags) of header attributes that differ.
    :param regions: where the pixels differ, for TAMPERED.
    :param details: what surely changed inside them, if a coarse copy tells.
    :param carrier: ``"pixels"`` or ``"header"``: where the seal was found.
    """

    kind: VerdictKind
    reason: str = ""
    coerced: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    details: tuple[Region, ...] = ()
    key_id: str = ""
    carrier: str = ""
    payload_bytes: int = 0
    tiles: int = 0
    hospital: str = ""  #: id (hex), for LOSSY: whose image it is a copy of
    recipient: int = 0  #: number of whoever got that copy; 0 for nobody or unknown

"""Every noun that more than one part of the node speaks of.

All of them are frozen: a stage makes a new one, it never changes one. None of
them carries a patient attribute except :class:`Record`, which lives only
between taking the identity out of an object and sealing it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROUTING_KEYWORDS = frozenset(
    {
        "BitsAllocated", "BitsStored", "BodyPartExamined", "BurnedInAnnotation", "Columns",
        "ConversionType", "ImageType", "Laterality", "LossyImageCompression", "Manufacturer",
        "ManufacturerModelName", "Modality", "NumberOfFrames", "PhotometricInterpretation",
        "PixelRepresentation", "PresentationIntentType", "Rows", "SOPClassUID",
        "SamplesPerPixel", "StationName", "TransferSyntaxUID", "ViewPosition",
    }
)  # fmt: skip
"""What a route may match on, the only keys of ``Instance.attributes``: nothing of the patient."""


class Action(Enum):
    """What a route does with an instance."""

    SEAL = "seal"  #: mark it, prove it, send the marked object
    RELAY = "relay"  #: send it as it came, unprotected, because a person wrote so
    HOLD = "hold"  #: keep it until a person decides
    REFUSE = "refuse"  #: answer the modality with a refusal, keep nothing


class Unsealable(Enum):
    """What a route does with an instance that cannot be marked without loss."""

    HOLD = "hold"
    RELAY = "relay"
    REFUSE = "refuse"
    HEADER = "header"  #: the sealed record rides in the header alone


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end; ``source`` and ``workstation`` name what admits it."""

    calling_aet: str
    called_aet: str
    address: str
    source: str = ""
    workstation: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One ``[source.*]``: who may send to the node, from which networks (CIDR).

    :param tls_name: name that the client certificate must carry, or ``""``.
    """

    name: str
    aet: str
    addresses: tuple[str, ...]
    tls_name: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """One ``[destination.*]``: where objects go.

    :param tls: name of the ``[tls.*]`` table to use, or ``""`` for none.
    :param give_up_after: seconds after which a delivery is parked.
    :param associations: how many associations may be open to it at once.
    :param readback: share (0 to 1) of its deliveries that is fetched back and
        verified, ``readback_after`` so many seconds.
    :param on_tamper: ``"block"`` or ``"warn"`` workstations of what was changed.
    :param on_unmarked: ``"pass"`` or ``"block"`` what never was sealed.
    """

    name: str
    aet: str
    host: str
    port: int
    tls: str = ""
    give_up_after: float = 7 * 86400.0
    associations: int = 1
    enabled: bool = True
    readback: float = 0.0
    readback_after: float = 3600.0
    on_tamper: str = "block"
    on_unmarked: str = "pass"


@dataclass(frozen=True, slots=True)
class Instance:
    """What arrived, as network and header say it.

    :param blob: SHA-256 (hex) of the Part 10 file that the spool keeps.
    :param size: in bytes.
    :param attributes: the routing keywords, spelt as DICOM spells them, that
        a route may match on. An allow-list without patient attributes.
    :param received_at: seconds since the epoch, by the receiver's clock.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    blob: str
    size: int
    attributes: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    peer: Peer = Peer("", "", "")
    received_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """One ``[[route]]``: data, never an expression.

    :param match: facts of the association in ``snake_case`` and DICOM
        keywords in ``CamelCase``, each with the values that it accepts.
    :param logo: path of the hospital's PNG, or ``""``.
    :param priority: 0 routine, 1 high, 2 STAT; higher leaves first.
    """

    name: str
    match: dict[str, tuple[str, ...]]
    action: Action
    to: tuple[str, ...] = ()
    unsealable: Unsealable = Unsealable.HOLD
    identity: str = "keep"
    uid: str = "keep"
    logo: str = ""
    lossy: str = "refuse"
    robust: str = ""  #: ``"id"`` adds the hospital's robust mark
    recipient: int = 0  #: number of whoever gets the images, told by that mark
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """One route that was looked at, and why it did or did not match."""

    route: str
    matched: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an instance, with the whole way there.

    ``route is None`` means that nothing matched; ``action`` is then HOLD.
    """

    route: Route | None
    action: Action
    trace: tuple[Tried, ...]


class EntryState(Enum):
    """The life of one instance in the spool (drawn in docs/spool.md)."""

    RECEIVED = "received"  #: durable; waits to be sealed
    READY = "ready"  #: the object to send exists; its deliveries run
    DONE = "done"  #: every delivery ended well
    HELD = "held"  #: a person must decide; by rule
    PARKED = "parked"  #: a person must look; something went wrong
    DISCARDED = "discarded"  #: a person threw it away, audited


class DeliveryState(Enum):
    """The life of one (instance, destination)."""

    WAITING = "waiting"  #: the object to send does not exist yet
    PENDING = "pending"  #: may be sent at ``not_before``
    SENT = "sent"  #: the destination answered success or warning
    VERIFIED = "verified"  #: read back and found intact
    PARKED = "parked"  #: given up or refused for good; a person must look
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One instance and what the node has decided and done about it."""

    id: int
    instance: Instance
    state: EntryState
    route: str
    action: Action
    priority: int = 0
    sealed: str = ""  #: SHA-256 (hex) of the blob to send; "" until there is one
    attempts: int = 0
    not_before: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One (instance, destination). A slow destination delays only its own rows."""

    id: int
    entry: int
    destination: str
    state: DeliveryState
    blob: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    priority: int = 0
    attempts: int = 0
    not_before: float = 0.0
    created_at: float = 0.0
    reason: str = ""
    readback_at: float | None = None  #: when it is to be read back; None if not (any more)
    lost: int = 0  #: how often the destination did not have it when it was read back


@dataclass(frozen=True, slots=True)
class Event:
    """One audit event, written in the same transaction as what it tells of.

    :param event: a past-tense constant, such as ``instance_accepted``.
    :param object: a keyed pseudonym of the SOP Instance UID, never the UID.
    :param facts: further values; never a patient attribute.
    """

    event: str
    object: str = ""
    actor: str = ""
    outcome: str = "success"
    facts: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it. ``warning`` is its DIMSE status if not 0x0000."""

    warning: int = 0


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: trying again can help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not ever as it is: a person must look."""

    reason: str
    status: int = 0


Outcome = Delivered | Deferred | Refused


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
    """

    attributes: tuple[Attribute, ...]
    pixels_sha256: bytes
    object_sha256: bytes
    undo: bytes
    logo: bytes = b""
    file: bytes = b""
    robust: bytes = b""


@dataclass(frozen=True, slots=True)
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
    :param carrier: ``"pixels"`` or ``"header"``: where the seal was found.
    """

    kind: VerdictKind
    reason: str = ""
    coerced: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    key_id: str = ""
    carrier: str = ""
    payload_bytes: int = 0
    tiles: int = 0
    hospital: str = ""  #: id (hex), for LOSSY: whose image it is a copy of
    recipient: int = 0  #: number of whoever got that copy; 0 for nobody or unknown

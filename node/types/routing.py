"""Who sends what to whom, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

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
    """Who is at the other end; the last three name what admits it."""

    calling_aet: str
    called_aet: str
    address: str
    source: str = ""
    workstation: str = ""
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """Who a peer says it is by user identity negotiation (PS3.7 D.3.3.7).

    :param passcode: ``b""`` where only a name was given.
    """

    user: str
    passcode: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """One ``[source.*]``: who may send to the node, from which networks (CIDR).

    :param tls_name: name that the client certificate must carry, or ``""``.
    :param host: where its requests for storage commitment are answered; ``""``
        where it may make none. ``port`` and ``tls`` belong to it.
    :param commitment_within: seconds after which it hears what is not safe yet.
    :param user: whom it must log in as, or ``""``.
    :param passcode: path of the file with that user's passcode, or ``""``.
    """

    name: str
    aet: str
    addresses: tuple[str, ...]
    tls_name: str = ""
    host: str = ""
    port: int = 104
    tls: str = ""
    commitment_within: float = 86400.0
    user: str = ""
    passcode: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """One ``[destination.*]``: where objects go.

    :param url: of its DICOMweb service, where ``aet``, ``host`` and ``port`` are
        empty; ``""`` where it is reached by DICOM associations.
    :param token: path of the file with the token that it wants, or ``""``.
    :param user: whom to log in to its service as, or ``""``; ``password`` is the
        path of a file.
    :param tls: name of the ``[tls.*]`` table to use, or ``""`` for none.
    :param give_up_after: seconds after which a delivery is parked.
    :param associations: how many associations may be open to it at once.
    :param readback: share (0 to 1) of its deliveries that is fetched back and
        verified, ``readback_after`` so many seconds.
    :param commitment: whether it is asked to commit to keep what it was sent,
        ``commitment_after`` so many seconds.
    :param commitment_wait: seconds for which the association is kept for the answer.
    :param commitment_within: seconds after which it is asked again; then doubled.
    :param calls_from: networks (CIDR) that it reports from; empty for its host.
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
    commitment: bool = False
    commitment_after: float = 10.0
    commitment_wait: float = 5.0
    commitment_within: float = 3600.0
    calls_from: tuple[str, ...] = ()
    on_tamper: str = "block"
    on_unmarked: str = "pass"
    qualified: str = "advised"  #: ``"required"``: nothing is sent until it is qualified
    url: str = ""
    token: str = ""
    user: str = ""
    password: str = ""

    @property
    def place(self) -> str:
        """Where it is, in a word."""
        return self.url or f"{self.aet}@{self.host}:{self.port}"

    @property
    def words(self) -> str:
        """Where it is, as people say it."""
        return self.url or f"{self.aet} at {self.host} port {self.port}"


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
class SafePrivate:
    """A private element that is known to say nothing of the patient: (group,xx element)."""

    group: int
    element: int
    creator: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One ``[profile.*]``: what pseudonymised objects keep, PS3.15 annex E.

    :param dates: ``"remove"``, ``"shift"`` (by days of the patient) or ``"keep"``.
    :param graphics: keep drawings in annotations, without their text.
    :param descriptors: patterns of descriptions that may stay.
    :param burned_in: ``"hold"`` or ``"send"`` what says that it has burned-in names.
    :param certificates: paths of those who may open the Encrypted Attributes.
    """

    name: str = ""
    dates: str = "remove"
    retain_device: bool = False
    retain_institution: bool = False
    retain_characteristics: bool = False
    graphics: bool = False
    descriptors: tuple[str, ...] = ()
    safe_private: tuple[SafePrivate, ...] = ()
    burned_in: str = "hold"
    certificates: tuple[str, ...] = ()

    @property
    def retained(self) -> frozenset[str]:
        """The options whose attributes stay as they are, in the words of the table."""
        chosen = {
            "dates": self.dates == "keep",
            "device": self.retain_device,
            "institution": self.retain_institution,
            "characteristics": self.retain_characteristics,
        }
        return frozenset(word for word, on in chosen.items() if on)


@dataclass(frozen=True, slots=True)
class Route:
    """One ``[[route]]``: data, never an expression.

    :param match: facts of the association in ``snake_case`` and DICOM
        keywords in ``CamelCase``, each with the values that it accepts.
    :param logo: path of the hospital's PNG, or ``""``.
    :param priority: 0 routine, 1 high, 2 STAT; higher leaves first.
    :param threshold: each of ``to`` gets a share, so many of which give the
        object back; 0 where each gets the whole.
    """

    name: str
    match: dict[str, tuple[str, ...]]
    action: Action
    to: tuple[str, ...] = ()
    unsealable: Unsealable = Unsealable.HOLD
    identity: str = "keep"
    uid: str = "keep"
    profile: str = ""  #: name of the ``[profile.*]`` for pseudonyms
    logo: str = ""
    lossy: str = "refuse"
    robust: str = ""  #: ``"id"`` or ``"bitmap"`` adds the hospital's robust mark
    recipient: int = 0  #: number of whoever gets the images, told by that mark
    visible: str = ""  #: ``"overlay"`` shows the logo over the image, ``"margin"`` below it
    recovery: bool = False  #: seals a coarse copy of the image into it
    priority: int = 0
    threshold: int = 0
    attachments: bool = False  #: seals what the drop folder has for its Accession Number
    sign: str = ""  #: name of the ``[signer.*]`` that signs its objects
    break_glass: bool = False  #: a person may let its images pass unsealed for a while


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

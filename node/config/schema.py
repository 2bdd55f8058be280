"""What a configuration may say: every option with its reader, its default and one line on it.

The classes whose names end in ``Table`` mirror TOML tables; the loader turns
them into the nouns of :mod:`node.types`. The manual and the commented example
files are generated from the very same lines.
"""

# ruff: noqa: FBT003, RUF009 - option() declares a field, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.config import values as read
from node.config.tables import needed, option, table
from node.types import Action, Unsealable

if TYPE_CHECKING:
    from pathlib import Path

    from node.types import SafePrivate

PRIORITIES = {"routine": 0, "high": 1, "stat": 2}
ACTIONS = tuple(action.value for action in Action)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """``[source.NAME]``: a modality that may send to the node. All others are refused."""

    aet: str = needed(read.ae_title, "CT1", "its AE title")
    addresses: tuple[str, ...] = needed(
        read.some(read.network), ["10.0.1.0/24"], "addresses or networks that it sends from"
    )
    tls_name: str = option(
        read.optional_name, "", "name that its certificate must carry; needs a node with TLS"
    )
    host: str = option(
        read.optional_host,
        "",
        "where its requests for storage commitment are answered; empty if it may make none",
    )
    port: int = option(read.integer(1, 65535), 104, "TCP port for that")
    tls: str = option(
        read.optional_name, "", "name of the [tls.*] table to answer with", names="tls"
    )
    commitment_within: float = option(
        read.duration("1m", "30d"), "1d", "how long it waits until it hears what is not safe yet"
    )
    user: str = option(
        read.optional_name, "", "user that it must log in as (user identity negotiation)"
    )
    passcode: Path | None = option(
        read.path, None, "file with that user's passcode", example="ct1.passcode"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkstationTable:
    """``[workstation.NAME]``: who may query and retrieve through the node."""

    aet: str = needed(read.ae_title, "VIEWER1", "its AE title")
    addresses: tuple[str, ...] = needed(
        read.some(read.network), ["10.0.2.0/24"], "addresses or networks that it asks from"
    )
    tls_name: str = option(
        read.optional_name, "", "name that its certificate must carry; needs a node with TLS"
    )
    user: str = option(
        read.optional_name, "", "user that it must log in as (user identity negotiation)"
    )
    passcode: Path | None = option(
        read.path, None, "file with that user's passcode", example="ct1.passcode"
    )
    pacs: str = needed(read.name, "pacs-main", "the destination that is asked", names="destination")
    restore: bool = option(read.flag, False, "give it originals instead of sealed objects")
    host: str = option(
        read.optional_host, "", "where C-MOVE sends to it; empty if it uses C-GET only"
    )
    port: int = option(read.integer(1, 65535), 104, "TCP port for that")
    tls: str = option(
        read.optional_name, "", "name of the [tls.*] table to send to it with", names="tls"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationTable:
    """``[destination.NAME]``: a PACS that the node sends to."""

    aet: str | None = option(
        read.ae_title, None, "its AE title; needed without url", example="PACS1"
    )
    host: str | None = option(
        read.host,
        None,
        "its host name or address; needed without url",
        example="pacs.example.org",
    )
    port: int | None = option(
        read.integer(1, 65535), None, "its TCP port; needed without url", example=104
    )
    url: str | None = option(
        read.web_address,
        None,
        "address of its DICOMweb service, instead of these three",
        example="https://cloud.example.org/dicom-web",
    )
    token: Path | None = option(
        read.path, None, "with url: file with the bearer token that it wants", example="cloud.token"
    )
    user: str = option(read.optional_name, "", "with url: whom to log in as, with a password")
    password: Path | None = option(
        read.path, None, "file with that user's password", example="cloud.password"
    )
    tls: str = option(
        read.optional_name,
        "",
        "name of the [tls.*] table to connect with; empty means without TLS, and with a "
        "url trust in the authorities of this machine",
        names="tls",
    )
    give_up_after: float = option(
        read.duration("1m", "3650d"), "7d", "park a delivery that has not succeeded for so long"
    )
    associations: int = option(read.integer(1, 64), 1, "associations open to it at once")
    readback: float = option(
        read.share, "0%", "share of what was delivered that is fetched back and verified"
    )
    readback_after: float = option(
        read.duration("1s", "30d"), "1h", "how long after its delivery an object is fetched back"
    )
    commitment: bool = option(
        read.flag, False, "ask it to commit to keep what was delivered (storage commitment)"
    )
    commitment_after: float = option(
        read.duration("0s", "1d"), "10s", "how long after its delivery an object is asked about"
    )
    commitment_wait: float = option(
        read.duration("0s", "10m"),
        "5s",
        "how long the association is kept for its answer; it may always open one of its own",
    )
    commitment_within: float = option(
        read.duration("1s", "30d"), "1h", "ask again if it has not answered for so long"
    )
    calls_from: tuple[str, ...] | None = option(
        read.some(read.network),
        None,
        "addresses or networks that it answers from; those of its host unless given",
        example=["10.0.3.0/24"],
    )
    on_tamper: str = option(
        read.choice("block", "warn"),
        "block",
        "what was changed there: keep it from workstations, or give it with a comment",
    )
    on_unmarked: str = option(
        read.choice("pass", "block"),
        "pass",
        "what never was sealed: give it to workstations, or keep it from them",
    )
    enabled: bool = option(read.flag, True, "false lets its deliveries wait")
    qualified: str = option(
        read.choice("advised", "required"),
        "advised",
        "required lets its deliveries wait until 'nodectl qualify' has passed or was overridden",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalTable:
    """``[hospital.NAME]``: a hospital whose robust mark is to be recognised."""

    title: str = needed(read.text, "Example Hospital", "what people call it")
    mark: str = option(
        read.digits(24),
        "",
        "its public mark, from 'nodectl keys mark' there; empty for this site's own",
    )
    logo: Path | None = option(
        read.path, None, "PNG of its logo, shown where its mark is found", example="logo.png"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTable:
    """``[quality.MODALITY]``: what a mark may cost an image; [quality.default] is for the rest."""

    max_change: int | None = option(
        read.integer(1, 8), None, "most that the seal may change a stored value by", example=4
    )
    min_psnr: float | None = option(
        read.number(0, 200),
        None,
        "least PSNR in dB, against the range of values in the image, all marks together",
        example=50,
    )
    min_ssim: float | None = option(
        read.number(0, 1), None, "least SSIM of what the VOI window shows", example=0.98
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTable:
    """``[profile.NAME]``: what stays in pseudonymised objects, options of PS3.15 annex E."""

    dates: str = option(
        read.choice("remove", "shift", "keep"),
        "remove",
        "dates and times: remove them, shift the dates of a patient alike, or keep them",
    )
    retain_device: bool = option(read.flag, False, "keep serial numbers and names of devices")
    retain_institution: bool = option(read.flag, False, "keep names and addresses of institutions")
    retain_characteristics: bool = option(
        read.flag, False, "keep sex, age, size, weight and the like of patients"
    )
    graphics: bool = option(read.flag, False, "keep drawings in annotations, without their text")
    descriptors: tuple[str, ...] | None = option(
        read.some(read.text),
        None,
        "descriptions that may stay; * and ? stand for any text and any character",
        example=["CT THORAX*", "LOCALIZER"],
    )
    safe_private: tuple[SafePrivate, ...] | None = option(
        read.some(read.safe_private),
        None,
        "private elements that may stay: group, element in its block, private creator",
        example=["7053,00,Philips PET Private Group"],
    )
    burned_in: str = option(
        read.choice("hold", "send"),
        "hold",
        "pictures said to have names burned in (0028,0301): hold them, or send them as they are",
    )
    certificates: tuple[Path, ...] | None = option(
        read.some(read.path),
        None,
        "RSA certificates of those who may open the Encrypted Attributes (0400,0500) besides",
        example=["tls/custodian.pem"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTable:
    """``[tls.NAME]``: certificates, as PEM files. Keys are files, never values."""

    ca: Path = needed(read.path, "tls/hospital-ca.pem", "certificates that sign those of the peers")
    certificate: Path = needed(read.path, "tls/node.pem", "the node's certificate, with its chain")
    key: Path = needed(read.path, "tls/node.key", "the key of that certificate, without passphrase")
    mutual: bool = option(read.flag, True, "ask peers that connect for a certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesTable:
    """``shares`` of a ``[[route]]``: each destination gets a share, k of which give the object."""

    k: int = needed(read.integer(2, 32), 2, "shares that suffice")
    n: int = needed(read.integer(2, 32), 3, "shares that are made, one for each destination")
    to: tuple[str, ...] = needed(
        read.some(read.name),
        ["pacs-a", "cloud-b", "cloud-c"],
        "the destinations, in the order of the shares",
        names="destination",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """``[[route]]``: what happens to which objects. The first route that matches wins."""

    name: str = needed(read.name, "ct", "name in logs, in the queue and in tests")
    match: dict[str, tuple[str, ...]] = option(
        read.facts,
        {},
        "every key must match one of its values; * and ? stand for any text and any character",
        example={"source": ["ct1"], "Modality": ["CT", "PT"]},
    )
    action: str = needed(read.choice(*ACTIONS), "seal", "seal, relay (unprotected), hold or refuse")
    to: tuple[str, ...] | None = option(
        read.some(read.name),
        None,
        "destinations; needed by seal and relay",
        names="destination",
        example=["pacs-main"],
    )
    shares: SharesTable | None = option(
        table(SharesTable),
        None,
        "instead of to: divide the sealed object into n shares, any k of which give it back",
        example={"k": 2, "n": 3, "to": ["pacs-a", "cloud-b", "cloud-c"]},
    )
    unsealable: str = option(
        read.choice(*(rule.value for rule in Unsealable)),
        "hold",
        "what cannot be marked without loss: hold, relay (unprotected), refuse or header",
    )
    identity: str = option(
        read.choice("keep", "pseudonym"),
        "keep",
        "who the object sent is about: keep that, or a pseudonym (PS3.15 annex E)",
    )
    uid: str | None = option(
        read.choice("keep", "derive"),
        None,
        "UIDs of instances: keep them, or derive others, for ever the same; "
        "pseudonyms always derive all UIDs",
        example="keep",
    )
    profile: str = option(
        read.optional_name,
        "",
        "name of the [profile.*] table that says what stays with pseudonyms; empty: nothing more",
        names="profile",
    )
    logo: Path | None = option(
        read.path, None, "PNG of the hospital's logo, sealed into the picture", example="logo.png"
    )
    lossy: str = option(
        read.choice("refuse", "decode"),
        "refuse",
        "objects compressed with loss: refuse to mark, or decode and store without further loss",
    )
    robust: str = option(
        read.unless_false(read.choice("id", "bitmap")),
        False,
        '"id" names the hospital even in lossy copies, "bitmap" shows its logo, too; or false',
    )
    recipient: int = option(
        read.integer(0, (1 << 32) - 1),
        0,
        "number of whoever gets the images, told by that mark; 0 for none",
    )
    visible: str = option(
        read.unless_false(read.choice("overlay", "margin")),
        False,
        '"overlay" shows the logo over the image in viewers with overlays, "margin" below it',
    )
    recovery: bool = option(
        read.flag, False, "seal a coarse copy into the image, which shows what was there if changed"
    )
    attachments: bool = option(
        read.flag, False, "seal what the drop folder of [attachments] has for an object into it"
    )
    sign: str = option(
        read.optional_name,
        "",
        "name of the [signer.*] table that signs its objects (DICOM Digital Signature)",
        names="signer",
    )
    break_glass: bool = option(
        read.flag, False, "allow 'nodectl breakglass' to let its images pass unsealed for a while"
    )
    priority: str = option(
        read.choice(*PRIORITIES), "routine", "routine, high or stat; higher ones leave first"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectTable:
    """``expect`` of a ``[[test]]``; at least one key."""

    route: str | None = option(
        read.optional_name,
        None,
        'the route that must win; "" means that none matches',
        example="ct",
        names="route",
    )
    action: str | None = option(
        read.choice(*ACTIONS), None, "what must be done with it", example="seal"
    )
    to: tuple[str, ...] | None = option(
        read.some(read.name),
        None,
        "the destinations that it must go to",
        names="destination",
        example=["pacs-main"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTable:
    """``[[test]]``: an object that is supposed to arrive, and what must happen to it."""

    given: dict[str, tuple[str, ...]] = needed(
        read.given, {"source": "ct1", "Modality": "CT"}, "its source and its DICOM attributes"
    )
    expect: ExpectTable = needed(
        table(ExpectTable),
        {"route": "ct", "to": ["pacs-main"]},
        "the route, action and destinations",
    )

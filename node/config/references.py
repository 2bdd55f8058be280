"""What must hold between the tables of a configuration, and between it and the disk."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from node.config.values import nearest, shown
from node.types import Action, Unsealable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.config.attachments import AttachmentSettings
    from node.config.audit import AuditSettings, SyslogSettings
    from node.config.config import Hospital, RouteTest, SignerFiles, TlsFiles, Workstation
    from node.config.keys import KeySettings
    from node.config.schema import DestinationTable, RouteTable
    from node.config.settings import NodeSettings
    from node.types import Destination, Limits, Profile, Route, Source

PEM = b"-----BEGIN CERTIFICATE-----"
PNG = b"\x89PNG\r\n\x1a\n"
MAX_LOGO = 1 << 20  # bytes
WILD = frozenset("*?")
COMMITMENT_RETENTION = 3600.0  # seconds for which a source may ask about what is done


@dataclass
class Found:
    """Everything read so far, and the mistakes in it.

    :param whole: every file could be parsed; else a name that no table has
        may well stand in the file that could not.
    :param places: where each table stands, by (kind, name): those with
        mistakes, too, so that a mistake in a table makes no second one where
        the table is named.
    :param names: every naming of a table: (where, kind of table, names).
    """

    directory: Path
    mistakes: list[str] = field(default_factory=list)
    whole: bool = True
    places: dict[tuple[str, str], str] = field(default_factory=dict)
    names: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    node: NodeSettings | None = None
    audit: AuditSettings | None = None
    attachments: AttachmentSettings | None = None
    syslog: SyslogSettings | None = None
    keys: KeySettings | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    workstations: dict[str, Workstation] = field(default_factory=dict)
    destinations: dict[str, Destination] = field(default_factory=dict)
    tls: dict[str, TlsFiles] = field(default_factory=dict)
    hospitals: dict[str, Hospital] = field(default_factory=dict)
    quality: dict[str, Limits] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    signers: dict[str, SignerFiles] = field(default_factory=dict)
    routes: list[tuple[str, Route]] = field(default_factory=list)
    tests: list[RouteTest] = field(default_factory=list)


def mistakes_between(found: Found) -> Iterator[str]:
    """Yield every mistake that no single table shows."""
    for place, kind, names in found.names:
        known = [own for other, own in found.places if other == kind]
        for name in names:
            if name not in known and not WILD & set(name):
                yield f'{place}: there is no {kind} "{shown(name)}"{nearest(name, known)}'
    if found.node is not None:
        yield from _about_node(found, found.node)
        yield from _about_commitment(found, found.node)
    yield from _about_keys(found)
    if found.syslog is not None:
        yield from _about_syslog(found.syslog)
    yield from _about_sources(found)
    yield from _about_logins(found)
    for files in found.tls.values():
        yield from _about_tls(found, files)
    yield from _about_signers(found)
    yield from _about_attachments(found)
    for place, route in found.routes:
        yield from _about_pictures(place, route)
        yield from _about_identity(place, route)
    yield from _about_hospitals(found)
    yield from _about_certificates(found)
    for test in found.tests:
        if (test.route, test.action, test.to) == (None, None, None):
            yield f"{test.place}.expect: expects nothing; name a route, an action or destinations"


def mistakes_of_shares(route: RouteTable) -> Iterator[str]:
    """Yield what is wrong with how a route divides objects into shares."""
    shares = route.shares
    if shares is None:
        return
    if route.action != "seal":
        yield f'shares: needs action = "seal", not "{route.action}"'
    if route.to is not None:
        yield "to: stands beside shares, which names the destinations itself"
    if shares.k > shares.n:
        yield f"shares.k: must be from 2 to n, which is {shares.n}, not {shares.k}"
    if len(shares.to) != shares.n:
        yield f"shares.to: names {len(shares.to)} destinations; n is {shares.n}"
    if route.unsealable == "relay":
        yield "unsealable: relay sends whole objects unprotected; use hold, header or refuse"


def mistakes_of_destination(peer: DestinationTable) -> Iterator[str]:
    """Yield what is wrong with how a destination is reached."""
    places = {key: getattr(peer, key) for key in ("aet", "host", "port")}
    if peer.url is None:
        yield from (f"{key}: is missing" for key, value in places.items() if value is None)
        for key in ("token", "user", "password"):
            if getattr(peer, key):
                yield f"{key}: needs url; DICOM associations to a destination have none"
        return
    if given := [key for key, value in places.items() if value is not None]:
        yield f"url: stands beside {', '.join(given)}; a destination has one address"
    if peer.token and peer.user:
        yield "token: stands beside user; a destination is told one of them"
    if bool(peer.user) != bool(peer.password):
        yield "user: needs password" if peer.user else "password: needs user, which is empty"
    if peer.tls and peer.url.startswith("http:"):
        yield 'tls: needs a url that begins with "https://"'
    if peer.commitment:
        yield "commitment: DICOMweb has none; readback tells whether it keeps what it was sent"


def mistakes_of_break_glass(route: RouteTable) -> Iterator[str]:
    """Yield why a route cannot let images pass as they came."""
    if not route.break_glass:
        return
    if route.action != "seal":
        yield f'break_glass: needs action = "seal", not "{route.action}"'
    if route.shares is not None:
        yield "break_glass: would give each destination of shares the whole object"
    if route.identity != "keep" or route.uid == "derive":
        yield "break_glass: would send the identity that this route takes out"


def _about_identity(place: str, route: Route) -> Iterator[str]:
    if route.identity == "keep":
        if route.profile:
            yield f'{place}.profile: needs identity = "pseudonym"'
        return
    if route.action is not Action.SEAL:
        yield f'{place}.identity: "pseudonym" needs action = "seal", which keeps the way back'
    if route.uid == "keep":
        yield f'{place}.uid: must be "derive" where identity is "pseudonym"'
    if route.unsealable is Unsealable.RELAY:
        yield f'{place}.unsealable: "relay" would send patients in clear; use "header" or "hold"'


def _about_certificates(found: Found) -> Iterator[str]:
    pairs = [(one, Path(path)) for one in found.profiles.values() for path in one.certificates]
    for profile, path in pairs:
        place = f"{found.places['profile', profile.name]}.certificates"
        try:
            if PEM not in path.read_bytes():
                yield f"{place}: {shown(path.name)} is no certificate in PEM"
        except OSError as error:
            yield f"{place}: {shown(path.name)} cannot be read: {error.strerror}"


def _about_node(found: Found, node: NodeSettings) -> Iterator[str]:
    if node.port == node.fetch_port:
        yield "node.toml: node.fetch_port: is the port that modalities send to"
    if not node.tls:
        peers: list[Source | Workstation] = [*found.sources.values(), *found.workstations.values()]
        for peer in peers:
            if peer.tls_name:
                yield f"{_place(found, peer)}.tls_name: needs node.tls, which is empty"
            if peer.passcode:
                yield f"{_place(found, peer)}.passcode: would travel in clear; needs node.tls"


def _about_keys(found: Found) -> Iterator[str]:
    module = found.keys and found.keys.pkcs11_module
    if found.keys and (module is None) != (found.keys.token is None):
        missing = "token" if module else "pkcs11_module"
        yield f"node.toml: keys.{missing}: is missing; a token needs pkcs11_module and token"
    if module and not module.is_file():
        yield "node.toml: keys.pkcs11_module: there is no such file"
    fips = found.keys is not None and found.keys.profile == "fips"
    if fips and found.keys and found.keys.dna:
        yield 'node.toml: keys.dna: draws its rules from ChaCha20; profile "fips" does not allow it'
    for name, profile in found.profiles.items():
        if fips and profile.certificates:
            place = found.places["profile", name]
            yield (
                f"{place}.certificates: Encrypted Attributes transport their key by "
                'RSA PKCS #1 v1.5, which keys.profile = "fips" does not allow'
            )


def _about_syslog(syslog: SyslogSettings) -> Iterator[str]:
    secured = syslog.transport == "tls"
    if syslog.host and secured and not syslog.tls:
        yield 'node.toml: syslog.tls: is missing; transport "tls" needs a [tls.*] table'
    if syslog.tls and not secured:
        yield 'node.toml: syslog.tls: has no meaning with transport "udp"'


def _about_commitment(found: Found, node: NodeSettings) -> Iterator[str]:
    for source in found.sources.values():
        if source.host and node.retention < COMMITMENT_RETENTION:
            yield (
                f"{_place(found, source)}.host: needs node.retention of 1h or more: "
                f"what is forgotten cannot be committed"
            )
    for destination in found.destinations.values():
        if destination.commitment_wait > destination.commitment_within:
            place = found.places["destination", destination.name]
            yield f"{place}.commitment_wait: is longer than commitment_within"


def _about_sources(found: Found) -> Iterator[str]:
    pairs: list[tuple[Source | Workstation, Source | Workstation]] = [
        *combinations(found.sources.values(), 2),
        *combinations(found.workstations.values(), 2),
    ]
    peers: list[Source | Workstation] = [*found.sources.values(), *found.workstations.values()]
    for peer in peers:
        if peer.passcode and not peer.user:
            yield f"{_place(found, peer)}.passcode: needs user, which is empty"
        if peer.passcode:
            yield from _about_secret(f"{_place(found, peer)}.passcode", Path(peer.passcode))
    for one, other in pairs:
        if one.aet == other.aet and _overlap(one.addresses, other.addresses):
            yield (
                f"{_place(found, other)}: cannot be told from {_kind(one)}.{one.name}: "
                f"the same AE title and addresses that overlap"
            )


def _about_logins(found: Found) -> Iterator[str]:
    for peer in found.destinations.values():
        place = found.places["destination", peer.name]
        for key, path in (("token", peer.token), ("password", peer.password)):
            if path:
                yield from _about_secret(f"{place}.{key}", Path(path))


def _about_secret(place: str, path: Path) -> Iterator[str]:
    if not path.is_file():
        yield f"{place}: there is no such file"
    elif path.stat().st_mode & 0o007:
        yield f"{place}: everyone on this machine may read it (chmod 0400)"


def _about_tls(found: Found, files: TlsFiles) -> Iterator[str]:
    place = found.places["tls", files.name]
    for key in ("ca", "certificate", "key"):
        path: Path = getattr(files, key)
        if key == "key":
            yield from _about_secret(f"{place}.key", path)
        elif not path.is_file():
            yield f"{place}.{key}: there is no such file"


def _about_attachments(found: Found) -> Iterator[str]:
    if found.attachments is None:  # has mistakes of its own
        return
    folder = found.attachments.folder
    if folder is not None and not os.path.isdir(folder):  # noqa: PTH112 - false where hidden
        yield "node.toml: attachments.folder: there is no such folder"
    if found.attachments.fhir_token is not None:
        place = "node.toml: attachments.fhir_token"
        yield from _about_secret(place, found.attachments.fhir_token)
    for place, route in found.routes:
        if route.attachments and route.action is not Action.SEAL:
            yield f'{place}.attachments: needs action = "seal"'
        if route.attachments and folder is None:
            yield f"{place}.attachments: needs attachments.folder in node.toml"


def _about_signers(found: Found) -> Iterator[str]:
    for signer in (one for one in found.signers.values() if not one.hidden):
        place = found.places["signer", signer.name]
        yield from _about_secret(f"{place}.key", signer.key)
        if not signer.certificate.is_file():
            yield f"{place}.certificate: there is no such file"
    for place, route in found.routes:
        if route.sign and route.action is not Action.SEAL:
            yield f'{place}.sign: needs action = "seal"; nothing else is signed'


def _about_hospitals(found: Found) -> Iterator[str]:
    marks: dict[bytes, str] = {}
    for hospital in found.hospitals.values():
        place = found.places["hospital", hospital.name]
        yield from _about_logo(place, hospital.logo)
        other = marks.setdefault(hospital.mark, hospital.name)
        if other != hospital.name:
            yield f"{place}.mark: is that of hospital.{other}, too"


def _about_pictures(place: str, route: Route) -> Iterator[str]:
    yield from _about_logo(place, route.logo)
    if route.robust == "bitmap" and not route.logo:
        yield f'{place}.logo: is missing; robust = "bitmap" carries it'
    if route.visible and not route.logo:
        yield f"{place}.logo: is missing; visible shows it"


def _about_logo(place: str, logo: str) -> Iterator[str]:
    if not logo:
        return
    try:
        with open(logo, "rb") as stream:  # noqa: PTH123 - it is text in Route.logo
            start = stream.read(MAX_LOGO + 1)
    except OSError as error:
        yield f"{place}.logo: cannot be read: {error.strerror}"
        return
    if not start.startswith(PNG):
        yield f"{place}.logo: is no PNG"
    elif len(start) > MAX_LOGO:
        yield f"{place}.logo: is longer than {MAX_LOGO} bytes"


def _place(found: Found, noun: Source | Workstation) -> str:
    return found.places[_kind(noun), noun.name]


def _kind(noun: Source | Workstation) -> str:
    return type(noun).__name__.lower()


def _overlap(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    pairs = [
        (ipaddress.ip_network(one), ipaddress.ip_network(two)) for one in some for two in others
    ]
    return any(one.version == two.version and one.overlaps(two) for one, two in pairs)

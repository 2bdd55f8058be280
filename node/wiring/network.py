"""Both sides of the network, as configured."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from node.wiring.spool import ledger

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from node.config.config import Config
    from node.dicom.acceptance import Offer
    from node.dicom.base import Archive, Sender
    from node.dicom.limits import Limits
    from node.dicom.pixels import Codec
    from node.dicom.requestor import Requestor
    from node.dicom.retrieve import Wanted
    from node.dicom.server import Server
    from node.dicom.web.service import Service
    from node.receive import StorageReceiver
    from node.sealing.fhir import FhirServer
    from node.types import Destination, Outcome, Peer


def limits(config: Config) -> Limits:
    """Return the bounds of the network edge as configured."""
    from node.dicom.limits import Limits

    node, wait = config.node, config.node.timeouts
    return Limits(
        associations=node.max_associations,
        per_address=node.associations_per_address,
        handshake=wait.handshake,
        request=wait.acse,
        idle=max(wait.network, wait.dimse),
        max_pdu=node.max_pdu,
        max_object=node.max_object_size,
    )


def requestor(config: Config, destination: Destination) -> Requestor:
    """Return what asks a destination for associations."""
    from node.dicom.requestor import Requestor

    return Requestor(
        destination,
        aet=config.node.aet,
        limits=limits(config),
        tls=client_tls(config, destination.tls),
        response=config.node.timeouts.dimse,
    )


def echo(config: Config) -> Callable[[Destination], Outcome]:
    """Return a function that asks a destination for a C-ECHO, or what stands for it."""
    from node.dicom.scu import echo as ask
    from node.errors import UnreachableError
    from node.types import Deferred

    def answer(destination: Destination) -> Outcome:
        try:
            if destination.url:
                return web_echo(config, destination)
            return ask(requestor(config, destination))
        except UnreachableError as error:
            return Deferred(str(error))

    return answer


def web_echo(config: Config, destination: Destination) -> Outcome:
    """Ask a DICOMweb service whether it answers us.

    :raises UnreachableError: it does not.
    """
    there = service(config, destination)
    from node.dicom.web.stow import StowSender

    sending = StowSender(there)
    try:
        return sending.echo()
    finally:
        sending.close()


def service(config: Config, destination: Destination) -> Service:
    """Return the DICOMweb service of a destination.

    :raises ConfigError: the libraries for it are not installed.
    """
    from node.dicom import tls

    check_web(config)
    from node.dicom.web.login import authorization
    from node.dicom.web.service import Service

    context = None
    if destination.url.startswith("https:"):
        context = client_tls(config, destination.tls) or tls.client_context(None)
    return Service(
        destination,
        limits=limits(config),
        tls=context,
        response=config.node.timeouts.dimse,
        authorization=authorization(destination),
    )


def check_web(config: Config) -> None:
    """Check that destinations with a ``url`` can be spoken to.

    :raises ConfigError: the libraries for that are not installed.
    """
    from node.errors import ConfigError

    named = [peer.name for peer in config.destinations.values() if peer.url]
    if named and not installed("dicomweb_client"):
        raise ConfigError(
            [f"destination.{name}.url: needs dicomweb-client" for name in named],
            hint="pip install 'sealnode[web]'",
        )


def installed(library: str) -> bool:
    """Return whether a library can be imported."""
    from importlib.util import find_spec

    return find_spec(library) is not None


def fetch(
    config: Config, destination: Destination, folder: Path, *, study: str, series: str, sop: str
) -> list[Path]:
    """Fetch objects back from a destination into a folder: C-GET, else C-MOVE; WADO-RS.

    :raises UnreachableError: it does not answer, or not with success.
    """
    from node.dicom.retrieve import Wanted

    wanted = known(config, destination, Wanted(study, series, sop))
    return archive(config, destination).fetch(wanted, folder)


def archive(config: Config, destination: Destination) -> Archive:
    """Return what fetches from a destination."""
    if destination.url:
        there = service(config, destination)
        from node.dicom.web.archive import WebArchive

        return WebArchive(there)
    from node.dicom.acceptance import Settings
    from node.dicom.archive import DimseArchive

    node = config.node
    receiving = Settings(
        aet=node.fetch_aet, host=node.host, port=node.fetch_port, limits=limits(config)
    )
    node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return DimseArchive(requestor(config, destination), receiving, turn=node.state / "fetch.lock")


def known(config: Config, destination: Destination, wanted: Wanted) -> Wanted:
    """Add what the ledger knows of an instance: its series, and as what it was sent.

    PS3.4 C.4.3.2.1 wants the unique keys of all levels above; archives that
    insist on it find nothing without the series.
    """
    if not wanted.sop_instance_uid:
        return wanted
    rows = ledger(config)
    try:
        entries = rows.find(wanted.sop_instance_uid)
        deliveries = [d for entry in entries for d in rows.get(entry.id)[1]]
    finally:
        rows.close()
    sent = [
        d
        for d in deliveries
        if d.destination == destination.name and d.transfer_syntax_uid and not d.share
    ]
    series = {
        wanted.series_instance_uid or entry.instance.series_instance_uid
        for entry in entries
        if entry.instance.sop_instance_uid == wanted.sop_instance_uid  # else it has another name
    }
    return replace(
        wanted,
        series_instance_uid=series.pop() if len(series) == 1 else wanted.series_instance_uid,
        pairs=tuple({(d.sop_class_uid, d.transfer_syntax_uid) for d in sent}),
    )


def client_tls(config: Config, name: str) -> ssl.SSLContext | None:
    """Return what secures connections of ours, by the name of a ``[tls.*]`` table."""
    if not name:
        return None
    from node.dicom import tls

    files = config.tls[name]
    return tls.client_context(files.ca, certificate=files.certificate, key=files.key)


EXPIRES_SOON = 30  # days before a certificate expires that people are told


def check_certificates(config: Config) -> None:
    """Check that every ``[tls.*]`` and ``[signer.*]`` table can be used.

    :raises ConfigError: with each that cannot.
    """
    from node.errors import ConfigError
    from node.wiring.sealing import signatory

    mistakes: list[str] = []
    for name in (one.name for one in config.signers.values() if not one.hidden):
        try:
            signatory(config, name)
        except ConfigError as error:
            mistakes += [f"signer.{name}: {mistake}" for mistake in error.mistakes]
    for name in config.tls:
        try:
            client_tls(config, name)
        except ConfigError as error:
            mistakes += [f"tls.{name}: {mistake}" for mistake in error.mistakes]
    if mistakes:
        raise ConfigError(mistakes)


def fhir(config: Config) -> FhirServer | None:
    """Return the FHIR server to ask for attachments, if there is one."""
    from node.sealing.fhir import FhirServer

    there = config.attachments
    if not there.fhir:
        return None
    token = there.fhir_token.read_text(encoding="ascii").strip() if there.fhir_token else ""
    return FhirServer(
        there.fhir,
        there.fhir_resources,
        token=token,
        within=there.fhir_within,
        max_size=there.max_size,
        context=client_tls(config, there.fhir_tls),
    )


def expiries(config: Config) -> Iterator[tuple[str, float]]:
    """Yield for each table with certificates when the first expires, as seconds since 1970.

    :raises ConfigError: a file holds no certificate.
    """
    from node.crypto.certificates import expiry

    for name, files in config.tls.items():
        yield f"tls.{name}", min(expiry(files.certificate), expiry(files.ca))
    for name, signer in config.signers.items():
        if signer.hidden:
            continue
        yield f"signer.{name}", expiry(signer.certificate)


def server_tls(config: Config) -> ssl.SSLContext | None:
    """Return what secures connections of others to us.

    :raises ConfigError: a file holds no usable certificate or key.
    """
    if not config.node.tls:
        return None
    from node.dicom import tls

    files = config.tls[config.node.tls]
    return tls.server_context(
        files.certificate, files.key, peers=files.ca if files.mutual else None
    )


def server(
    config: Config, receiver: StorageReceiver, services: Callable[[Peer], Sequence[Offer]]
) -> Server:
    """Return the listening side of stage 1, its port bound.

    :param services: what a peer may use beside storage.
    """
    from node.dicom.acceptance import Settings
    from node.dicom.server import Server

    return Server(
        receiver,
        Settings(
            aet=config.node.aet,
            host=config.node.host,
            port=config.node.port,
            tls=server_tls(config),
            unknown_classes=config.node.unknown_sop_classes,
            reuse_port=config.node.receivers > 1,
            limits=limits(config),
            services=services,
        ),
    )


def sender(config: Config, codec: Codec, destination: Destination) -> Sender:
    """Return what sends to one destination."""
    if destination.url:
        there = service(config, destination)
        from node.dicom.web.stow import StowSender

        return StowSender(there)
    from node.dicom.scu import StorageScu
    from node.dicom.transcode import transcode

    return StorageScu(requestor(config, destination), transcode=partial(transcode, codec=codec))

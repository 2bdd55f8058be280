"""Config -> objects. The only module that names concrete backends.

Each function imports what it names when it is called: a light verb such as
``nodectl status`` must not pay for numpy.
"""

from __future__ import annotations

import os
import random
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from node import retry
from node.errors import ProofError
from node.types import Action, Unsealable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from node.audit.base import AuditSink
    from node.audit.log import JsonLog
    from node.config.schema import Config
    from node.copies import Copies
    from node.crypto.keyring import DirectoryKeys
    from node.dicom.acceptance import Offer
    from node.dicom.archive import Archive
    from node.dicom.limits import Limits
    from node.dicom.pixels import Codec
    from node.dicom.requestor import Requestor
    from node.dicom.retrieve import Wanted
    from node.dicom.scu import StorageScu
    from node.dicom.server import Server
    from node.forward import Forwarder
    from node.mark.base import Embedder
    from node.process import Marker, Processor
    from node.reap import Reaper
    from node.receive import StorageReceiver
    from node.spool.base import BlobStore, Ledger
    from node.types import Delivery, Destination, Outcome, Peer, Route
    from node.verify import Examiner
    from node.worker import Doorbell

AUDIT_KEY = "audit.key"
SLOT = "SEALNODE_SLOT"  # which of the processes of its stage a process is
STAGES = ("receive", "process", "forward", "verify", "reap")


# The spool, the audit log ------------------------------------------------


def ledger(config: Config) -> Ledger:
    """Open the rows."""
    from node.spool.sqlite import SqliteLedger

    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqliteLedger(config.node.state / "ledger.db")


def blobs(config: Config) -> BlobStore:
    """Open the bytes."""
    from node.spool.disk import DiskBlobs

    return DiskBlobs(config.node.state / "spool", reserve=config.node.reserve)


def doorbell(config: Config, stage: str) -> Doorbell:
    """Return what wakes a stage."""
    from node.worker import Doorbell

    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Doorbell(config.node.state / f"{stage}.bell")


def audit_log(config: Config) -> JsonLog:
    """Open the audit log for writing.

    :raises ConfigError: another process writes it.
    """
    from node.audit.checkpoint import Signer
    from node.audit.log import JsonLog

    found = (config.node.keys / AUDIT_KEY).exists()
    signer = Signer(keys(config).audit_key()) if found else None
    if signer is None:
        structlog.get_logger().warning("checkpoints_off", hint="there is no audit.key")
    return JsonLog(config.node.state / "audit", signer=signer)


# Keys, mark, codec --------------------------------------------------------


def keys(config: Config) -> DirectoryKeys:
    """Open the key directory; secrets that a service manager gave go first."""
    from node.crypto.keyring import DirectoryKeys

    given = os.environ.get("CREDENTIALS_DIRECTORY")
    return DirectoryKeys(config.node.keys, credentials=Path(given) if given else None)


def embedder() -> Embedder:
    """Return the mark that this version makes and reads."""
    from node.mark.embedder import TiledEmbedder

    return TiledEmbedder()


@contextmanager
def codec() -> Iterator[Codec]:
    """Give the codec for encapsulated pixels; its child process ends with the block."""
    from node.dicom.codecs import Decoder

    with Decoder() as made:
        yield made


def examiner(config: Config, codec: Codec) -> Examiner:
    """Return what verifies and restores under every key of the ring."""
    from node.verify import Examiner

    return Examiner(keys(config).opener(), embedder(), codec, copies(config))


def copies(config: Config) -> Copies:
    """Return what tells whose image a lossy copy is of."""
    from node.copies import Copies

    return Copies(config.hospitals.values(), keys(config).robust_key(), config.routes)


def marker(config: Config, codec: Codec) -> Marker:
    """Return what seals and proves; it needs no opening key."""
    from node.process import Marker
    from node.verify import Examiner

    ring, mark = keys(config), embedder()
    return Marker(ring.sealer(), mark, codec, Examiner(ring.prover(), mark, codec))


@lru_cache(maxsize=64)
def logo(path: str) -> bytes:
    """Return the packed logo of a PNG file; ``b""`` for no path.

    :raises ConfigError: it is no PNG that can be used.
    """
    from node.mark.logo import pack

    return pack(Path(path).read_bytes()) if path else b""


# The network -----------------------------------------------------------------


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
    """Return a function that asks a destination for a C-ECHO."""
    from node.dicom.scu import echo as ask
    from node.errors import UnreachableError
    from node.types import Deferred

    def answer(destination: Destination) -> Outcome:
        try:
            return ask(requestor(config, destination))
        except UnreachableError as error:
            return Deferred(str(error))

    return answer


def fetch(
    config: Config, destination: Destination, folder: Path, *, study: str, series: str, sop: str
) -> list[Path]:
    """Fetch objects back from a destination into a folder: C-GET, else C-MOVE.

    :raises UnreachableError: it does not answer, or not with success.
    """
    from node.dicom.retrieve import Wanted

    wanted = known(config, destination, Wanted(study, series, sop))
    return archive(config, destination).fetch(wanted, folder)


def archive(config: Config, destination: Destination) -> Archive:
    """Return what fetches from a destination."""
    from node.dicom.acceptance import Settings
    from node.dicom.archive import Archive

    node = config.node
    receiving = Settings(
        aet=node.fetch_aet, host=node.host, port=node.fetch_port, limits=limits(config)
    )
    node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Archive(requestor(config, destination), receiving, turn=node.state / "fetch.lock")


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
    sent = [d for d in deliveries if d.destination == destination.name and d.transfer_syntax_uid]
    series = {wanted.series_instance_uid or entry.instance.series_instance_uid for entry in entries}
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


def _server_tls(config: Config) -> ssl.SSLContext | None:
    if not config.node.tls:
        return None
    from node.dicom import tls

    files = config.tls[config.node.tls]
    return tls.server_context(
        files.certificate, files.key, peers=files.ca if files.mutual else None
    )


# The stages ------------------------------------------------------------------


def receiver(config: Callable[[], Config]) -> StorageReceiver:
    """Return stage 1; it asks for the configuration anew for each peer and object."""
    from node import routing
    from node.receive import StorageReceiver

    now = config()
    return StorageReceiver(
        blobs=blobs(now),
        ledger=ledger(now),
        decide=lambda instance: routing.decide(config().routes, instance),
        source_of=lambda peer, names: routing.source_of(config().sources.values(), peer, names),
        workstation_of=lambda peer, names: routing.source_of(
            config().workstations.values(), peer, names
        ),
        called_aets=frozenset({now.node.aet}),
        pseudonym=keys(now).pseudonymizer().pseudonym,
        ring=doorbell(now, "process").ring,
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
            tls=_server_tls(config),
            unknown_classes=config.node.unknown_sop_classes,
            reuse_port=config.node.receivers > 1,
            limits=limits(config),
            services=services,
        ),
    )


def processor(config: Config, codec: Codec) -> Processor:
    """Return stage 2."""
    from node.process import Processor

    rows = ledger(config)
    routes = {route.name: route for route in config.routes}
    return Processor(
        ledger=rows,
        blobs=blobs(config),
        marker=marker(config, codec),
        route_of=routes.get,
        logo_of=lambda route: logo(route.logo),
        robust_of=copies(config).message,
        pseudonym=keys(config).pseudonymizer().pseudonym,
        delay=lambda attempts: retry.delay(attempts, random.random()),  # noqa: S311 - jitter
        ring=doorbell(config, "forward").ring,
        worker=worker_name(rows, "process"),
        lease=config.node.lease,
    )


def forwarder(
    config: Config, destination: str, codec: Codec, stopping: Callable[[], bool]
) -> Forwarder:
    """Return stage 3 for one destination."""
    from node.forward import Forwarder

    rows = ledger(config)
    routes = {route.name: route for route in config.routes}
    return Forwarder(
        ledger=rows,
        blobs=blobs(config),
        destinations=config.destinations,
        senders=partial(sender, config, codec),
        proved=partial(proved, rows, routes),
        pseudonym=keys(config).pseudonymizer().pseudonym,
        worker=worker_name(rows, f"forward-{destination}"),
        chance=random.random,
        stopping=stopping,
        lease=config.node.lease,
    )


def sender(config: Config, codec: Codec, destination: Destination) -> StorageScu:
    """Return what sends to one destination."""
    from node.dicom.scu import StorageScu
    from node.dicom.transcode import transcode

    return StorageScu(requestor(config, destination), transcode=partial(transcode, codec=codec))


def proved(rows: Ledger, routes: dict[str, Route], delivery: Delivery) -> None:
    """Let a delivery pass unless it is the unprotected original of an object to be sealed.

    :raises ProofError: it is, and no rule says that it may leave like that.
    """
    entry, _ = rows.get(delivery.entry)
    if entry.action is Action.RELAY or delivery.blob != entry.instance.blob:
        return
    route = routes.get(entry.route)
    if route is None or route.unsealable is not Unsealable.RELAY:
        raise ProofError("an unprotected object must not leave", code="unprotected")


def reaper(config: Config, sink: AuditSink) -> Reaper:
    """Return stage 5."""
    from node.reap import Reaper

    kept = config.node.retention
    return Reaper(ledger(config), blobs(config), sink, retention=kept, clock=time.time)


def worker_name(rows: Ledger, stage: str) -> str:
    """Return the name of this process's place; what its last holder left is free at once."""
    name = f"{socket.gethostname()}:{stage}:{os.environ.get(SLOT, '0')}"
    rows.release_worker(name)
    return name

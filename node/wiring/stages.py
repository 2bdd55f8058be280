"""The stages, as configured."""

from __future__ import annotations

import os
import random
import socket
import time
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from node import retry
from node.errors import ProofError, UnsealedError
from node.types import Action, Unsealable
from node.wiring.network import client_tls, sender
from node.wiring.sealing import (
    attachments,
    copies,
    keys,
    logo,
    marker,
    pseudonyms,
    sharer,
    signatory,
)
from node.wiring.spool import audit_folder, blobs, break_glass, doorbell, ledger, patients, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.accounts.messenger import Messenger
    from node.audit.base import AuditSink
    from node.config.config import Config
    from node.dicom.pixels import Codec
    from node.forward import Forwarder
    from node.operating.breakglass import BreakGlass
    from node.process import Processor
    from node.reap import Reaper
    from node.receive import StorageReceiver
    from node.spool.base import Ledger
    from node.types import Delivery, Route


SLOT = "SEALNODE_SLOT"  # which of the processes of its stage a process is


STAGES = ("receive", "process", "forward", "verify", "reap")


def receiver(config: Callable[[], Config]) -> StorageReceiver:
    """Return stage 1; it asks for the configuration anew for each peer and object."""
    from node import routing
    from node.dicom.commitment import addresses_of
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
        destination_of=lambda peer: routing.destination_of(
            config().destinations.values(), peer, addresses_of
        ),
        passcode_of=lambda path: Path(path).read_bytes().rstrip(b"\r\n"),
        called_aets=frozenset({now.node.aet}),
        pseudonym=keys(now).pseudonymizer().pseudonym,
        patients=patients(now),
        ring=doorbell(now, "process").ring,
    )


def processor(config: Config, codec: Codec) -> Processor:
    """Return stage 2."""
    from node.process import Processor
    from node.sealing.receipts import Clerk

    rows = ledger(config)
    ring = keys(config)
    pseudonym, signer = ring.pseudonymizer().pseudonym, ring.receipt_signer()
    routes = {route.name: route for route in config.routes}
    signing = {route.name: signatory(config, route.sign) for route in config.routes}
    hidden = {route.name: pseudonyms(config, route) for route in config.routes}
    return Processor(
        ledger=rows,
        blobs=blobs(config),
        marker=marker(config, codec),
        route_of=routes.get,
        logo_of=lambda route: logo(route.logo),
        robust_of=copies(config).message,
        pseudonyms_of=lambda route: hidden[route.name],
        pseudonym=pseudonym,
        delay=lambda attempts: retry.delay(attempts, random.random()),  # noqa: S311 - jitter
        ring=doorbell(config, "forward").ring,
        worker=worker_name(rows, "process"),
        lease=config.node.lease,
        sharer=cache(partial(sharer, config)),
        opening=break_glass(config).opening,
        attachments_of=attachments(config),
        signatory_of=lambda route: signing[route.name],
        clerk=Clerk(signer, pseudonym, time.time) if signer else None,
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
        proved=partial(proved, rows, routes, break_glass(config)),
        pseudonym=keys(config).pseudonymizer().pseudonym,
        worker=worker_name(rows, f"forward-{destination}"),
        chance=random.random,
        stopping=stopping,
        admits=register(config).admits,
        lease=config.node.lease,
    )


def proved(rows: Ledger, routes: dict[str, Route], glass: BreakGlass, delivery: Delivery) -> None:
    """Let a delivery pass that carries no more than may leave.

    :raises UnsealedError: it is the unprotected original of an object to be
        sealed, and neither a rule nor break-glass lets it leave like that (any more).
    :raises ProofError: it is more than a share of what is to leave in shares.
    """
    from node.dicom.share_object import RAW_DATA

    entry, _ = rows.get(delivery.entry)
    route = routes.get(entry.route)
    shared = entry.threshold or delivery.share or (route is not None and route.threshold)
    if shared:
        whole = {entry.instance.blob, entry.sealed}
        if not (entry.threshold and delivery.share) or delivery.blob in whole:
            raise ProofError("a whole object must not leave here", code="shares_only")
        if delivery.sop_class_uid != RAW_DATA:
            raise ProofError("what leaves must be a share", code="shares_only")
        return
    if entry.action is Action.RELAY or delivery.blob != entry.instance.blob:
        return
    if route is not None and route.unsealable is Unsealable.RELAY:
        return
    if glass.opening(entry.route, entry.instance.received_at) is None:
        raise UnsealedError("an unprotected object must not leave", code="unprotected")


def reaper(config: Config, sink: AuditSink) -> Reaper:
    """Return stage 5."""
    from node.accounts.keeping import Keeping
    from node.audit.witness import WitnessFolder
    from node.reap import Reaper

    rows, directory, place = ledger(config), audit_folder(config), config.audit.witness
    keeping = Keeping(
        rows,
        sink,
        directory,
        keep=config.audit.retention,
        witness=WitnessFolder(directory, place) if place else None,
        clock=time.time,
    )
    kept = config.node.retention
    return Reaper(
        rows,
        blobs(config),
        sink,
        retention=kept,
        clock=time.time,
        glass=break_glass(config),
        keeping=keeping,
    )


def messenger(config: Config) -> Messenger:
    """Return what sends the audit log on as DICOM audit messages."""
    from node.accounts.messenger import Messenger
    from node.audit.following import Follower
    from node.audit.messages import Writer
    from node.audit.syslog import Transport

    there, kept = config.syslog, config.node.state / "syslog.json"
    return Messenger(
        Follower(audit_folder(config), kept),
        Writer(config.node.aet, socket.gethostname(), there.site),
        Transport(there.host, there.port, client_tls(config, there.tls)),
        clock=time.monotonic,
        chance=random.random,
    )


def worker_name(rows: Ledger, stage: str) -> str:
    """Return the name of this process's place; what its last holder left is free at once."""
    name = f"{socket.gethostname()}:{stage}:{os.environ.get(SLOT, '0')}"
    rows.release_worker(name)
    return name

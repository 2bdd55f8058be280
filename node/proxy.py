"""Config -> what reads back from a PACS, and what stands between it and its workstations.

The other half of :mod:`node.wiring`, under the same rule: imports happen where
they are needed.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from node import wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.aftercare.readback import Readback
    from node.config.config import Config, Workstation
    from node.dicom.acceptance import Offer
    from node.dicom.pixels import Codec
    from node.dicom.query import Sender
    from node.dicom.sending import Originator
    from node.operating.qualify import Qualifier
    from node.retrieval.desk import Desk
    from node.retrieval.gather import Gatherer
    from node.retrieval.witness import Witness
    from node.spool.base import Ledger
    from node.types import Destination, Peer

RETRIEVED, EVIDENCE, DESK = "retrieved", "evidence", "witness.sock"  # in the state folder


def services(
    config: Callable[[], Config], ledger: Ledger, codec: Codec
) -> Callable[[Peer], Sequence[Offer]]:
    """Return what gives the services that a peer may use beside storage."""
    from node.dicom.query import QueryScp
    from node.dicom.transcode import transcode
    from node.retrieval.desk import ask, ask_names
    from node.retrieval.retrieve import Retriever

    now = config()
    retriever = Retriever(
        aet=now.node.aet,
        workstations=lambda: config().workstations,
        destinations=lambda: config().destinations,
        archives=lambda destination: wiring.archive(config(), destination),
        senders=lambda workstation, originator: sender(config(), codec, workstation, originator),
        ask=partial(ask, now.node.state / DESK),
        ledger=ledger,
        folder=now.node.state / RETRIEVED,
        pseudonym=wiring.keys(now).pseudonymizer().pseudonym,
        gatherers=lambda destination: gatherer(config(), destination),
        sent_as=lambda named: ask_names(now.node.state / DESK, named) if _renames(config()) else {},
    )
    fit = partial(transcode, codec=codec)
    commits = wiring.commitment_scp(config, ledger)

    def offered(peer: Peer) -> Sequence[Offer]:
        asks: list[Offer] = [QueryScp(retriever, peer, transcode=fit)] if peer.workstation else []
        return [*asks, *commits(peer)]

    return offered


def gatherer(config: Config, destination: Destination) -> Gatherer | None:
    """Return what gathers shares where one destination has one of each; None where it has none."""
    from node.retrieval.gather import Gatherer, keepers

    names, threshold = keepers(config.routes, destination.name)
    if not names:
        return None
    return Gatherer(
        {name: wiring.archive(config, config.destinations[name]) for name in names},
        wiring.namer(config),
        threshold=threshold,
        trusted=[wiring.keys(config).share_public()],
        alone=all(r.threshold for r in config.routes if destination.name in r.to),
    )


def sender(
    config: Config, codec: Codec, workstation: Workstation, originator: Originator
) -> Sender:
    """Return what sends to a workstation on behalf of a C-MOVE."""
    from node.dicom.requestor import Requestor
    from node.dicom.scu import StorageScu
    from node.dicom.transcode import transcode
    from node.types import Destination

    peer = Requestor(
        Destination(workstation.name, workstation.aet, workstation.host, workstation.port),
        aet=config.node.aet,
        limits=wiring.limits(config),
        tls=wiring.client_tls(config, workstation.tls),
        response=config.node.timeouts.dimse,
    )
    return StorageScu(peer, transcode=partial(transcode, codec=codec), originator=originator)


def desk(config: Config) -> Desk:
    """Return where the process that talks to workstations puts its questions."""
    from node.retrieval.desk import Desk

    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Desk(config.node.state / DESK)


def witness(config: Config, codec: Codec) -> Witness:
    """Return what answers them."""
    from node.aftercare.judge import Evidence, Judge
    from node.retrieval.witness import Witness

    return Witness(
        judge=Judge(wiring.examiner(config, codec)),
        ledger=wiring.ledger(config),
        blobs=wiring.blobs(config),
        evidence=Evidence(config.node.state / EVIDENCE),
        folder=config.node.state / RETRIEVED,
        restores=lambda name: name in config.workstations and config.workstations[name].restore,
        sent_as=_mapping(config),
    )


def qualifier(config: Config, destination: Destination, codec: Codec) -> Qualifier:
    """Return what finds out how a destination treats sealed objects."""
    from node.aftercare.judge import Judge
    from node.dicom import pixels, reader
    from node.operating.qualify import Qualifier
    from node.sealing.order import Order

    routes = [route for route in config.routes if destination.name in route.to and route.robust]
    known = wiring.copies(config)

    def carries(data: bytes) -> bool:
        return known.of_pixels(pixels.load(reader.read(data), codec, lossy="decode")) is not None

    return Qualifier(
        marker=wiring.marker(config, codec),
        order=Order(
            received_at=time.time(),
            carrier="auto",
            robust=known.message(routes[0]) if routes else b"",
        ),
        sender=wiring.sender(config, codec, destination),
        archive=wiring.archive(config, destination),
        judge=Judge(wiring.examiner(config, codec)),
        carries=carries,
        folder=config.node.state / RETRIEVED,
    )


def readback(config: Config, destination: Destination, codec: Codec) -> Readback:
    """Return stage 4 for one destination."""
    from node.aftercare.judge import Evidence, Judge
    from node.aftercare.readback import Readback

    state, rows = config.node.state, wiring.ledger(config)
    return Readback(
        ledger=rows,
        blobs=wiring.blobs(config),
        destination=destination,
        archive=wiring.archive(config, destination),
        judge=Judge(wiring.examiner(config, codec)),
        evidence=Evidence(state / EVIDENCE),
        folder=state / RETRIEVED,
        pseudonym=wiring.keys(config).pseudonymizer().pseudonym,
        place=wiring.namer(config).place,
        chance=random.random,
        worker=wiring.worker_name(rows, f"verify-{destination.name}"),
        lease=config.node.lease,
    )


def _renames(config: Config) -> bool:
    """Return whether any objects are sent under other UIDs than received."""
    return any(route.uid == "derive" for route in config.routes)


def _mapping(config: Config) -> Callable[[str], str] | None:
    """Return what says under which UID something was sent, if this process may know.

    :raises ConfigError: there is a mapping key, but it cannot be used.
    """
    from node.crypto.mapping import Mapping
    from node.sealing.pseudonyms import Pseudonyms

    keys = wiring.keys(config)
    if not _renames(config) or not keys.may_map():
        return None
    return Pseudonyms(Mapping(keys.mapping_key()), None).uid

"""Storage Commitment, as configured: what is taken in, what is asked, what is answered."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

from node.wiring.network import client_tls, limits, requestor
from node.wiring.sealing import keys
from node.wiring.spool import ledger
from node.wiring.stages import worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.aftercare.commitment import Commitment, Reports
    from node.aftercare.promise import Reporter
    from node.config.config import Config
    from node.dicom.commitment import CommitmentScp, Report
    from node.spool.base import Ledger
    from node.types import Destination, Peer, Source


class Intake:
    """What the receiving process does with requests and reports: keep them."""

    def __init__(self, config: Callable[[], Config], rows: Ledger) -> None:
        from node.aftercare.promise import Requests

        pseudonym = keys(config()).pseudonymizer().pseudonym
        self._config = config
        self._reports = reports(config(), rows)
        self._requests = Requests(ledger=rows, pseudonym=pseudonym)

    def requested(
        self, peer: Peer, transaction_uid: str, references: tuple[tuple[str, str], ...]
    ) -> int:
        """Take a source's request; return the status to answer."""
        return self._requests.take(peer, transaction_uid, references)

    def reported(self, peer: Peer, report: Report) -> None:
        """Take a destination's report."""
        destination = self._config().destinations.get(peer.destination)
        if destination is not None:
            self._reports.take(destination, report)


def commitment_scp(
    config: Callable[[], Config], rows: Ledger
) -> Callable[[Peer], list[CommitmentScp]]:
    """Return what gives a peer the service, if it may use it."""
    from node.dicom.commitment import CommitmentScp

    intake = Intake(config, rows)

    def offered(peer: Peer) -> list[CommitmentScp]:
        source = config().sources.get(peer.source)
        asks = source is not None and bool(source.host)
        return [CommitmentScp(intake, peer, asks=asks)] if asks or peer.destination else []

    return offered


def reports(config: Config, rows: Ledger) -> Reports:
    """Return what takes the words of destinations."""
    from node.aftercare.commitment import Reports

    pseudonym = keys(config).pseudonymizer().pseudonym
    return Reports(ledger=rows, pseudonym=pseudonym, chance=random.random)


def commitment(config: Config, destination: Destination) -> Commitment:
    """Return what asks one destination."""
    from node.aftercare.commitment import Commitment
    from node.dicom.commitment import CommitmentScu

    rows = ledger(config)
    return Commitment(
        ledger=rows,
        destination=destination,
        asker=CommitmentScu(requestor(config, destination), wait=destination.commitment_wait),
        reports=reports(config, rows),
        transaction=lambda: f"2.25.{uuid.uuid4().int}",  # PS3.5 B.2; of os.urandom
        worker=worker_name(rows, f"commitment-{destination.name}"),
        lease=config.node.lease,
    )


def reporter(config: Config) -> Reporter:
    """Return what answers sources."""
    from node.aftercare.promise import Reporter

    return Reporter(
        ledger=ledger(config),
        sources=config.sources,
        destinations=config.destinations,
        deliver=lambda source, report: _deliver(config, source, report),
        pseudonym=keys(config).pseudonymizer().pseudonym,
        chance=random.random,
    )


def _deliver(config: Config, source: Source, report: Report) -> int:
    from node.dicom.commitment import deliver
    from node.dicom.requestor import Requestor
    from node.types import Destination

    peer = Requestor(
        Destination(source.name, source.aet, source.host, source.port),
        aet=config.node.aet,
        limits=limits(config),
        tls=client_tls(config, source.tls),
        response=config.node.timeouts.dimse,
    )
    return deliver(peer, report)

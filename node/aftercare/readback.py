"""Stage 4: what was delivered is fetched back from the destination and judged.

What is untouched is VERIFIED. What is gone is sent again. What was changed is
PARKED with its evidence: the bytes that came back, and a picture of what
differs. A destination that does not answer is asked again later.

SECURITY: holds, through the examiner, what opens every seal. Evidence shows
patients: its folder is the node's user's alone, and no event quotes it.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from node import retry
from node.aftercare.judge import MISSING, Judgement, Known, changed
from node.dicom import reader
from node.dicom.retrieve import FetchError, Wanted
from node.errors import DamagedError, StaleClaimError, UnreachableError
from node.failpoint import reach
from node.spool.aftercare import Finding
from node.types import DeliveryState, Event, VerdictKind
from node.worker import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.aftercare.judge import Evidence, Judge
    from node.spool.base import BlobStore, DeliveryClaim, Ledger
    from node.types import Delivery, Destination, Instance, SpoolEntry

CLAIMS = 8  # deliveries on one lease
LOST = 3  # so many times it was not there, and a person must look
GROWTH = 32  # a destination may decompress what it keeps, but not to more than so many times
ROOM = 64 << 20  # bytes that anything may have

log = structlog.get_logger()


class Archive(Protocol):
    """What :class:`node.dicom.base.Archive` is, and promises."""

    def fetch(self, wanted: Wanted, folder: Path) -> list[Path]:
        """Return what is wanted as files in a folder."""
        ...

    def holds(self, wanted: Wanted) -> bool:
        """Return whether the archive says that it has what is wanted."""
        ...


@dataclass(kw_only=True)
class Readback:
    """The stage for one destination.

    :param folder: where what comes back lies while it is judged.
    :param pseudonym: what stands for a UID in events.
    :param place: Study and Series Instance UID under which a share of an instance lies.
    :param worker: names this process in leases.
    """

    ledger: Ledger
    blobs: BlobStore
    destination: Destination
    archive: Archive
    judge: Judge
    evidence: Evidence
    folder: Path
    pseudonym: Callable[[str], str]
    place: Callable[[Instance], tuple[str, str]]
    chance: Callable[[], float]
    worker: str
    lease: float = 300.0
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _breaker: retry.Breaker = field(init=False)

    def __post_init__(self) -> None:
        self._breaker = retry.Breaker(self.monotonic, self.chance)

    def step(self) -> int:
        """Read back what is due; return on how many rows it worked."""
        if self._breaker.open:
            return 0
        limit = 1 if self._breaker.failures else CLAIMS
        claims = self.ledger.claim_readbacks(
            self.worker, self.destination.name, limit=limit, lease=self.lease
        )
        for index, claim in enumerate(claims):
            try:
                self.ledger.extend(claims[index:], self.lease)
            except StaleClaimError:
                self.ledger.release(claims[index:])
                break
            guard(
                self.ledger,
                claim,
                self._read_back,
                delay=partial(self._delay, claim),
                describe=partial(self._trouble, claim),
            )
            if self._breaker.open:
                self.ledger.release(claims[index + 1 :])
                break
        return len(claims)

    def _read_back(self, claim: DeliveryClaim) -> None:
        """Fetch one object and settle what is true of it.

        :raises UnreachableError: the destination does not answer.
        """
        reach("readback.claimed")
        entry, _ = self.ledger.get(claim.delivery.entry)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            try:
                found = self._fetched(entry, claim.delivery, Path(folder))
            except UnreachableError:
                self._breaker.failed()
                raise
        self._breaker.succeeded()
        reach("readback.judged")
        self._settle(claim, entry, found)

    def _fetched(self, entry: SpoolEntry, delivery: Delivery, folder: Path) -> Judgement:
        sent = self._blob(delivery.blob)
        instance = entry.instance
        study, series = self.place(instance) if delivery.share else _place(instance, delivery, sent)
        wanted = Wanted(
            study,
            series,
            delivery.sop_instance_uid,
            pairs=((delivery.sop_class_uid, delivery.transfer_syntax_uid),),
            max_size=max(ROOM, GROWTH * len(sent or b"")),
        )
        trouble = UnreachableError("the destination does not give it", code="not_given")
        try:
            paths = self.archive.fetch(wanted, folder)
        except FetchError as error:
            if error.refused:
                reason = f"something else was given for it ({error.refused[0]})"
                data = error.wrong[0].read_bytes() if error.wrong else None
                return changed(VerdictKind.TAMPERED, reason, data, None)
            paths, trouble = [], error
        if paths:
            return self._worst(entry, delivery, paths, sent)
        if self.archive.holds(wanted):
            raise trouble
        if delivery.lost >= LOST:
            return Judgement(DeliveryState.PARKED, MISSING, "missing")
        return Judgement(DeliveryState.PENDING, MISSING, "missing")

    def _worst(
        self, entry: SpoolEntry, delivery: Delivery, paths: list[Path], sent: bytes | None
    ) -> Judgement:
        """Judge all that came under one UID: what lies beside the right object is wrong, too."""
        sealed = delivery.blob != entry.instance.blob
        known = Known(sent, self._blob(entry.instance.blob), sealed)
        found = []
        for path in paths:
            data = path.read_bytes()
            share = delivery.share
            found.append(
                self.judge.judge_share(data, sent) if share else self.judge.judge(data, known)
            )
        wrong = [one for one in found if one.state is not DeliveryState.VERIFIED]
        return (wrong or found)[0]

    def _blob(self, sha256: str) -> bytes | None:
        try:
            return self.blobs.read(sha256)
        except (KeyError, DamagedError):
            return None

    def _settle(self, claim: DeliveryClaim, entry: SpoolEntry, found: Judgement) -> None:
        modality = entry.instance.attributes.get("Modality", "")
        finding = Finding(
            self.destination.name,
            modality if isinstance(modality, str) else modality[0],
            found.verdict,
        )
        facts: dict[str, str | int | float] = {"verdict": found.verdict, "route": entry.route}
        if found.coerced:
            facts["coerced"] = ",".join(found.coerced)
        if found.state is DeliveryState.PARKED and found.data is not None:
            facts["evidence"] = self.evidence.keep(found.data, found.drawing())
            if found.examination:
                facts["altered"] = len(found.examination.verdict.regions)
        event = self._event(claim, found.event, found.reason, facts)
        reason = found.verdict.lower() if found.state is not DeliveryState.VERIFIED else ""
        reach("readback.settling")
        self.ledger.judge(claim, found.state, reason, finding, event)
        reach("readback.settled")
        level = "info" if found.state is DeliveryState.VERIFIED else "error"
        getattr(log, level)(
            found.event,
            object=event.object,
            entry=entry.id,
            destination=self.destination.name,
            verdict=found.verdict,
            reason=found.reason,
        )

    def _delay(self, claim: DeliveryClaim, attempts: int) -> float | None:
        age = self.clock() - claim.delivery.created_at
        if retry.give_up(age, self.destination.give_up_after + self.destination.readback_after):
            return None
        return max(self._breaker.remaining, retry.delay(attempts, self.chance()))

    def _trouble(self, claim: DeliveryClaim, name: str, reason: str) -> Event:
        return self._event(claim, name.replace("delivery", "readback"), reason, {})

    def _event(
        self, claim: DeliveryClaim, name: str, reason: str, more: dict[str, str | int | float]
    ) -> Event:
        delivery = claim.delivery
        good = name in {"readback_verified", "readback_coerced"}
        facts: dict[str, str | int | float] = {
            "destination": delivery.destination,
            "entry": delivery.entry,
            "reason": reason,
        }
        if delivery.share:
            facts["share"] = delivery.share
        return Event(
            name,
            object=self.pseudonym(delivery.sop_instance_uid),
            actor="verify",
            outcome="success" if good else "failure",
            facts=facts | more,
        )


def _place(instance: Instance, delivery: Delivery, sent: bytes | None) -> tuple[str, str]:
    """Return study and series of what was sent: others than received if UIDs were derived.

    :raises UnreachableError: nobody can tell, since what was sent is gone from the spool.
    """
    if delivery.sop_instance_uid == instance.sop_instance_uid:
        return instance.study_instance_uid, instance.series_instance_uid
    if sent is None:
        raise UnreachableError("what was sent is not in the spool", code="sent_gone")
    obj = reader.read(sent)
    return obj.text("StudyInstanceUID"), obj.text("SeriesInstanceUID")

"""The objects of one retrieval on their way from the PACS to a workstation.

Three things go on at once: the PACS sends, the witness verifies, and the
workstation receives. No more than a few objects wait in between, so that a
slow workstation slows the PACS down and the disk does not fill.

SECURITY: fails closed: what cannot be verified is not passed on.
"""

from __future__ import annotations

import mmap
import queue
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from node.dicom import reader
from node.dicom.annotation import remark
from node.dicom.query import Piece
from node.dicom.retrieve import Wanted
from node.dicom.sending import Outgoing
from node.errors import RefusedError, SealnodeError, UnreachableError
from node.retrieval.desk import Question
from node.retrieval.gather import report
from node.spool.aftercare import Finding
from node.types import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from node.config.config import Workstation
    from node.dicom.base import Archive, Listed
    from node.dicom.query import Counts, Query, Sender
    from node.dicom.scp import StoreRequest
    from node.retrieval.desk import Opinion
    from node.retrieval.gather import Blame, Gatherer, Kept
    from node.spool.base import Ledger
    from node.types import Destination

    Facts = dict[str, str | int | float]

TOLD = 100  # objects in one audit event
AHEAD = 8  # objects that may wait to be sent on
WITNESSES = 2  # questions asked at once
CHUNK = 500  # UIDs in one request: a UI value holds 65534 bytes
TICK = 0.05  # seconds in which a workstation's cancelling is noticed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Examined:
    """One object that was fetched, and what is true of it.

    :param listed: the UID under which it was listed.
    :param gathered: it was put together of shares.
    """

    path: Path
    listed: str
    uid: str
    opinion: Opinion
    gathered: bool = False


@dataclass(kw_only=True)
class Passage:
    """A :class:`~node.dicom.query.Retrieval` of what an archive has listed.

    :param taking: the workstation that gets it.
    :param kept: objects of which there are shares, for the gatherer.
    :param spool: the folder that the witness knows; ``folder`` lies in it.
    """

    query: Query
    taking: Workstation
    pacs: Destination
    archive: Archive
    listed: Sequence[Listed]
    spool: Path
    folder: Path
    sender: Sender | None
    ask: Callable[[Question], Opinion]
    ledger: Ledger
    pseudonym: Callable[[str], str]
    kept: Sequence[Kept] = ()
    gatherer: Gatherer | None = None
    total: int = field(init=False)
    _found: Counter[Finding] = field(default_factory=Counter)
    _coerced: set[str] = field(default_factory=set)
    _given: list[str] = field(default_factory=list)
    _blocked: int = 0

    def __post_init__(self) -> None:
        self.total = len(self.listed) + len({one.uid for one in self.kept})
        self._coming: queue.Queue[Future[Examined] | None] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(WITNESSES)
        self._fetching = threading.Thread(target=self._fetch, name="retrieve", daemon=True)

    def __iter__(self) -> Iterator[Piece]:
        """Yield each object when it was verified, those that the PACS lost at the end."""
        missing = {one.sop_instance_uid for one in self.listed} | {one.uid for one in self.kept}
        self._fetching.start()
        while (coming := self._next()) is not None:
            try:
                found = coming.result()
            except UnreachableError as error:
                log.error("retrieve_unverified", code=error.code)  # noqa: TRY400 no traceback
                continue  # it stays among the missing
            missing.discard(found.listed)
            yield self._piece(found)
            found.path.unlink(missing_ok=True)
            found.path.with_suffix(".restored").unlink(missing_ok=True)
        for uid in sorted(missing):
            self._found[Finding(self.pacs.name, "", "MISSING")] += 1
            yield Piece(uid, None)

    def sent(self, counts: Counts) -> None:
        """Tell the audit log what became of all of them."""
        self._tell_given()
        study = self.listed[0].study_instance_uid if self.listed else ""
        facts: Facts = {
            "kind": self.query.kind, "level": self.query.level, "to": self.taking.name,
            "completed": counts.completed, "warned": counts.warning, "failed": counts.failed,
            "blocked": self._blocked,
            "verdicts": ",".join(f"{f.verdict}={n}" for f, n in sorted(
                self._found.items(), key=lambda item: item[0].verdict)),
        }  # fmt: skip
        if self._coerced:
            facts["coerced"] = ",".join(sorted(self._coerced))
        event = self._event("retrieve_finished", study, facts, good=not counts.failed)
        self.ledger.count(self._found, event)
        log.info("retrieve_finished", destination=self.pacs.name, count=counts.completed)

    def close(self) -> None:
        """Stop fetching, and give up what is left."""
        self._stopped.set()
        if self._fetching.ident is not None:
            while self._fetching.is_alive():
                self._drain()
                self._fetching.join(TICK)
        self._pool.shutdown(cancel_futures=True)
        self._tell_given()
        close = getattr(self.sender, "close", None)
        if close is not None:
            close()

    # The side of the PACS --------------------------------------------------

    def _fetch(self) -> None:
        try:
            for wanted in _plan(self.query.level, self.listed):
                self.archive.fetch(wanted, self.folder, self._take)
        except SealnodeError as error:
            log.warning("retrieve_failed", destination=self.pacs.name, code=error.code)
        try:
            self._gather()
        except SealnodeError as error:
            log.warning("retrieve_failed", destination=self.pacs.name, code=error.code)
        finally:
            self._put(None)

    def _gather(self) -> None:
        """Put together what is kept in shares."""
        if self.gatherer is None or not self.kept:
            return
        for gathered in self.gatherer.gather(self.kept, self.folder):
            if self._stopped.is_set():
                return
            listed = gathered.kept.uid
            why = report(gathered, partial(self._blame, listed))
            if gathered.path is None:
                facts: Facts = {"needed": gathered.needed, "good": gathered.good, "reason": why}
                self.ledger.record(self._event("shares_missing", listed, facts, good=False))
                log.error("shares_missing", destination=self.pacs.name, reason=why)
                continue
            self._put(
                self._pool.submit(self._examine, gathered.path, listed, gathered.uid, gathered=True)
            )

    def _blame(self, listed: str, blame: Blame) -> None:
        """Name the destination whose share could not be used."""
        facts: Facts = {"share": blame.number, "verdict": blame.state, "reason": blame.reason}
        event = self._event("share_refused", listed, facts, good=False)
        named = replace(event, facts=event.facts | {"destination": blame.destination})
        self.ledger.record(named)
        log.error(
            "share_refused", destination=blame.destination, share=blame.number,
            verdict=blame.state, reason=blame.reason,
        )  # fmt: skip

    def _take(self, path: Path, request: StoreRequest) -> None:
        """Let a file be verified; waits while enough are under way.

        :raises RefusedError: the retrieval has been given up.
        """
        if self._stopped.is_set():
            raise RefusedError("the retrieval has ended", code="cancelled")
        # the same bytes may come twice, and each file is removed when it was sent
        own = path.rename(path.with_suffix(f".{threading.get_ident()}-{id(request)}"))
        uid = request.sop_instance_uid
        self._put(self._pool.submit(self._examine, own, uid, uid))

    def _examine(self, path: Path, listed: str, uid: str, *, gathered: bool = False) -> Examined:
        name = str(path.relative_to(self.spool))
        opinion = self.ask(Question(name, self.pacs.name, self.taking.name))
        return Examined(path, listed, uid, opinion, gathered)

    def _put(self, item: Future[Examined] | None) -> None:
        while not self._stopped.is_set():
            try:
                self._coming.put(item, timeout=TICK)
            except queue.Full:
                continue
            return

    def _drain(self) -> None:
        while not self._coming.empty():
            self._coming.get_nowait()

    # The side of the workstation ----------------------------------------------

    def _next(self) -> Future[Examined] | None:
        """Wait for the next object; None when there are no more, or the peer has cancelled."""
        while True:
            try:
                coming = self._coming.get(timeout=TICK)
            except queue.Empty:
                coming = None
                if self._fetching.is_alive() or not self._coming.empty():
                    if self.query.cancelled():
                        return None
                    continue
            if coming is not None:
                while not wait([coming], TICK).done and not self.query.cancelled():
                    pass
            return coming

    def _piece(self, found: Examined) -> Piece:
        """Decide what the workstation gets of one object."""
        path, uid, opinion = found.path, found.uid, found.opinion
        self._found[Finding(self.pacs.name, opinion.modality, opinion.verdict)] += 1
        self._coerced.update(opinion.coerced)
        rule = {"proven": "pass", "unsealed": self.pacs.on_unmarked, "changed": self.pacs.on_tamper}
        if found.gathered:
            rule["unsealed"] = "block"  # only what was sealed was shared: it is made up
        match rule[opinion.standing]:
            case "pass":
                self._give(uid, opinion)
                restored = self.spool / opinion.restored if opinion.restored else path
                return Piece(uid, _outgoing(restored), warned=bool(opinion.coerced))
            case "warn":
                self._tell("retrieve_warned", uid, opinion)
                path.write_bytes(remark(path.read_bytes(), _remark(opinion)))
                return Piece(uid, _outgoing(path), warned=True)
            case _:
                self._blocked += 1
                self._tell("retrieve_blocked", uid, opinion)
                return Piece(uid, None)

    def _give(self, uid: str, opinion: Opinion) -> None:
        """Remember for the audit log what the workstation gets."""
        how = ":restored" if opinion.restored else ""
        self._given.append(f"{self.pseudonym(uid)}:{opinion.verdict}{how}")
        if len(self._given) >= TOLD:
            self._tell_given()

    def _tell_given(self) -> None:
        if self._given:
            facts: Facts = {"count": len(self._given), "objects": ",".join(self._given)}
            self.ledger.record(self._event("objects_retrieved", "", facts))
            self._given.clear()

    def _tell(self, name: str, uid: str, opinion: Opinion) -> None:
        facts: Facts = {"verdict": opinion.verdict, "reason": opinion.reason}
        if opinion.evidence:
            facts["evidence"] = opinion.evidence
        self.ledger.record(self._event(name, uid, facts, good=False))
        log.error(name, destination=self.pacs.name, verdict=opinion.verdict, reason=opinion.reason)

    def _event(self, name: str, uid: str, facts: Facts, *, good: bool = True) -> Event:
        where: Facts = {"workstation": self.query.peer.workstation, "destination": self.pacs.name}
        return Event(
            name,
            object=self.pseudonym(uid) if uid else "",
            actor=self.query.peer.calling_aet,
            outcome="success" if good else "failure",
            facts=where | facts,
        )


def _plan(level: str, listed: Sequence[Listed]) -> Iterator[Wanted]:
    """Yield what to fetch, in as few requests as the level allows."""
    pairs = tuple(
        (uid, reader.EXPLICIT_LE) for uid in dict.fromkeys(x.sop_class_uid for x in listed) if uid
    )
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for one in listed:
        key = (one.study_instance_uid, one.series_instance_uid if level == "IMAGE" else "")
        lower = one.sop_instance_uid if level == "IMAGE" else one.series_instance_uid
        groups.setdefault(key, {})[lower if level in {"IMAGE", "SERIES"} else ""] = None
    for (study, series), names in groups.items():
        uids = list(names)
        for start in range(0, len(uids), CHUNK):
            some = "\\".join(uids[start : start + CHUNK])
            if level == "IMAGE":
                yield Wanted(study, series, some, pairs)
            else:
                yield Wanted(study, some, "", pairs)


def _outgoing(path: Path) -> Outgoing:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        obj = reader.read(data)
        return Outgoing(
            obj.text("SOPClassUID"),
            obj.text("SOPInstanceUID"),
            obj.transfer_syntax_uid,
            lambda: path.open("rb"),
        )


def _remark(opinion: Opinion) -> str:
    said = f"SEALNODE: {opinion.verdict}: {opinion.reason or 'not as it was sealed'}"
    return said.encode("ascii", "replace").decode()

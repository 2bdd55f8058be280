"""Stage 4 for shares: k of them are gathered from whatever destinations answer, and combined.

A destination that is dead, lies or has lost its share is named, and gathering
goes on with the others. What comes out is the object that was sealed; its own
seal is verified like that of any object that comes back.

SECURITY: holds no key that opens: k keepers together could do the same. Only
sets that the site signed count, under the names that it gave them.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from node.crypto.shares import scheme
from node.crypto.shares.judging import Finding, State
from node.crypto.shares.share import MAX_OBJECT, parse
from node.dicom import reader, share_object
from node.dicom.retrieve import FetchError, Wanted
from node.errors import DamagedError, RefusedError, UnreachableError, UnreadableError, UsageError
from node.sealing.sharing import NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from node.dicom.base import Keys, Listed
    from node.dicom.retrieve import Take
    from node.dicom.scp import StoreRequest
    from node.sealing.sharing import Namer
    from node.types import Route

CHUNK = 32  # objects that are gathered together
MAX_SHARE = MAX_OBJECT // 2 + (1 << 16)  # bytes: k is 2 at least
PATIENCE_SECONDS = 2.0  # for the slower ones, once enough have said what they keep
PAIRS = ((share_object.RAW_DATA, reader.EXPLICIT_LE),)
MADE_AT = ("ContentDate", "ContentTime")
GOOD = frozenset({State.GOOD, State.UNPROVEN})


class Keeper(Protocol):
    """What :class:`node.dicom.base.Archive` is, and promises."""

    def contents(self, level: str, keys: Keys) -> list[Listed]:
        """Return the instances below what the unique keys name."""
        ...

    def fetch(self, wanted: Wanted, folder: Path, take: Take | None = None) -> list[Path]:
        """Return what is wanted as files in a folder, or give each to ``take``."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """One object of which destinations say that they keep shares.

    :param uid: SOP Instance UID of the object where the request named it,
        else of one of its shares; the same for all versions of the object.
    :param study: Study Instance UID of its shares; ``series`` likewise.
    :param places: the SOP Instance UID of the share that each destination keeps.
    """

    uid: str
    set_id: bytes
    study: str
    series: str
    places: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Blame:
    """Why a destination's share could not be used.

    :param number: of the share; 0 if it is not known.
    :param state: ``"unreachable"``, ``"missing"``, or a word of
        :class:`~node.crypto.shares.judging.State`.
    """

    destination: str
    number: int
    state: str
    reason: str

    def __str__(self) -> str:
        return f"{self.destination}: {self.state}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What became of one object.

    :param path: of the sealed object, a Part 10 file named by its SHA-256; None
        if too few shares are good.
    :param uid: SOP Instance UID in it.
    :param good: how many shares were good.
    :param needed: how many it takes, as far as anybody says.
    :param made_at: date and time at which the shares say that they were made.
    """

    kept: Kept
    path: Path | None
    uid: str
    good: int
    needed: int
    blames: tuple[Blame, ...]
    made_at: str = ""


@dataclass
class _Work:
    """One object while it is gathered: files of the shares that came, by destination."""

    kept: Kept
    needed: int
    shares: dict[str, Path] = field(default_factory=dict)
    blames: dict[str, Blame] = field(default_factory=dict)
    made_at: str = ""
    path: Path | None = None
    uid: str = ""

    def left(self) -> list[str]:
        """Return the destinations that may be asked yet."""
        return [d for d in self.kept.places if d not in self.shares and d not in self.blames]

    def blame(self, destination: str, state: str, reason: str) -> None:
        found = share_object.set_of(self.kept.places[destination])
        self.shares.pop(destination, None)
        self.blames[destination] = Blame(destination, found[1] if found else 0, state, reason)

    def result(self) -> Gathered:
        blames = tuple(self.blames.values())
        return Gathered(
            self.kept, self.path, self.uid, len(self.shares), self.needed, blames, self.made_at
        )


def keepers(routes: Iterable[Route], destination: str) -> tuple[list[str], int]:
    """Return who may hold shares of what one destination has one of, it first; and the least k.

    Nobody, if no route with shares sends there.
    """
    sharing = [route for route in routes if route.threshold and destination in route.to]
    names = dict.fromkeys([destination, *(name for route in sharing for name in route.to)])
    return (list(names), min(route.threshold for route in sharing)) if sharing else ([], 0)


class Gatherer:
    """Gathers from several destinations. For one retrieval.

    :param archives: what asks each destination, by its name, the preferred first.
    :param threshold: how many shares an object needs, before any was seen.
    :param trusted: the public keys whose sets count.
    :ivar alone: the first destination has nothing whole.
    :ivar troubles: why a destination does not say what it keeps, by its name.
    """

    def __init__(
        self,
        archives: Mapping[str, Keeper],
        namer: Namer,
        *,
        threshold: int,
        trusted: Collection[bytes],
        alone: bool = False,
    ) -> None:
        self._archives = archives
        self._namer = namer
        self._threshold = threshold
        self._trusted = trusted
        self.alone = alone
        self.troubles: dict[str, str] = {}

    def contents(self, level: str, keys: Keys) -> list[Kept]:
        """Return the objects below the unique keys of a request, which are those of the originals.

        :param level: STUDY, SERIES or IMAGE; of a patient nothing is known here.
        :raises UnreachableError: no destination says what it keeps.
        """
        if level == "PATIENT":
            return []
        asked = {
            "StudyInstanceUID": tuple(map(self._namer.study, keys.get("StudyInstanceUID", ()))),
            "SeriesInstanceUID": tuple(map(self._namer.series, keys.get("SeriesInstanceUID", ()))),
        }
        asked = {keyword: uids for keyword, uids in asked.items() if uids}
        upper = "SERIES" if "SeriesInstanceUID" in asked else "STUDY"
        listed = self._list(upper, asked)
        if not listed:
            raise UnreachableError(
                f"no destination says which shares it keeps: {self.told()}", code="no_keeper"
            )
        wanted = {self._namer.instance(uid): uid for uid in keys.get("SOPInstanceUID", ())}
        uids = dict(wanted)
        found: dict[tuple[bytes, str, str], dict[str, str]] = {}
        for destination in self._archives:
            for one in listed.get(destination, ()):
                share = share_object.set_of(one.sop_instance_uid)
                if share and (not wanted or share[0][:NAME_BYTES] in wanted):
                    key = share[0], one.study_instance_uid, one.series_instance_uid
                    found.setdefault(key, {})[destination] = one.sop_instance_uid
        kept = []
        for (set_id, study, series), places in sorted(found.items(), key=lambda item: item[0]):
            uid = uids.setdefault(set_id[:NAME_BYTES], min(places.values()))
            kept.append(Kept(uid, set_id, study, series, places))
        return kept

    def told(self) -> str:
        """Say which destinations do not answer, and why."""
        silent = [name for name in self._archives if name in self.troubles]
        return "; ".join(f"{name}: {self.troubles[name]}" for name in silent)

    def gather(self, kept: Sequence[Kept], folder: Path) -> Iterator[Gathered]:
        """Yield what becomes of each object; of several versions of one, the newest.

        :param folder: for what is under way.
        """
        versions = [list(group) for _, group in groupby(kept, lambda k: k.set_id[:NAME_BYTES])]
        for start in range(0, len(versions), CHUNK):
            chunk = [
                [_Work(one, self._threshold) for one in group]
                for group in versions[start : start + CHUNK]
            ]
            self._fill([work for group in chunk for work in group], folder)
            for group in chunk:
                results = [work.result() for work in group]
                best = max(results, key=lambda one: (one.path is not None, one.made_at))
                yield best if best.path is not None else self._accuse(best)

    def _accuse(self, gathered: Gathered) -> Gathered:
        """Name those, too, who do not even list a share of what cannot be put together."""
        others = [
            Blame(name, 0, "unreachable", self.troubles[name])
            if name in self.troubles
            else Blame(name, 0, "missing", "it lists no share of it")
            for name in self._archives
            if name not in gathered.kept.places
        ]
        return replace(gathered, blames=(*gathered.blames, *others))

    # What they keep ---------------------------------------------------------

    def _list(self, level: str, keys: Keys) -> dict[str, list[Listed]]:
        """Ask all at once; those that take long are not waited for once k have answered."""
        pool = ThreadPoolExecutor(len(self._archives))
        asked = {
            pool.submit(archive.contents, level, keys): name
            for name, archive in self._archives.items()
        }
        pool.shutdown(wait=False)
        waiting: set[Future[list[Listed]]] = set(asked)
        listed: dict[str, list[Listed]] = {}
        while waiting:
            patience = PATIENCE_SECONDS if len(listed) >= self._threshold else None
            done, waiting = wait(waiting, patience, FIRST_COMPLETED)
            if not done:
                break
            for answer in done:
                try:
                    listed[asked[answer]] = answer.result()
                except UnreachableError as error:
                    self.troubles[asked[answer]] = str(error)
        for late in waiting:
            self.troubles[asked[late]] = "takes too long to answer"
        return listed

    # Their shares -------------------------------------------------------------

    def _fill(self, works: Sequence[_Work], folder: Path) -> None:
        """Ask k destinations, then others in the place of those that fail, while there are any."""
        for work in works:
            for name in self._archives:
                if name in work.kept.places and name in self.troubles:
                    work.blame(name, "unreachable", self.troubles[name])
        while asking := self._plan(works):
            with ThreadPoolExecutor(len(asking)) as pool:
                fetching = [
                    pool.submit(self._fetch, name, some, folder / name)
                    for name, some in asking.items()
                ]
            for done in fetching:
                done.result()
            for work in works:
                if work.path is None and len(work.shares) >= work.needed:
                    self._combine(work, folder)

    def _plan(self, works: Sequence[_Work]) -> dict[str, list[_Work]]:
        asking: dict[str, list[_Work]] = {}
        for work in works:
            if work.path is None:
                for name in work.left()[: max(0, work.needed - len(work.shares))]:
                    asking.setdefault(name, []).append(work)
        return asking

    def _fetch(self, destination: str, works: Sequence[_Work], folder: Path) -> None:
        """Fetch one destination's shares; each object gets its share, or the reason why not."""
        folder.mkdir(exist_ok=True)
        by_uid = {work.kept.places[destination]: work for work in works}

        def take(path: Path, request: StoreRequest) -> None:
            work = by_uid.get(request.sop_instance_uid)
            if work is None:
                raise RefusedError("a share that was not asked for", code="not_requested")
            self._take(work, destination, path)

        reason = "it does not give it"
        state = "missing"
        groups: dict[tuple[str, str], list[str]] = {}
        for uid, work in by_uid.items():
            groups.setdefault((work.kept.study, work.kept.series), []).append(uid)
        for (study, series), uids in groups.items():
            try:
                wanted = Wanted(study, series, "\\".join(uids), PAIRS, MAX_SHARE)
                self._archives[destination].fetch(wanted, folder, take)
            except FetchError as error:
                reason = f"it gives something else ({error.refused[0]})" if error.refused else (
                    f"it does not give it ({error.code})"
                )  # fmt: skip
            except UnreachableError as error:
                state, reason = "unreachable", str(error)
                self.troubles[destination] = reason
                break
        for work in works:
            if destination not in work.shares and destination not in work.blames:
                work.blame(destination, state, reason)

    def _take(self, work: _Work, destination: str, path: Path) -> None:
        """Take a share that is what its name says, and whose header the site signed."""
        data = path.read_bytes()
        try:
            share = parse(share_object.unwrap(data))
        except UnreadableError as error:
            work.blame(destination, State.UNREADABLE.value, str(error))
            return
        about = share.about
        if (about.set_id, share.index) != share_object.set_of(work.kept.places[destination]):
            work.blame(destination, State.STRANGER.value, "it is a share of something else")
        elif not share.rooted or not share.signed:
            work.blame(destination, State.DAMAGED.value, "its header is not the one that was made")
        elif about.signer not in self._trusted:
            work.blame(destination, State.UNTRUSTED.value, "nobody who is trusted signed it")
        else:
            obj = reader.read(data)
            work.made_at = max(work.made_at, "".join(map(obj.text, MADE_AT)))
            work.needed = about.k
            work.shares[destination] = path.rename(path.with_name(f"{about.set_id.hex()}.share"))

    def _combine(self, work: _Work, folder: Path) -> None:
        """Put one object together; name those whose shares do not serve."""
        names = list(work.shares)
        shares = [share_object.unwrap(work.shares[name].read_bytes()) for name in names]
        findings: tuple[Finding, ...] = ()
        try:
            done = scheme.combine(shares, trusted=self._trusted)
            findings, data = done.report.findings, bytes(done.data)
            work.uid = reader.read(data).text("SOPInstanceUID")
            work.path = folder / f"{hashlib.sha256(data).hexdigest()}.dcm"
            work.path.write_bytes(data)
        except (DamagedError, UnreadableError, UsageError):
            findings = self._findings(shares)
        for name, found in zip(names, findings, strict=False):
            if found.state not in GOOD:
                work.blame(name, found.state.value, found.reason)
        if work.path is None and len(work.shares) >= work.needed:
            # k good shares that do not give an object: made up by those who keep them together
            for name in list(work.shares):
                work.blame(name, State.DAMAGED.value, "it fits others that are made up as well")

    def _findings(self, shares: Sequence[bytes]) -> tuple[Finding, ...]:
        try:
            return scheme.check(shares, trusted=self._trusted).findings
        except UsageError:
            return ()


def report(gathered: Gathered, tell: Callable[[Blame], None]) -> str:
    """Tell of each share that is missing or bad; return why the object is not there, or ``""``."""
    for blame in gathered.blames:
        if blame.number and blame.state != "unreachable":
            tell(blame)
    if gathered.path is not None:
        return ""
    why = "; ".join(map(str, gathered.blames))
    return f"{gathered.needed} good shares are needed, {gathered.good} are there: {why}"

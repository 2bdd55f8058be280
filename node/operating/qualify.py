"""What a PACS makes of sealed objects: test objects are sent, read back, and judged.

What passed, when, and as what the destination then was configured is kept in
the state folder. It can delete nothing in the PACS.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from node.aftercare.judge import MISSING, Known
from node.dicom import reader
from node.dicom.contexts import LOSSY_SYNTAXES
from node.dicom.phantom import STUDY
from node.dicom.requestor import PeerRejectedError
from node.dicom.retrieve import FetchError, Wanted
from node.dicom.sending import Outgoing
from node.errors import SealnodeError, UnreachableError, UnreadableError
from node.types import Delivered, DeliveryState, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from node.aftercare.judge import Judge
    from node.aftercare.readback import Archive
    from node.dicom.phantom import Phantom
    from node.seal import Marker
    from node.sealing.order import Marked, Order
    from node.spool.base import Ledger
    from node.types import Destination, Outcome

PASSED, REFUSED, FAILED = "passed", "refused", "failed"


class Sender(Protocol):
    """What :class:`node.dicom.scu.StorageScu` is."""

    def expect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Say what will be sent next."""
        ...

    def send(self, item: Outgoing) -> Outcome:
        """Send one object."""
        ...

    def close(self) -> None:
        """Release the association."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one test object.

    :param result: ``"passed"``: it came back and gives its original back;
        ``"refused"``: the PACS does not take such objects; else ``"failed"``.
    :param came_as: transfer syntax in which it came back.
    :param coerced: keywords of header attributes that the PACS changed.
    :param carrier: ``"pixels"`` or ``"header"``: where the seal is.
    :param robust: ``"survives"``, ``"lost"``, or ``""`` where there was none.
    """

    name: str
    transfer_syntax: str
    carrier: str
    result: str
    verdict: str = ""
    reason: str = ""
    came_as: str = ""
    coerced: tuple[str, ...] = ()
    robust: str = ""


@dataclass(frozen=True, slots=True)
class Qualification:
    """A run, or a person's word in its place.

    :param place: AE title, host and port, or URL, that it is true of.
    :param accepted: why a person overrode it, or ``""``.
    """

    at: float
    place: str
    result: str
    cases: tuple[Case, ...] = ()
    accepted: str = ""
    actor: str = ""


@dataclass(kw_only=True)
class Qualifier:
    """Sends test objects to one destination and looks at what comes back.

    :param order: how they are to be sealed: with the robust mark or without.
    :param carries: tells whether an image still shows this site's robust mark.
    :param folder: for what comes back.
    """

    marker: Marker
    order: Order
    sender: Sender
    archive: Archive
    judge: Judge
    carries: Callable[[bytes], bool]
    folder: Path

    def run(self, made: Iterable[Phantom]) -> Iterator[Case]:
        """Yield what becomes of each object.

        :raises UnreachableError: the destination does not answer.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for phantom in made:
            marked = self.marker.mark(phantom.data, self.order)
            yield self._case(phantom, marked)

    def _case(self, phantom: Phantom, marked: Marked) -> Case:
        facts = (phantom.name, phantom.transfer_syntax_uid, marked.carrier)
        item = Outgoing(
            marked.sop_class_uid,
            marked.sop_instance_uid,
            marked.transfer_syntax_uid,
            lambda: io.BytesIO(marked.data),
        )
        self.sender.expect([item.pair])
        try:
            outcome = self.sender.send(item)
        except PeerRejectedError as error:
            raise UnreachableError(str(error), code=error.code) from error
        except SealnodeError as error:
            if error.transient:
                raise
            return Case(*facts, REFUSED, reason=error.code)
        if not isinstance(outcome, Delivered):
            return Case(*facts, REFUSED, reason=outcome.reason)
        return self._returned(facts, phantom, marked)

    def _returned(self, facts: tuple[str, str, str], phantom: Phantom, marked: Marked) -> Case:
        wanted = Wanted(
            STUDY,
            phantom.series_instance_uid,
            marked.sop_instance_uid,
            pairs=((marked.sop_class_uid, marked.transfer_syntax_uid),),
        )
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            try:
                paths = self.archive.fetch(wanted, Path(folder))
            except FetchError as error:
                return Case(*facts, FAILED, MISSING, str(error))
            if not paths:
                return Case(*facts, FAILED, MISSING, "it was taken, but is not given back")
            data = paths[0].read_bytes()
        found = self.judge.judge(data, Known(marked.data, phantom.data, sealed=True))
        syntax = _syntax(data)
        robust = ""
        if marked.robust:
            robust = "survives" if self.carries(data) else "lost"
        good = found.state is DeliveryState.VERIFIED and robust != "lost"
        lossy = " (compressed with loss)" if syntax in LOSSY_SYNTAXES else ""
        return Case(
            *facts,
            PASSED if good else FAILED,
            found.verdict,
            found.reason + lossy,
            syntax if syntax != marked.transfer_syntax_uid else "",
            found.coerced,
            robust,
        )


def result_of(cases: Sequence[Case]) -> str:
    """Return whether a PACS passes: all that it takes, and a sealed image, comes back proved."""
    images = any(case.result == PASSED and case.carrier == "pixels" for case in cases)
    return PASSED if images and all(case.result != FAILED for case in cases) else FAILED


@dataclass(frozen=True, slots=True)
class Register:
    """The qualifications of a node's destinations: one file, replaced as a whole."""

    path: Path

    def get(self, destination: Destination) -> Qualification | None:
        """Return what is known of a destination as it is configured now.

        :raises UnreadableError: the register is not ours.
        """
        fields = self._read().get(destination.name)
        if fields is None:
            return None
        try:
            cases = tuple(
                Case(**one | {"coerced": tuple(one["coerced"])}) for one in fields["cases"]
            )
            known = Qualification(**fields | {"cases": cases})
        except (KeyError, TypeError) as error:
            raise UnreadableError("the register of qualifications cannot be read") from error
        return known if known.place == place_of(destination) else None

    def admits(self, destination: Destination) -> bool:
        """Return whether objects may be sent to a destination."""
        if destination.qualified != "required":
            return True
        try:
            known = self.get(destination)
        except UnreadableError:
            return False
        return known is not None and (known.result == PASSED or bool(known.accepted))

    def note(self, destination: Destination, known: Qualification, ledger: Ledger) -> None:
        """Keep a qualification; audited first."""
        facts: dict[str, str | int | float] = {
            "destination": destination.name,
            "result": known.result,
            "reason": known.accepted,
            "failed": sum(case.result == FAILED for case in known.cases),
            "refused": sum(case.result == REFUSED for case in known.cases),
            "passed": sum(case.result == PASSED for case in known.cases),
        }
        name = "destination_accepted" if known.accepted else "destination_qualified"
        good = known.result == PASSED
        outcome = "success" if good else "failure"
        everything = self._read()
        ledger.record(Event(name, actor=known.actor, outcome=outcome, facts=facts))
        self._write(everything | {destination.name: asdict(known)})

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UnreadableError("the register of qualifications cannot be read") from error
        return found if isinstance(found, dict) else {}

    def _write(self, everything: object) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(everything, file)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(self.path)


def place_of(destination: Destination) -> str:
    """Return what a qualification is true of; another address is another PACS."""
    return destination.place


def _syntax(data: bytes) -> str:
    try:
        return reader.read(data).transfer_syntax_uid
    except UnreadableError:
        return ""

"""What the stages know of the places that objects go to and come back from.

Two implementations of each: over DICOM associations (:mod:`node.dicom.scu`,
:mod:`node.dicom.archive`) and over DICOMweb (:mod:`node.dicom.web`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from node.dicom.retrieve import Take, Wanted
    from node.dicom.sending import Outgoing
    from node.types import Outcome

    Keys = dict[str, tuple[str, ...]]

MAX_LISTED = 65535  # sub-operations are counted in 16 bits: PS3.7 9.1.3


@dataclass(frozen=True, slots=True)
class Listed:
    """One instance that an archive says it has."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


class Sender(Protocol):
    """Sends to one destination, one object at a time. Not for several threads."""

    def expect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Say which (SOP class, transfer syntax) will be sent next."""
        ...

    def send(self, item: Outgoing, *, alive: Callable[[], None] = ...) -> Outcome:
        """Send one object, byte for byte, and return what became of it.

        :param alive: called every now and then; what it raises ends it.
        :raises PeerRejectedError: the destination does not want us.
        :raises UnansweredError: it was sent and not answered.
        :raises UnreachableError: nothing can be sent now.
        """
        ...

    def idle(self) -> None:
        """Give up what was not used for a while."""
        ...

    def close(self) -> None:
        """Give up everything."""
        ...


class Archive(Protocol):
    """Asks and reads back from one destination. Not for several threads."""

    def fetch(self, wanted: Wanted, folder: Path, take: Take | None = None) -> list[Path]:
        """Return what is wanted as files in a folder, or give each to ``take`` as it arrives.

        :raises FetchError: the archive did not give all.
        :raises UnreachableError: it gives nothing.
        """
        ...

    def holds(self, wanted: Wanted) -> bool:
        """Return whether the archive says that it has what is wanted.

        :raises UnreachableError: it does not say.
        """
        ...

    def contents(self, level: str, keys: Keys) -> list[Listed]:
        """Return the instances below what the unique keys of a request name.

        :raises UnreachableError: it does not say.
        """
        ...

    def query(
        self,
        model: str,
        identifier: bytes,
        transfer_syntax_uid: str,
        cancelled: Callable[[], bool],
        *,
        retrieve_aet: str,
    ) -> Iterator[tuple[int, bytes | None]]:
        """Pass a C-FIND on; yield (status, identifier) as they come, the final one last.

        :raises UnreachableError: it does not answer.
        """
        ...

"""One archive as a place to fetch from: C-GET, else C-MOVE, and C-FIND to tell what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.presentation import build_context

from node.dicom import contexts, status
from node.dicom.requestor import NoContextError, PeerRejectedError, abort, release
from node.dicom.retrieve import PENDING, FetchError, fetch_by_get, fetch_by_move
from node.errors import UnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from node.dicom.acceptance import Settings
    from node.dicom.requestor import Requestor
    from node.dicom.retrieve import Wanted

FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve Information Model - FIND


class Archive:
    """Reads objects back from one destination. Not for several threads.

    :param receiving: the SCP that C-MOVE sends to; the archive must know its
        AE title, host and port.
    """

    def __init__(self, requestor: Requestor, receiving: Settings) -> None:
        self._requestor = requestor
        self._receiving = receiving
        self._by_move = False

    def fetch(self, wanted: Wanted, folder: Path) -> list[Path]:
        """Return what is wanted as files in a folder, named by their SHA-256.

        :raises FetchError: the archive did not give all.
        :raises UnreachableError: it is not there, or offers neither way.
        """
        if not self._by_move:
            try:
                return list(fetch_by_get(self._requestor, wanted, folder))
            except (NoContextError, PeerRejectedError):
                self._by_move = True
        try:
            return list(fetch_by_move(self._requestor, wanted, folder, self._receiving))
        except (NoContextError, PeerRejectedError, OSError) as error:
            self._by_move = False
            name = self._requestor.destination.name
            raise UnreachableError(
                f"{name} gives nothing back: {error}",
                hint="it must offer C-GET, or C-MOVE and know the node's fetch_aet and fetch_port",
                code="no_retrieval",
            ) from None

    def holds(self, wanted: Wanted) -> bool:
        """Return whether the archive says by C-FIND that it has what is wanted.

        :raises UnreachableError: it does not say.
        """
        try:
            assoc = self._requestor.associate([build_context(FIND, list(contexts.NATIVE_LE))])
        except (NoContextError, PeerRejectedError) as error:
            raise UnreachableError("the archive cannot be asked", code="no_query") from error
        finished = False
        try:
            there = False
            for answer, _ in assoc.send_c_find(wanted.identifier(), FIND):
                value = answer.get("Status")
                there = there or value in PENDING
                if value not in {*PENDING, status.SUCCESS}:
                    code = "no_response" if value is None else f"status_{value:04x}"
                    raise FetchError("the archive does not answer the query", code=code)
            finished = True
        finally:
            (release if finished else abort)(assoc)
        return there

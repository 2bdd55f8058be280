"""Stage 4 for workstations: queries are passed on, and what is retrieved is verified on its way.

What was proved goes on, as the original to those who may have it; what was
changed is kept back, or goes on with a remark, as the destination's
``on_tamper`` says.

SECURITY: holds no keys: it asks the witness. What a workstation asks for and
what the PACS answers is passed on, never logged.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.dicom import naming
from node.dicom.query import DESTINATION_UNKNOWN, UNABLE_TO_PROCESS, QueryError
from node.dicom.sending import Originator
from node.errors import ConfigError, UnreachableError
from node.retrieval.desk import Naming
from node.retrieval.passage import Passage
from node.types import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from node.config.config import Workstation
    from node.dicom.base import Archive, Listed
    from node.dicom.query import Query, Sender
    from node.retrieval.desk import Opinion, Question
    from node.retrieval.gather import Gatherer, Kept
    from node.spool.base import Ledger
    from node.types import Destination

    Facts = dict[str, str | int | float]

CANNOT_COUNT = 0xA701  # PS3.4 Table C.4-2


@dataclass(kw_only=True)
class Retriever:
    """Finds and gives: a :class:`~node.dicom.query.Provider`.

    :param aet: ours, for Retrieve AE Title.
    :param archives: makes what asks a destination, anew for each request.
    :param senders: makes what sends to a workstation on behalf of a C-MOVE.
    :param ask: puts a question to the witness.
    :param folder: for what is under way.
    :param pseudonym: what stands for a UID in events.
    :param sent_as: asks the witness what the PACS calls objects that have other
        names there.
    :param gatherers: makes what gathers the shares of which a destination has
        one, anew for each request; None where it has none.
    """

    aet: str
    workstations: Callable[[], Mapping[str, Workstation]]
    destinations: Callable[[], Mapping[str, Destination]]
    archives: Callable[[Destination], Archive]
    senders: Callable[[Workstation, Originator], Sender]
    ask: Callable[[Question], Opinion]
    ledger: Ledger
    folder: Path
    pseudonym: Callable[[str], str]
    sent_as: Callable[[Naming], dict[str, str]] = lambda _: {}
    gatherers: Callable[[Destination], Gatherer | None] = lambda _pacs: None

    def find(self, query: Query) -> Iterator[tuple[int, bytes | None]]:
        """Pass a query on and its answers back.

        :raises QueryError: the PACS does not answer.
        """
        asking = self.workstations()[query.peer.workstation]
        pacs = self.destinations()[asking.pacs]
        count, final = 0, UNABLE_TO_PROCESS
        syntax = query.transfer_syntax_uid
        aliases = self._aliases(query, asking)
        back = {there: here for here, there in aliases.items()}
        try:
            for value, identifier in self.archives(pacs).query(
                query.model,
                naming.widened(query.identifier, syntax, aliases),
                query.transfer_syntax_uid,
                query.cancelled,
                retrieve_aet=self.aet,
            ):
                final = value
                count += identifier is not None
                yield value, identifier and naming.renamed(identifier, syntax, back)
        except UnreachableError as error:
            raise QueryError(str(error), code=error.code, status=UNABLE_TO_PROCESS) from error
        finally:
            facts: Facts = {
                "level": query.level, "model": query.model,
                "count": count, "status": f"{final:04X}H",
            }  # fmt: skip
            self.ledger.record(self._event("query_forwarded", asking, facts))

    @contextmanager
    def retrieve(self, query: Query, destination: str) -> Iterator[Passage]:
        """Give what is asked for, verified.

        :raises QueryError: it is not known where to send it, or the PACS does not answer.
        """
        asking = self.workstations()[query.peer.workstation]
        taking, sender = asking, None
        if query.kind == "move":
            taking = self._taking(destination, asking)
            sender = self.senders(taking, Originator(query.peer.calling_aet, query.message_id))
        pacs = self.destinations()[asking.pacs]
        archive = self.archives(pacs)
        aliases = self._aliases(query, asking)
        try:
            gatherer = self.gatherers(pacs)
            listed, kept = self._listed(query, archive, gatherer, aliases)
        except (ConfigError, UnreachableError) as error:
            raise QueryError(str(error), code=error.code, status=CANNOT_COUNT) from error
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            passage = Passage(
                query=query,
                taking=taking,
                pacs=pacs,
                archive=archive,
                listed=listed,
                spool=self.folder,
                folder=Path(folder),
                sender=sender,
                ask=self.ask,
                ledger=self.ledger,
                pseudonym=self.pseudonym,
                kept=kept,
                gatherer=gatherer,
            )
            try:
                yield passage
            finally:
                passage.close()

    def _listed(
        self,
        query: Query,
        archive: Archive,
        gatherer: Gatherer | None,
        aliases: Mapping[str, str],
    ) -> tuple[list[Listed], list[Kept]]:
        """Return what the PACS has whole, and what it and others keep in shares.

        Where all that it was sent are shares, the others can stand in for it.

        :raises UnreachableError: nobody says what there is.
        """
        keys = naming.with_aliases(query.keys, aliases)
        if gatherer is None:
            return archive.contents(query.level, keys), []
        listed: list[Listed] = []
        try:
            listed = archive.contents(query.level, keys)
        except UnreachableError:
            if not gatherer.alone:
                raise
        return listed, gatherer.contents(query.level, query.keys)

    def _aliases(self, query: Query, asking: Workstation) -> dict[str, str]:
        """Return what the PACS may call the objects that a request names, for who may know."""
        uids = [uid for key in naming.NAMED for uid in query.keys.get(key, ())]
        if not uids or not asking.restore:
            return {}
        try:
            return self.sent_as(Naming(tuple(uids), asking.name))
        except UnreachableError as error:
            raise QueryError(str(error), code=error.code, status=UNABLE_TO_PROCESS) from error

    def _taking(self, aet: str, asking: Workstation) -> Workstation:
        """Return the workstation that a C-MOVE names; the asking one, if it is that."""
        named = [w for w in self.workstations().values() if w.aet == aet and w.host]
        if asking in named:
            return asking
        if not named:
            raise QueryError(
                "no such move destination", code="destination", status=DESTINATION_UNKNOWN
            )
        return named[0]

    def _event(
        self, name: str, asking: Workstation, facts: Facts, *, outcome: str = "success"
    ) -> Event:
        where: Facts = {"workstation": asking.name, "destination": asking.pacs}
        return Event(name, actor=asking.aet, outcome=outcome, facts=where | facts)

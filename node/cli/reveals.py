"""Unsealing by hand is told to the audit log before anybody sees what was sealed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from node.cli.actor import local_user
from node.types import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.accounts.about import Patients
    from node.config.config import Config
    from node.crypto.pseudonym import Pseudonymizer
    from node.spool.base import Ledger
    from node.types import Record, Verdict


class Reveals:
    """Tells of one object after the other."""

    def __init__(self, ledger: Ledger, pseudonymizer: Pseudonymizer, patients: Patients) -> None:
        self._ledger = ledger
        self._pseudonymizer = pseudonymizer
        self._patients = patients
        self._actor = local_user()

    def tell(self, event: str, data: bytes, verdict: Verdict, record: Record | None) -> None:
        """Record that somebody is about to see what was sealed in an object.

        :param data: the original as far as it can be had, else the object.
        :raises SpoolFullError: it cannot be recorded; then nothing may be shown.
        """
        from node.dicom import reader

        uid = reader.read(data).text("SOPInstanceUID")
        facts: dict[str, str | int | float] = {"verdict": verdict.kind.value}
        if record is not None:
            facts |= self._patients.seal(time.time(), record.attributes)
        pseudonym = self._pseudonymizer.pseudonym(uid)
        self._ledger.record(Event(event, object=pseudonym, actor=self._actor, facts=facts))


@contextmanager
def reveals(config: Config) -> Iterator[Reveals]:
    """Give what tells of unsealing, as configured."""
    from node import wiring

    ledger = wiring.ledger(config)
    try:
        yield Reveals(ledger, wiring.keys(config).pseudonymizer(), wiring.patients(config))
    finally:
        ledger.close()

"""Whom an event is about: the patient's fields out of an object, sealed for the audit officer.

SECURITY: what leaves this module is sealed; only the audit officer's key opens it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from node.dicom import identity
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.crypto.months import MonthSealer
    from node.types import Attribute

FACT = "patient"  # the key of an event's facts
KEYWORDS = ("PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber", "StudyInstanceUID")

log = structlog.get_logger()


class Patients:
    """Seals who an event is about.

    :param sealer: None where patients are not noted.
    """

    def __init__(self, sealer: MonthSealer | None) -> None:
        self._sealer = sealer

    def seal(self, at: float, attributes: Iterable[Attribute]) -> dict[str, str | int | float]:
        """Return the facts that say who it is, or none where nobody may note it.

        A month's key that cannot be had loses these facts, not the object.

        :param at: when it happened, seconds since the epoch.
        :param attributes: as :func:`node.dicom.identity.collect` returns them.
        """
        readable = dict(identity.readable(attributes))
        return self._sealed(at, {key: readable[key] for key in KEYWORDS if readable.get(key)})

    def seal_id(self, at: float, patient: str) -> dict[str, str | int | float]:
        """Return the facts that say that an event is about a Patient ID."""
        return self._sealed(at, {KEYWORDS[0]: patient})

    def _sealed(self, at: float, fields: dict[str, str]) -> dict[str, str | int | float]:
        if self._sealer is None or not fields:
            return {}
        try:
            sealed = self._sealer.seal(at, fields)
        except (OSError, UnreadableError):
            log.error("patient_not_noted", hint="look at the folder audit/months")  # noqa: TRY400
            return {"patient_not_noted": 1}
        return {FACT: sealed} if sealed else {}

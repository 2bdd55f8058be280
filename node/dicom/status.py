"""DIMSE statuses: what a peer's answer means, and what the node answers.

PS3.4 B.2.3 (C-STORE), PS3.7 Annex C (general), PS3.8 9.3.4 (A-ASSOCIATE-RJ).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.types import Deferred, Delivered, Outcome, Refused

if TYPE_CHECKING:
    from node.errors import SealnodeError

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
INVALID_INSTANCE = 0x0117
CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
MAX_COMMENT = 64  # characters of an LO: PS3.5 6.2

# What a resend cannot mend: PS3.4 Table B.2-1, PS3.7 Annex C
_REFUSALS = {
    range(0xA900, 0xAA00): "data set does not match SOP class",
    range(0xC000, 0xD000): "cannot understand",
    range(0x0105, 0x0106): "no such attribute",
    range(0x0106, 0x0107): "invalid attribute value",
    range(0x0111, 0x0112): "duplicate SOP instance",
    range(0x0112, 0x0113): "no such SOP instance",
    range(0x0115, 0x0116): "invalid argument value",
    range(0x0117, 0x0118): "invalid SOP instance",
    range(0x0118, 0x0119): "no such SOP class",
    range(0x0119, 0x011A): "class and instance conflict",
    range(0x0120, 0x0121): "missing attribute",
    range(0x0121, 0x0122): "missing attribute value",
    range(0x0122, 0x0123): "SOP class not supported",
    range(0x0124, 0x0125): "not authorised",
    range(0x0211, 0x0212): "unrecognised operation",
    range(0x0212, 0x0213): "mistyped argument",
}
# PS3.4 Table B.2-1, PS3.7 C.3: the peer has kept the object
_WARNINGS = (range(0xB000, 0xC000), (0x0001, 0x0107, 0x0116))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a requester is answered.

    :param comment: Error Comment (0000,0902), a stable code; never a value
        of the data set.
    """

    status: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The three numbers of an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""

    result: int
    source: int
    reason: int
    code: str


CALLED_UNKNOWN = Rejection(1, 1, 7, "called_aet_unknown")
CALLING_UNKNOWN = Rejection(1, 1, 3, "calling_aet_unknown")
USER_UNKNOWN = Rejection(1, 1, 1, "user_identity_unknown")  # PS3.7 D.3.3.7
CONTEXT_NAME = Rejection(1, 1, 2, "application_context_unknown")
BAD_REQUEST = Rejection(1, 2, 1, "request_invalid")
OVERLOADED = Rejection(2, 3, 2, "local_limit_exceeded")
CONGESTED = Rejection(2, 3, 1, "temporary_congestion")


def answer(error: SealnodeError) -> Answer:
    """Return what a modality is answered when an error ends its C-STORE."""
    return Answer(error.status, error.code[:MAX_COMMENT])


def outcome(status: int) -> Outcome:
    """Return what the status of a C-STORE response means for the delivery.

    A status that the standard does not list is a reason to try again: giving
    up is for the age of the delivery to decide.
    """
    if status == SUCCESS:
        return Delivered()
    if any(status in family for family in _WARNINGS):
        return Delivered(warning=status)
    for family, meaning in _REFUSALS.items():
        if status in family:
            return Refused(f"status {status:04X}H: {meaning}", status)
    return Deferred(f"status {status:04X}H")


def rejected(result: int, source: int, reason: int) -> Outcome:
    """Return what an A-ASSOCIATE-RJ means for every delivery of the batch."""
    text = f"association rejected ({result}/{source}/{reason})"
    return Refused(text) if result == 1 else Deferred(text)

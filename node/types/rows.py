"""The life of an object in the spool, and of each of its deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.types.routing import Action, Instance


class EntryState(Enum):
    """The life of one instance in the spool (drawn in docs/spool.md)."""

    RECEIVED = "received"  #: durable; waits to be sealed
    READY = "ready"  #: the object to send exists; its deliveries run
    DONE = "done"  #: every delivery ended well
    HELD = "held"  #: a person must decide; by rule
    PARKED = "parked"  #: a person must look; something went wrong
    DISCARDED = "discarded"  #: a person threw it away, audited


class DeliveryState(Enum):
    """The life of one (instance, destination)."""

    WAITING = "waiting"  #: the object to send does not exist yet
    PENDING = "pending"  #: may be sent at ``not_before``
    SENT = "sent"  #: the destination answered success or warning
    VERIFIED = "verified"  #: read back and found intact
    PARKED = "parked"  #: given up or refused for good; a person must look
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One instance and what the node has decided and done about it."""

    id: int
    instance: Instance
    state: EntryState
    route: str
    action: Action
    priority: int = 0
    sealed: str = ""  #: SHA-256 (hex) of the blob to send; "" until there is one
    attempts: int = 0
    not_before: float = 0.0
    reason: str = ""
    threshold: int = 0  #: so many shares give it back; 0 where each destination gets the whole


@dataclass(frozen=True, slots=True)
class Delivery:
    """One (instance, destination). A slow destination delays only its own rows.

    :param blob: of what is sent: one share, where ``share`` is a number, else
        the whole object; ``""`` until there is one.
    """

    id: int
    entry: int
    destination: str
    state: DeliveryState
    blob: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    priority: int = 0
    attempts: int = 0
    not_before: float = 0.0
    created_at: float = 0.0
    reason: str = ""
    readback_at: float | None = None  #: when it is to be read back; None if not (any more)
    lost: int = 0  #: how often the destination did not have it any more
    commit_at: float | None = None  #: when commitment is asked for; None if not (any more)
    asked: int = 0  #: how often it was asked for since it was sent
    committed_at: float | None = None  #: when the destination committed to keep it
    share: int = 0  #: number of the share that goes there, from 1; 0 for the whole object


@dataclass(frozen=True, slots=True)
class Part:
    """One share of an object, ready to be sent.

    :param share: its number, from 1, which says to which destination it goes.
    :param blob: SHA-256 (hex) of the DICOM object that carries it.
    :param event: tells the audit log of it.
    """

    share: int
    blob: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    event: Event


RECEIPT = "receipt"  # the fact of an event that holds a signed receipt


@dataclass(frozen=True, slots=True)
class Event:
    """One audit event, written in the same transaction as what it tells of.

    :param event: a past-tense constant, such as ``instance_accepted``.
    :param object: a keyed pseudonym of the SOP Instance UID, never the UID.
    :param facts: further values; never a patient attribute.
    """

    event: str
    object: str = ""
    actor: str = ""
    outcome: str = "success"
    facts: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it. ``warning`` is its DIMSE status if not 0x0000."""

    warning: int = 0


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: trying again can help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not ever as it is: a person must look."""

    reason: str
    status: int = 0


Outcome = Delivered | Deferred | Refused

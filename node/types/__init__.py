"""Every noun that more than one part of the node speaks of.

All of them are frozen: a stage makes a new one, it never changes one. None of
them carries a patient attribute except :class:`Record`, which lives only
between taking the identity out of an object and sealing it.
"""

from node.types.routing import (
    ROUTING_KEYWORDS,
    Action,
    Decision,
    Destination,
    Instance,
    Login,
    Peer,
    Profile,
    Route,
    SafePrivate,
    Source,
    Tried,
    Unsealable,
)
from node.types.rows import (
    RECEIPT,
    Deferred,
    Delivered,
    Delivery,
    DeliveryState,
    EntryState,
    Event,
    Outcome,
    Part,
    Refused,
    SpoolEntry,
)
from node.types.sealing import (
    Attribute,
    Binding,
    Carrier,
    Extraction,
    Limits,
    Quality,
    Record,
    Region,
    Verdict,
    VerdictKind,
)

__all__ = [
    "RECEIPT",
    "ROUTING_KEYWORDS",
    "Action",
    "Attribute",
    "Binding",
    "Carrier",
    "Decision",
    "Deferred",
    "Delivered",
    "Delivery",
    "DeliveryState",
    "Destination",
    "EntryState",
    "Event",
    "Extraction",
    "Instance",
    "Limits",
    "Login",
    "Outcome",
    "Part",
    "Peer",
    "Profile",
    "Quality",
    "Record",
    "Refused",
    "Region",
    "Route",
    "SafePrivate",
    "Source",
    "SpoolEntry",
    "Tried",
    "Unsealable",
    "Verdict",
    "VerdictKind",
]

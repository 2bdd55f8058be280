"""Which route an object takes: pure, first match wins, with the whole way there.

What matches nothing is held: never dropped, never sent unprotected. The
caller gives attributes that are on ``ROUTING_KEYWORDS``, so no trace can name
a patient.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Protocol, TypeVar

from node.types import Action, Decision, Tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from node.types import Destination, Instance, Peer, Route


class Listed(Protocol):
    """Who stands in the configuration with an AE title and addresses."""

    @property
    def aet(self) -> str:
        """Its AE title."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Networks in CIDR form."""
        ...

    @property
    def tls_name(self) -> str:
        """Name that its certificate must carry, or ``""``."""
        ...


S = TypeVar("S", bound=Listed)


def decide(routes: Iterable[Route], instance: Instance) -> Decision:
    """Return the first route that matches, with one :class:`Tried` for each looked at."""
    trace = []
    for route in routes:
        matched, reason = _try(route, instance)
        trace.append(Tried(route.name, matched, reason))
        if matched:
            return Decision(route, route.action, tuple(trace))
    return Decision(None, Action.HOLD, tuple(trace))


def source_of(sources: Iterable[S], peer: Peer, names: Iterable[str] = ()) -> S | None:
    """Return the source or workstation that a peer is, or None: it is not listed.

    :param names: what the peer's verified certificate names; needed by one
        that has a ``tls_name``.
    """
    proved = set(names)
    for source in sources:
        known = source.aet == peer.calling_aet and (
            any(matches_address(network, peer.address) for network in source.addresses)
        )
        if known and (not source.tls_name or source.tls_name in proved):
            return source
    return None


def destination_of(
    destinations: Iterable[Destination],
    peer: Peer,
    addresses_of: Callable[[str], Iterable[str]],
) -> Destination | None:
    """Return the destination that a peer is and that owes the node reports, or None.

    :param addresses_of: gives the addresses of a host; asked only about
        destinations with the peer's AE title and without ``calls_from``.
    """
    for destination in destinations:
        if destination.commitment and destination.aet == peer.calling_aet:
            networks = destination.calls_from or addresses_of(destination.host)
            if any(matches_address(network, peer.address) for network in networks):
                return destination
    return None


def matches_text(pattern: str, value: str) -> bool:
    """Tell whether a value is what a pattern says: ``*`` any text, ``?`` any character.

    Case counts. Takes time in the product of the lengths at most, whatever
    the pattern.
    """
    p = v = 0
    star = mark = -1
    while v < len(value):
        if p < len(pattern) and pattern[p] == "*":
            star, mark = p, v
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", value[v]):
            p, v = p + 1, v + 1
        elif star >= 0:
            p, mark = star + 1, mark + 1
            v = mark
        else:
            return False
    return pattern[p:].strip("*") == ""


def matches_address(network: str, address: str) -> bool:
    """Tell whether an address lies in a network in CIDR form.

    An IPv4 address that came through an IPv6 socket counts as IPv4.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found) in ipaddress.ip_network(network)


def _try(route: Route, instance: Instance) -> tuple[bool, str]:
    accepted = []
    for key, patterns in route.match.items():
        values = _values(key, instance)
        if not values:
            return False, f"{key} is absent"
        shown = _quoted(values)
        test = matches_address if key == "address" else matches_text
        if not any(test(pattern, value) for pattern in patterns for value in values):
            return False, f"{key} is {shown}, not {_quoted(patterns)}"
        accepted.append(f"{key} is {shown}")
    return True, " and ".join(accepted) or "it matches everything"


def _values(key: str, instance: Instance) -> tuple[str, ...]:
    peer = instance.peer
    match key:
        case "source":
            found: str | tuple[str, ...] = peer.source
        case "calling_aet":
            found = peer.calling_aet
        case "called_aet":
            found = peer.called_aet
        case "address":
            found = peer.address
        case "SOPClassUID":
            found = instance.sop_class_uid
        case "TransferSyntaxUID":
            found = instance.transfer_syntax_uid
        case _:
            found = instance.attributes.get(key, ())
    values = (found,) if isinstance(found, str) else found
    return tuple(value for value in values if value)


def _quoted(values: Iterable[str]) -> str:
    return " or ".join(f'"{value}"' for value in values)

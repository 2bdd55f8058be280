"""What would surprise the owner of a configuration, and whether its own tests hold."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from node.errors import ConfigError
from node.routing import decide, matches_text
from node.types import Action, Delivered, Instance, Peer, Unsealable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from node.config.config import Config, RouteTest
    from node.types import Decision, Destination, Outcome, Route, Source


def approve(config: Config) -> None:
    """Let a configuration pass whose own tests hold; the last step before it is used.

    :raises ConfigError: with every test that fails.
    """
    failed = failures(config)
    if failed:
        raise ConfigError(failed, hint="'nodectl explain' shows each rule tried and why")


def failures(config: Config) -> list[str]:
    """Run the ``[[test]]`` blocks and return one line for each expectation not met."""
    return [line for test in config.tests for line in _failures(config, test)]


def warnings(config: Config) -> list[str]:
    """Return one line for each thing that is allowed and would surprise."""
    return [
        *_about_node(config),
        *_about_audit(config),
        *_about_routes(config),
        *_about_peers(config),
        *_about_tests(config),
    ]


def unreachable(config: Config, echo: Callable[[Destination], Outcome]) -> list[str]:
    """Ask every enabled destination for a C-ECHO; return one line for each that fails."""
    lines = []
    for peer in config.destinations.values():
        outcome = echo(peer) if peer.enabled else Delivered()
        if not isinstance(outcome, Delivered):
            lines.append(f"destination.{peer.name}: {outcome.reason}")
    return lines


def suppose(config: Config, given: dict[str, tuple[str, ...]]) -> Instance:
    """Return the instance that a test supposes.

    What is not given about the association follows from the source: its AE
    title and the first address that it may send from.
    """
    facts = {key: values[0] for key, values in given.items() if key.islower()}
    source = config.sources.get(facts.get("source", ""))
    first = str(ipaddress.ip_network(source.addresses[0])[0]) if source else ""
    peer = Peer(
        calling_aet=facts.get("calling_aet", source.aet if source else ""),
        called_aet=facts.get("called_aet", config.node.aet),
        address=facts.get("address", "").partition("/")[0] or first,
        source=facts.get("source", ""),
    )
    return Instance(
        sop_class_uid=given.get("SOPClassUID", ("",))[0],
        sop_instance_uid="",
        study_instance_uid="",
        series_instance_uid="",
        transfer_syntax_uid=given.get("TransferSyntaxUID", ("",))[0],
        blob="",
        size=0,
        attributes={key: values for key, values in given.items() if not key.islower()},
        peer=peer,
    )


def _failures(config: Config, test: RouteTest) -> Iterator[str]:
    decision = decide(config.routes, suppose(config, test.given))
    found = decision.route.name if decision.route else ""
    if test.route is not None and test.route != found:
        wanted = f'"{test.route}"' if test.route else "no route"
        yield f"{test.place}.expect.route: expected {wanted}, but {_winner(decision, test)}"
        return
    if test.action is not None and test.action is not decision.action:
        yield (
            f'{test.place}.expect.action: expected "{test.action.value}", '
            f'but it is "{decision.action.value}"'
        )
    to = decision.route.to if decision.route else ()
    if test.to is not None and set(test.to) != set(to):
        goes = ", ".join(to) or "nowhere"
        yield f"{test.place}.expect.to: expected {', '.join(test.to)}, but it goes to {goes}"


def _winner(decision: Decision, test: RouteTest) -> str:
    why = next((tried.reason for tried in decision.trace if tried.route == test.route), "")
    because = f" ({test.route}: {why})" if why else ""
    if decision.route is None:
        return f"no route matches{because}"
    return f'"{decision.route.name}" matches first{because}'


def _about_node(config: Config) -> Iterator[str]:
    node = config.node
    local = _is_loopback(node.host)
    if not local and not node.tls:
        yield "node.tls: the node listens on the network without TLS; patient data passes in clear"
    if local:
        for source in config.sources.values():
            if not all(ipaddress.ip_network(net).is_loopback for net in source.addresses):
                yield (
                    f"source.{source.name}: sends over the network, "
                    f'but the node listens on "{node.host}" alone'
                )


def _about_audit(config: Config) -> Iterator[str]:
    if config.syslog.host and config.syslog.transport == "udp":
        yield "syslog.transport: datagrams get lost, and anybody on the way reads and forges them"
    witness = config.audit.witness
    if witness is not None and not witness.is_dir():
        yield "audit.witness: there is no such folder now; checkpoints wait"


def _about_routes(config: Config) -> Iterator[str]:
    if not config.routes:
        yield "routes.d: there is no route; everything that arrives is held"
    for index, route in enumerate(config.routes):
        place = f"route.{route.name}"
        if route.action is Action.RELAY:
            yield f"{place}.action: sends objects on unprotected"
        if route.action is Action.SEAL and route.unsealable is Unsealable.RELAY:
            yield f"{place}.unsealable: sends what cannot be sealed on unprotected"
        if route.break_glass and not config.node.break_glass_max:
            yield f"{place}.break_glass: has no effect; node.break_glass_max is 0s"
        if route.action is Action.SEAL and not route.logo:
            yield f"{place}.logo: is missing; the sealed pictures carry no logo"
        yield from _about_shares(config, route)
        for earlier in config.routes[:index]:
            if _covers(earlier, route):
                yield f"{place}: is never reached; {earlier.name} matches all that it matches"
                break


def _about_shares(config: Config, route: Route) -> Iterator[str]:
    """Yield who would get several shares of one object."""
    places: dict[tuple[str, int] | str, str] = {}
    for name in route.to if route.threshold else ():
        peer = config.destinations[name]
        other = places.setdefault(peer.url or (peer.host, peer.port), name)
        if other != name:
            yield f"route.{route.name}.shares: {other} and {name} are one archive, with two shares"


def _about_peers(config: Config) -> Iterator[str]:
    used = {name for route in config.routes for name in route.to}
    for peer in config.destinations.values():
        if peer.name not in used:
            yield f"destination.{peer.name}: no route sends to it"
        elif not peer.enabled:
            yield f"destination.{peer.name}: is not enabled; its deliveries wait"
    for source in config.sources.values():
        if config.routes and not any(_may_match(route, source) for route in config.routes):
            yield f"source.{source.name}: no route matches it; all that it sends is held"


def _about_tests(config: Config) -> Iterator[str]:
    if config.routes and not config.tests:
        yield "routes.d: there is no [[test]]; nothing says what the routes are meant to do"


def _covers(earlier: Route, later: Route) -> bool:
    """Tell whether all that ``later`` matches, ``earlier`` surely matches."""
    return all(
        key in later.match
        and all(any(_wider(key, wide, narrow) for wide in patterns) for narrow in later.match[key])
        for key, patterns in earlier.match.items()
    )


def _wider(key: str, wide: str, narrow: str) -> bool:
    if key == "address":
        outer, inner = ipaddress.ip_network(wide), ipaddress.ip_network(narrow)
        return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
    plain = "*" not in narrow and "?" not in narrow
    return wide in ("*", narrow) or (plain and matches_text(wide, narrow))


def _may_match(route: Route, source: Source) -> bool:
    asked = {"source": source.name, "calling_aet": source.aet}
    return all(
        any(matches_text(pattern, value) for pattern in route.match.get(key, (value,)))
        for key, value in asked.items()
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Warnings name what would surprise; tests in the file say what they found."""

from __future__ import annotations

import pytest
from configuration import NODE, ROUTES

from node.config import check
from node.config.load import load
from node.errors import ConfigError
from node.types import Deferred, Delivered, Peer, Refused

LOCAL = NODE.replace("10.0.1.0/24", "127.0.0.0/8")
MR = '[[route]]\nname = "mr"\nmatch = { Modality = "MR" }\naction = "hold"\n'


def test_a_configuration_without_surprises_has_no_warning(write):
    config = load(write(LOCAL))

    assert check.warnings(config) == []
    assert check.failures(config) == []
    check.approve(config)


@pytest.mark.parametrize(
    ("node", "routes", "warning"),
    [
        (
            LOCAL.replace("[node]", '[node]\nhost = "0.0.0.0"'),
            ROUTES,
            "node.tls: the node listens on the network without TLS; patient data passes in clear",
        ),
        (
            NODE,
            ROUTES,
            'source.ct1: sends over the network, but the node listens on "127.0.0.1" alone',
        ),
        (
            LOCAL,
            ROUTES.replace('"seal"', '"relay"'),
            "route.ct.action: sends objects on unprotected",
        ),
        (
            LOCAL,
            ROUTES.replace("logo =", 'unsealable = "relay"\nlogo ='),
            "route.ct.unsealable: sends what cannot be sealed on unprotected",
        ),
        (
            LOCAL,
            ROUTES.replace('logo = "logo.png"\n', ""),
            "route.ct.logo: is missing; the sealed pictures carry no logo",
        ),
        (
            LOCAL,
            ROUTES.partition("[[test]]")[0],
            "routes.d: there is no [[test]]; nothing says what the routes are meant to do",
        ),
        (
            LOCAL + '[source.mr]\naet = "MR"\naddresses = "127.0.0.1"\n',
            ROUTES,
            "source.mr: no route matches it; all that it sends is held",
        ),
        (
            LOCAL + '[destination.old]\naet = "OLD"\nhost = "old"\nport = 104\n',
            ROUTES,
            "destination.old: no route sends to it",
        ),
        (
            LOCAL + '[destination.twin]\naet = "TWIN"\nhost = "pacs"\nport = 104\n',
            ROUTES.replace(
                'to = "pacs-main"\n\n',
                'shares = { k = 2, n = 2, to = ["pacs-main", "twin"] }\n\n',
            ).replace('action = "seal", to = "pacs-main"', 'action = "seal"'),
            "route.ct.shares: pacs-main and twin are one archive, with two shares",
        ),
        (
            LOCAL.replace("port = 104", "port = 104\nenabled = false"),
            ROUTES,
            "destination.pacs-main: is not enabled; its deliveries wait",
        ),
    ],
)
def test_each_surprise_has_its_warning(write, node, routes, warning):
    assert check.warnings(load(write(node, routes))) == [warning]


def test_no_route_at_all_is_a_surprise(write):
    assert check.warnings(load(write(LOCAL, ""))) == [
        "routes.d: there is no route; everything that arrives is held",
        "destination.pacs-main: no route sends to it",
    ]


@pytest.mark.parametrize(
    ("early", "late", "covered"),
    [
        ("", 'Modality = "CT"', True),
        ('Modality = "CT"', "", False),
        ('Modality = ["CT", "MR"]', 'Modality = "MR", Rows = 512', True),
        ('Modality = "CT"', 'Modality = ["CT", "MR"]', False),
        ('StationName = "CT*"', 'StationName = "CT1"', True),
        ('StationName = "CT1"', 'StationName = "CT*"', False),
        ('StationName = "C*"', 'StationName = "CT*"', False),
        ('StationName = "*"', 'StationName = "CT*"', True),
        ('address = "10.0.0.0/8"', 'address = "10.1.0.0/16"', True),
        ('address = "10.1.0.0/16"', 'address = "10.0.0.0/8"', False),
        ('address = "::/0"', 'address = "10.0.0.0/8"', False),
    ],
)
def test_a_route_behind_a_wider_one_is_never_reached(write, early, late, covered):
    routes = "".join(
        f'[[route]]\nname = "{name}"\naction = "hold"\nmatch = {{ {match} }}\n'
        for name, match in (("early", early), ("late", late))
    )
    warning = "route.late: is never reached; early matches all that it matches"

    assert (warning in check.warnings(load(write(LOCAL, routes)))) is covered


def test_a_test_supposes_the_address_and_title_of_its_source(write):
    config = load(write())

    assert check.suppose(config, {"source": ("ct1",)}).peer == Peer(
        "CT1", "SEALNODE", "10.0.1.0", "ct1"
    )
    given = {"source": ("ct1",), "calling_aet": ("X",), "address": ("10.0.1.9/32",)}
    assert check.suppose(config, given).peer == Peer("X", "SEALNODE", "10.0.1.9", "ct1")


def test_a_failed_test_names_the_route_that_won_and_why_the_other_did_not(write):
    routes = MR + ROUTES.replace('Modality = "CT" }', 'Modality = "MR" }')
    config = load(write(LOCAL, routes))

    with pytest.raises(ConfigError) as caught:
        check.approve(config)

    assert caught.value.mistakes == (
        'routes.d/10-ct.toml: test[1].expect.route: expected "ct", but "mr" matches first',
    )


def test_every_destination_that_does_not_answer_is_named(write):
    more = "".join(
        f'[destination.p{n}]\naet = "P"\nhost = "p"\nport = {n}\nenabled = {enabled}\n'
        for n, enabled in ((1, "true"), (2, "true"), (3, "false"))
    )
    answers = {"pacs-main": Delivered(), "p1": Deferred("no route"), "p2": Refused("not you")}

    found = check.unreachable(load(write(**{"20": more})), lambda peer: answers[peer.name])

    assert found == ["destination.p1: no route", "destination.p2: not you"]

"""What must hold between tables, and between them and the disk."""

from __future__ import annotations

import os

import pytest
from configuration import NODE, ROUTES

from node import wiring
from node.config.load import load
from node.config.references import MAX_LOGO, PNG
from node.errors import ConfigError
from node.types import SafePrivate

TLS = """
[tls.hospital]
ca = "ca.pem"
certificate = "node.pem"
key = "node.key"
"""


def mistakes(directory):
    with pytest.raises(ConfigError) as caught:
        load(directory)
    return list(caught.value.mistakes)


def with_files(directory):
    for name in ("ca.pem", "node.pem", "node.key"):
        (directory / name).write_text("PEM")
    (directory / "node.key").chmod(0o400)
    return directory


def test_tls_is_found_by_name_for_the_node_and_its_destinations(write):
    node = TLS + NODE.replace("[node]", '[node]\ntls = "hospital"')
    node = node.replace("port = 104", 'port = 104\ntls = "hospital"')

    config = load(with_files(write(node.replace("CT1", 'CT1"\ntls_name = "ct1'))))

    files = config.tls["hospital"]
    assert files.ca == config.directory / "ca.pem"
    assert files.mutual is True
    assert config.node.tls == config.destinations["pacs-main"].tls == "hospital"
    assert config.sources["ct1"].tls_name == "ct1"


def test_a_key_that_everyone_may_read_is_a_mistake(write):
    directory = with_files(write(TLS + NODE))
    (directory / "node.key").chmod(0o404)

    assert mistakes(directory) == [
        "node.toml: tls.hospital.key: everyone on this machine may read it (chmod 0400)"
    ]


def test_a_certificate_name_needs_a_node_that_speaks_tls(write):
    assert mistakes(write(NODE.replace('aet = "CT1"', 'aet = "CT1"\ntls_name = "ct1"'))) == [
        "node.toml: source.ct1.tls_name: needs node.tls, which is empty"
    ]


def test_two_sources_may_share_a_title_but_not_an_address(write):
    other = '[source.ct2]\naet = "CT1"\naddresses = ["10.0.2.0/24", "fd00::/8"]\n'

    assert len(load(write(NODE + other)).sources) == 2
    assert mistakes(write(NODE + other.replace("10.0.2.0/24", "10.0.1.9"))) == [
        (
            "node.toml: source.ct2: cannot be told from source.ct1: "
            "the same AE title and addresses that overlap"
        )
    ]


def test_a_source_pattern_need_not_name_a_source(write):
    routes = ROUTES.replace('match = { source = "ct1"', 'match = { source = "mr*"')

    assert load(write(routes=routes)).routes[0].match["source"] == ("mr*",)


def test_a_logo_must_be_a_png_of_bounded_size(write):
    directory = write()
    (directory / "logo.png").write_bytes(PNG + bytes(MAX_LOGO))

    assert mistakes(directory) == [
        f"routes.d/10-ct.toml: route.ct.logo: is longer than {MAX_LOGO} bytes"
    ]


def test_a_hospital_has_a_title_a_mark_and_a_logo(write):
    mark = "00112233445566778899aabb"
    tables = f"""
[hospital.own]
title = "Example Hospital"
logo = "logo.png"

[hospital.other]
title = "Other"
mark = "{mark}"
"""
    config = load(write(node=NODE + tables))

    assert config.hospitals["own"].mark == b""
    assert config.hospitals["own"].logo == str(config.directory / "logo.png")
    assert config.hospitals["other"].mark == bytes.fromhex(mark)


@pytest.mark.parametrize(
    ("tables", "mistake"),
    [
        ('[hospital.a]\ntitle = "A"\n[hospital.b]\ntitle = "B"', "is that of hospital.a, too"),
        ('[hospital.a]\ntitle = "A"\nmark = "12"', "must be 24 hexadecimal digits"),
        ('[hospital.a]\ntitle = "A"\nlogo = "no.png"', "cannot be read"),
        ('[hospital.a]\nmark = ""', "title: is missing"),
    ],
)
def test_a_wrong_hospital_is_refused(write, tables, mistake):
    with pytest.raises(ConfigError) as caught:
        load(write(node=NODE + tables))
    assert mistake in "\n".join(caught.value.mistakes)


@pytest.mark.parametrize(
    ("option", "expected"),
    [("robust = false", ""), ('robust = "id"', "id"), ('robust = "logo"', None)],
)
def test_a_route_asks_for_the_robust_mark_or_not(write, option, expected):
    directory = write(
        routes=ROUTES.replace('action = "seal"\nlogo', f'action = "seal"\n{option}\nlogo')
    )
    if expected is None:
        with pytest.raises(ConfigError, match=r"mistake"):
            load(directory)
    else:
        assert load(directory).routes[0].robust == expected


def test_a_route_with_pseudonyms_derives_uids_and_names_its_profile(write):
    tables = """
[profile.research]
dates = "shift"
safe_private = ["7053,00,Philips PET Private Group"]
"""
    hidden = 'action = "seal"\nidentity = "pseudonym"\nprofile = "research"'
    config = load(write(node=NODE + tables, routes=ROUTES.replace('action = "seal"', hidden, 1)))

    (found,) = config.routes
    assert (found.identity, found.uid, found.profile) == ("pseudonym", "derive", "research")
    profile = config.profiles["research"]
    assert profile.dates == "shift"
    assert profile.safe_private == (SafePrivate(0x7053, 0, "Philips PET Private Group"),)
    assert profile.retained == frozenset()


def test_files_of_a_signer_are_not_looked_for_where_a_unit_hides_them(write, monkeypatch):
    signer = '[signer.hospital]\ncertificate = "signer/h.pem"\nkey = "signer/h.key"\n'
    directory = write(NODE + signer)
    (directory / "signer").mkdir()
    assert len(mistakes(directory)) == 2
    entered = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path.name != "signer" and entered(path, mode)
    )

    config = load(directory)

    assert config.signers["hospital"].hidden
    wiring.check_certificates(config)
    assert list(wiring.expiries(config)) == []

"""Loading: what is read, and that no mistake hides another."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from configuration import NODE, ROUTES

from node.config.load import MAX_FILE, load
from node.config.quality import BUILT_IN, limits_of
from node.errors import ConfigError
from node.types import Action, Destination, Route, Source, Unsealable


def mistakes(directory: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(directory)
    return list(caught.value.mistakes)


def test_tables_become_the_nouns_of_the_node(write):
    directory = write()

    config = load(directory)

    assert config.sources == {"ct1": Source("ct1", "CT1", ("10.0.1.0/24",))}
    assert config.destinations == {"pacs-main": Destination("pacs-main", "PACS1", "pacs", 104)}
    assert config.routes == (
        Route(
            "ct",
            {"source": ("ct1",), "Modality": ("CT", "PT")},
            Action.SEAL,
            to=("pacs-main",),
            unsealable=Unsealable.HOLD,
            logo=str(directory / "logo.png"),
        ),
    )
    test = config.tests[0]
    assert test.place == "routes.d/10-ct.toml: test[1]"
    assert test.given == {"source": ("ct1",), "Modality": ("CT",)}
    assert (test.route, test.action, test.to) == ("ct", Action.SEAL, ("pacs-main",))
    assert config.directory == directory


def test_defaults_are_safe_and_in_plain_units(write):
    node = load(write()).node

    assert node.host == "127.0.0.1"
    assert node.port == 11112
    assert node.max_pdu == 128 << 10
    assert node.reserve == 1 << 30
    assert node.retention == 86400.0
    assert node.timeouts.acse == 30.0
    assert node.unknown_sop_classes is False


def test_paths_are_relative_to_the_directory_wherever_the_node_runs(write, monkeypatch):
    directory = write(NODE.replace("[node]", '[node]\nkeys = "/secret/keys"'))
    monkeypatch.chdir(directory.parent)

    config = load(Path(directory.name))

    assert config.node.state == directory / "state"
    assert config.node.keys == Path("/secret/keys")


def test_routes_keep_the_order_of_file_names_and_of_places_in_them(write):
    routes = "".join(
        f'[[route]]\nname = "r{n}"\naction = "hold"\nmatch = {{ Rows = {n} }}\n' for n in (1, 2)
    )
    early = '[[route]]\nname = "early"\naction = "refuse"\n'

    config = load(write(routes=routes, **{"05-early": early, "20-ct": ROUTES}))

    assert [route.name for route in config.routes] == ["early", "r1", "r2", "ct"]


def test_a_source_may_stand_in_a_file_of_routes(write):
    extra = '[source.mr]\naet = "MR"\naddresses = "10.0.2.1"\n'

    assert list(load(write(**{"20-mr": extra})).sources) == ["ct1", "mr"]


def test_only_names_that_end_in_toml_are_read(write):
    directory = write()
    (directory / "routes.d" / "10-ct.toml.bak").write_text("garbage")

    assert len(load(directory).routes) == 1


def test_a_route_that_holds_sends_nowhere_until_it_says_otherwise(write):
    held = load(write(routes=ROUTES.replace('"seal"', '"hold"', 1))).routes[0]

    assert held.action is Action.HOLD
    assert held.to == ()


def test_every_option_of_a_destination_reaches_it(write):
    options = """port = 104
give_up_after = "3d"
associations = 2
readback = "2%"
readback_after = "10m"
enabled = false
"""

    assert load(write(NODE.replace("port = 104\n", options))).destinations == {
        "pacs-main": Destination(
            "pacs-main",
            "PACS1",
            "pacs",
            104,
            give_up_after=3 * 86400.0,
            associations=2,
            enabled=False,
            readback=0.02,
            readback_after=600.0,
        )
    }


def test_priorities_have_words(write):
    routes = ROUTES.replace('action = "seal"\nlogo', 'action = "seal"\npriority = "stat"\nlogo')

    assert load(write(routes=routes)).routes[0].priority == 2


def test_a_directory_without_node_toml_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)

    assert caught.value.mistakes == (f"node.toml: there is no such file in {tmp_path}",)
    assert caught.value.hint == f"'nodectl init {tmp_path}' writes a configuration there"


def test_a_mistake_in_a_table_hides_no_other_and_makes_no_second_one(write):
    node = NODE.replace('aet = "PACS1"', "aet = 1").replace("[node]", "[node]\nprot = 1")
    routes = ROUTES.replace('action = "seal"', 'action = "seel"', 1).replace("CT1", "CT9")
    routes = routes.replace('to = "pacs-main"', 'to = ["pacs-main", "pacs-mian"]', 1)

    assert mistakes(write(node, routes)) == [
        'node.toml: node.prot: unknown key (did you mean "port"?)',
        "node.toml: destination.pacs-main.aet: must be text in quotes, not the number 1",
        (
            'routes.d/10-ct.toml: route.ct.action: must be "seal", "relay", "hold" or "refuse", '
            'not "seel" (did you mean "seal"?)'
        ),
        (
            'routes.d/10-ct.toml: route.ct.to: there is no destination "pacs-mian" '
            '(did you mean "pacs-main"?)'
        ),
    ]


def test_a_file_that_everyone_may_write_is_no_configuration(write):
    directory = write()
    (directory / "node.toml").chmod(0o666)

    assert mistakes(directory) == ["node.toml: everyone on this machine may write it (chmod o-w)"]


def test_a_folder_in_which_everyone_may_put_a_route_is_no_configuration(write):
    directory = write()
    (directory / "routes.d").chmod(0o777)
    directory.chmod(0o1777)

    assert mistakes(directory) == [
        f"{directory.name}/: everyone on this machine may write it (chmod o-w)",
        "routes.d/: everyone on this machine may write it (chmod o-w)",
    ]


def test_a_file_that_is_too_long_is_not_parsed(write):
    assert mistakes(write(**{"20": "#" * (MAX_FILE + 1)})) == [
        f"routes.d/20.toml: syntax: the file is longer than {MAX_FILE} bytes"
    ]


def test_tables_nested_without_end_are_a_mistake(write):
    assert mistakes(write(**{"20": "a = " + "[" * 100_000})) == [
        "routes.d/20.toml: syntax: tables or lists are nested too deep"
    ]


def test_a_number_of_thousands_of_digits_is_a_mistake(write):
    found = mistakes(write(**{"20": "a = " + "9" * 5000}))

    assert found[0].startswith("routes.d/20.toml: syntax: exceeds the limit")


def test_bytes_that_are_not_utf8_are_a_mistake(write):
    directory = write()
    (directory / "routes.d" / "20.toml").write_bytes(b'a = "\xff"')

    assert mistakes(directory) == ["routes.d/20.toml: is not UTF-8 (byte 5)"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_mistake(write):
    directory = write()
    (directory / "routes.d" / "10-ct.toml").chmod(0)

    assert mistakes(directory) == ["routes.d/10-ct.toml: cannot be read: Permission denied"]


def test_a_folder_in_the_place_of_a_file_is_a_mistake(write):
    directory = write()
    (directory / "routes.d" / "20.toml").mkdir()

    assert mistakes(directory) == ["routes.d/20.toml: cannot be read: Is a directory"]


def test_limits_of_quality_are_those_of_the_modality_where_they_are_not_configured(write):
    extra = "\n[quality.CT]\nmin_ssim = 1\n[quality.default]\nmax_change = 2\n"

    configured = load(write(node=NODE + extra)).quality

    assert limits_of(configured, "CT") == replace(BUILT_IN["CT"], min_ssim=1.0)
    assert limits_of(configured, "MG") == BUILT_IN["MG"]
    assert limits_of(configured, "XX") == replace(BUILT_IN["default"], max_change=2)
    assert limits_of({}, "XX") == BUILT_IN["default"]


def test_the_manual_tells_the_built_in_limits():
    manual = (Path(__file__).parents[3] / "docs" / "configure.md").read_text()
    for modality, limits in BUILT_IN.items():
        told = f"| {limits.max_change} | {limits.min_psnr:g} | {limits.min_ssim:g} |\n"
        assert re.search(rf"^\| .*\b{modality}\b.* {re.escape(told)}", manual, re.MULTILINE)

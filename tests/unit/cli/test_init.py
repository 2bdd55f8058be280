"""``nodectl init``: what it writes is right, private and never written over."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from node.config.check import approve, warnings
from node.config.load import load
from node.types import Action


def test_what_is_written_is_ready_and_without_surprises(nodectl, tmp_path):
    ended = nodectl("init", tmp_path / "new" / "site")
    config = load(tmp_path / "new" / "site")

    assert ended.status == 0
    assert ended.stderr == ""
    assert (config.node.aet, config.node.host, config.node.port) == ("SEALNODE", "127.0.0.1", 11112)
    assert config.sources["demo"].aet == "DEMO"
    assert config.sources["demo"].addresses == ("127.0.0.0/8", "::1/128")
    assert config.routes[0].action is Action.SEAL
    approve(config)
    assert warnings(config) == []


def test_keys_and_state_are_for_their_owner_alone(nodectl, tmp_path):
    nodectl("init", tmp_path / "site")

    for name in ("keys", "state", "state/audit"):
        assert (tmp_path / "site" / name).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "site" / "keys" / "epoch.key").stat().st_mode & 0o077 == 0


def test_the_logo_is_small_and_clear(nodectl, tmp_path):
    nodectl("init", tmp_path)

    logo = Image.open(io.BytesIO((tmp_path / "logo.png").read_bytes()))
    assert logo.size == (48, 48)
    assert logo.mode == "1"
    assert 0 < sum(1 for dot in logo.tobytes() if dot != 0xFF) < len(logo.tobytes())


def test_options_are_written_into_the_files(nodectl, tmp_path):
    ended = nodectl(
        "init", tmp_path, "--aet", "SITE", "--port", "104", "--host", "0.0.0.0",
        "--pacs", "PACS1@[fd00::1]:2762",
        "--source", "ct1=CT1@10.0.1.0/24", "--source", "mr=MR@10.0.2.1",
    )  # fmt: skip
    config = load(tmp_path)

    assert ended.status == 0
    assert (config.node.aet, config.node.port, config.node.host) == ("SITE", 104, "0.0.0.0")
    pacs = config.destinations["pacs-main"]
    assert (pacs.aet, pacs.host, pacs.port) == ("PACS1", "fd00::1", 2762)
    assert {name: it.addresses for name, it in config.sources.items()} == {
        "ct1": ("10.0.1.0/24",),
        "mr": ("10.0.2.1/32",),
    }
    assert config.routes[0].match == {"source": ("ct1", "mr")}
    assert "nodectl: warning: node.tls: the node listens on the network" in ended.stderr


def test_nothing_is_written_over_what_is_there(nodectl, tmp_path):
    nodectl("init", tmp_path)
    (tmp_path / "node.toml").write_text("mine")

    ended = nodectl("init", tmp_path)

    assert ended.status == 3
    assert (tmp_path / "node.toml").read_text() == "mine"
    assert "nodectl: error: node.toml: is there already" in ended.stderr
    assert "nodectl: hint: --force" in ended.stderr


def test_force_writes_over_files_but_never_over_keys(nodectl, tmp_path):
    nodectl("init", tmp_path)
    key = (tmp_path / "keys" / "epoch.key").read_bytes()
    (tmp_path / "node.toml").write_text("mine")

    ended = nodectl("init", tmp_path, "--force", "--json")

    assert ended.status == 0
    assert load(tmp_path)
    assert (tmp_path / "keys" / "epoch.key").read_bytes() == key
    assert json.loads(ended.stdout)["written"] == [
        "node.toml", "routes.d/10-default.toml", "logo.png", "state/"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--aet", "TOO-LONG-TO-BE-ONE-OF-THEM"], "--aet: must be an AE title"),
        (["--port", "0"], "--port: must be from 1 to 65535"),
        (["--port", "x"], "--port: must be a whole number"),
        (["--host", "a b"], "--host: must be a host name"),
        (["--pacs", "PACS1"], "--pacs: must be AET@HOST:PORT"),
        (["--pacs", "P@h:99999"], "--pacs: must be from 1 to 65535"),
        (["--source", "ct1"], "--source: must be NAME=AET@CIDR"),
        (["--source", "c/t=CT@10.0.0.1"], "--source: must be 1 to 64 of letters"),
        (["--source", "ct=CT@10.0.0.1/8"], "--source: has bits set beyond its prefix"),
    ],
)
def test_an_argument_without_sense_exits_2_and_writes_nothing(nodectl, tmp_path, option, said):
    ended = nodectl("init", tmp_path / "site", *option)

    assert ended.status == 2
    assert ended.stderr.startswith(f"nodectl: error: {said}")
    assert not (tmp_path / "site").exists()

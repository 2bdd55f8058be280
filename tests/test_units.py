"""What each systemd unit lets its process see of the keys, and what it can do with that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.crypto import custody
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, NotOurKeyError
from node.types import Binding

UNITS = Path(__file__).resolve().parents[1] / "systemd"
FOLDER = "/etc/sealnode/keys"
BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")
SECRETS = {
    "receive": {"pseudonym.key"},
    "process": {
        "epoch.key",
        "mapping.key",
        "robust.key",
        "share.key",
        "receipt.key",
        "pseudonym.key",
    },
    "forward": {"pseudonym.key"},
    "verify": {"recipient.key", "custodian.key", "mapping.key", "robust.key", "pseudonym.key"},
    "reap": {"audit.key", "pseudonym.key"},
}


def seen(unit: str) -> list[str]:
    """Return what a unit shows its process of the key folder; the rest is hidden."""
    lines = (UNITS / f"sealnode-{unit}.service").read_text().splitlines()
    assert f"TemporaryFileSystem={FOLDER}:ro" in lines
    head = f"BindReadOnlyPaths=-{FOLDER}/"
    return [line.removeprefix(head) for line in lines if line.startswith(head)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site with two epochs, and what was sealed under the first."""
    directory = tmp_path_factory.mktemp("site") / "keys"
    custody.create(directory, clock=lambda: 1_790_000_000.0, suite="x25519")
    old = DirectoryKeys(directory).sealer().seal(b"patient", BINDING, b"record")
    custody.rotate(directory, clock=lambda: 1_790_000_001.0)
    return DirectoryKeys(directory), old


@pytest.fixture
def view(site, tmp_path):
    def of(unit: str) -> DirectoryKeys:
        (tmp_path / unit).mkdir(mode=0o700)
        for name in seen(unit):
            source = site[0].directory / name
            if source.is_dir():
                shutil.copytree(source, tmp_path / unit / name)
            elif source.exists():
                shutil.copy(source, tmp_path / unit / name)
        return DirectoryKeys(tmp_path / unit)

    return of


@pytest.mark.parametrize("unit", SECRETS)
def test_a_unit_shows_the_secrets_that_its_process_needs_and_no_other(unit):
    assert {name for name in seen(unit) if name.endswith(".key")} == SECRETS[unit]


def test_every_unit_is_looked_at():
    found = {path.stem.removeprefix("sealnode-") for path in UNITS.glob("*.service")}
    assert found == set(SECRETS)


@pytest.mark.parametrize("unit", ["receive", "forward", "reap"])
def test_a_process_that_moves_or_counts_neither_seals_nor_opens(view, unit):
    keys = view(unit)
    assert keys.pseudonymizer()
    for part in (keys.sealer, keys.prover, keys.opener):
        with pytest.raises(ConfigError):
            part()


def test_the_sealing_process_seals_and_cannot_open_other_epochs(site, view):
    keys = view("process")
    closed = keys.sealer().seal(b"patient", BINDING, b"record")
    assert keys.prover().open(closed, BINDING, b"record") == b"patient"
    with pytest.raises(NotOurKeyError):
        keys.prover().open(site[1], BINDING, b"record")
    with pytest.raises(ConfigError):
        keys.opener()


def test_the_verifying_process_opens_and_cannot_seal(site, view):
    keys = view("verify")
    assert keys.opener().open(site[1], BINDING, b"record") == b"patient"
    with pytest.raises(ConfigError):
        keys.sealer()

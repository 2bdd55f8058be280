"""Keys in a PKCS #11 token: a real one, SoftHSM."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from node import wiring
from node.cli.main import run
from node.config.load import load
from node.crypto.token import Token
from node.errors import ConfigError, DamagedError, UsageError

pytestmark = pytest.mark.peers

PIN = "271828"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")
IMAGE = "CT_small.dcm"


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """The library of SoftHSM, with one token; it reads its configuration once a process."""
    pytest.importorskip("pkcs11", reason="needs the extra pkcs11")
    found = next((Path(path) for path in MODULES if Path(path).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        pytest.skip("needs SoftHSM (Debian: softhsm2)")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "sealnode",
         "--pin", PIN, "--so-pin", "314159"],
        check=True, capture_output=True,
    )  # fmt: skip
    yield found
    del os.environ["SOFTHSM2_CONF"]


def nodectl(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run([str(word) for word in words], {}, out, err), out.getvalue(), err.getvalue()


@pytest.fixture
def site(module, tmp_path, request):
    """A site whose only recipient is a key in the token, called after the test."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:32].strip("-")
    site = tmp_path / "site"
    assert nodectl("init", site)[0] == 0
    toml = (site / "node.toml").read_text()
    said = f'[keys]\npkcs11_module = "{module}"\ntoken = "sealnode"\nkey = "{name}"\n'
    (site / "node.toml").write_text(toml.replace("[keys]\n", said))
    (site / "token.pin").write_text(PIN + "\n")
    (site / "token.pin").chmod(0o400)
    call = ("--config", site, "keys", "recipients")
    assert nodectl(*call, "new", name, "--token", "--out", tmp_path)[0] == 0
    assert not (tmp_path / f"{name}.key").exists()
    assert nodectl(*call, "add", tmp_path / f"{name}.pub", "--history")[0] == 0
    assert nodectl(*call, "remove", "site", "--yes", "site")[0] == 0
    (site / "keys" / "recipient.key").unlink()
    return site


def test_images_open_with_the_token_alone(site, tmp_path):
    sealed = tmp_path / "sealed.dcm"
    assert nodectl("--config", site, "seal", get_testdata_file(IMAGE), "-o", sealed)[0] == 0
    assert nodectl("--config", site, "verify", sealed)[:2] == (0, f"{sealed}: INTACT\n")
    rows = nodectl("--config", site, "keys", "list", "--json")[1].splitlines()
    assert [json.loads(row)["opens"] for row in rows] == [True, True]
    shutil.copytree(site / "keys", tmp_path / "copy")
    assert nodectl("--config", site, "keys", "verify-backup", tmp_path / "copy")[0] == 0


def test_sealing_does_not_touch_the_token(site):
    (site / "token.pin").unlink()
    assert wiring.keys(load(site)).sealer()
    with pytest.raises(ConfigError):
        wiring.keys(load(site)).opener()


def test_a_pin_that_others_can_read_is_refused(site):
    (site / "token.pin").chmod(0o444)
    status, _, said = nodectl("--config", site, "keys", "list")
    assert status == 3
    assert "token.pin: is a secret, but its mode 0444 lets others at it" in said


def test_a_credential_goes_before_the_file(site, tmp_path, monkeypatch):
    (site / "token.pin").unlink()
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "token.pin").write_text(PIN)
    (tmp_path / "given" / "token.pin").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    assert wiring.keys(load(site)).opener().key_ids


def test_what_is_wrong_with_a_token_is_said(module, tmp_path):
    def said(*given: object, name: str = "nobody") -> str:
        path, label, pin = given
        with pytest.raises(ConfigError) as caught:
            Token(Path(str(path)), str(label), lambda: str(pin)).identity(name)
        return caught.value.mistakes[0]

    (tmp_path / "x.so").write_text("no library")
    assert "PinIncorrect" in said(module, "sealnode", "000000")
    assert "cannot be used: No token" in said(module, "other", PIN)
    assert "no key pair of the label nobody" in said(module, "sealnode", PIN)
    assert "cannot be used" in said(tmp_path / "x.so", "sealnode", PIN)


def test_the_private_key_stays_in_the_token_and_is_not_made_twice(module):
    token = Token(module, "sealnode", lambda: PIN)
    made = token.generate("stays", 0)
    with pytest.raises(UsageError):
        token.generate("stays", 0)
    identity = token.identity("stays")
    closed = made.wrap(b"k" * 32, b"abcd")
    assert identity.unwrap(closed, b"abcd") == b"k" * 32
    for spoilt in (b"\x04" + bytes(112), closed[:70] + b"x" + closed[71:], b""):
        with pytest.raises(DamagedError):
            identity.unwrap(spoilt, b"abcd")
    with token._session() as (session, pkcs11):
        key = token._key(session, pkcs11, pkcs11.ObjectClass.PRIVATE_KEY, "stays")
        attribute = pkcs11.Attribute
        assert (key[attribute.EXTRACTABLE], key[attribute.SENSITIVE]) == (False, True)

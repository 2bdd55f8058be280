"""The profile fips: which keys fit it."""

from __future__ import annotations

import pytest

from node.crypto import custody, ending, fips, recipient
from node.crypto.keyring import DirectoryKeys
from node.crypto.suites import SUITES

NOW = 1_790_000_000.0


def clock() -> float:
    return NOW


def site(tmp_path, suite):
    custody.create(tmp_path / "keys", clock=clock, suite=suite)
    return DirectoryKeys(tmp_path / "keys")


@pytest.mark.parametrize("suite", fips.APPROVED)
def test_keys_of_an_approved_suite_fit(tmp_path, suite):
    keys = site(tmp_path, suite)
    assert fips.mistakes(keys) == []
    assert fips.legacy(keys) == []


def test_every_other_key_that_would_seal_is_named_with_what_is_allowed(tmp_path):
    found = fips.mistakes(site(tmp_path, "mlkem768-x25519"))
    assert [line.split("keys/")[1].split(":")[0] for line in found] == [
        "recipients/site.pub",
        f"epochs/{DirectoryKeys(tmp_path / 'keys').sealer().key_id.hex()}.capsule",
        "audit-officer.pub",
    ]
    assert all("profile fips allows mlkem768, p256, rsa-oaep-3072" in line for line in found)


def test_a_site_that_changes_over_keeps_opening_what_it_sealed_before(tmp_path):
    keys = site(tmp_path, "x25519")
    old = keys.sealer().key_id.hex()
    custody.add_recipient(keys.directory, recipient.generate("new", NOW, "p256").recipient)
    custody.remove_recipient(keys.directory, "site", clock=clock)
    officer = keys.directory / "audit-officer.pub"
    officer.unlink()
    officer.write_bytes(recipient.generate("audit-officer", NOW, "p256").recipient.render())
    assert fips.mistakes(keys) == []
    assert [line.split("epoch 1")[1] for line in fips.legacy(keys)] == [
        " is wrapped for site by x25519, which is not approved; it is only opened"
    ]
    ending.destroy(keys.directory, old, clock=clock)
    assert fips.legacy(keys) == []


def test_what_is_allowed_is_known():
    assert set(fips.APPROVED) < set(SUITES)
    assert {suite for suite in SUITES if fips.allows(suite)} == set(fips.APPROVED)
    assert fips.provider() in (True, False)

"""``nodectl keys``: what it prints, and how it exits."""

from __future__ import annotations

import argparse
import io
import json
import shutil
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from node import wiring
from node.cli import keys
from node.cli.main import parser_of
from node.cli.output import Out
from node.config.load import load
from node.crypto import custody
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, NotOurKeyError, UnreadableError, UsageError
from node.types import Event


@pytest.fixture
def directory(tmp_path):
    custody.create(tmp_path / "keys", clock=lambda: 1_790_000_000.0, suite="x25519")
    return tmp_path / "keys"


def run(*words, directory, as_json=False) -> str:
    asked = ["--keys", str(directory), *map(str, words)]
    args = parser_of(keys).parse_args(asked, namespace=argparse.Namespace(config=None))
    stdout = io.StringIO()
    assert keys.run(args, Out(stdout, io.StringIO(), json=as_json)) == 0
    return stdout.getvalue()


def run_json(*words, directory):
    lines = run(*words, directory=directory, as_json=True).splitlines()
    return [json.loads(line) for line in lines]


def test_new_makes_keys_and_says_to_keep_a_copy(tmp_path):
    shown = run("new", "--suite", "p256", directory=tmp_path / "new")
    assert "keep a copy" in shown
    assert DirectoryKeys(tmp_path / "new").sealer().key_id.hex() in shown


def test_list_shows_the_newest_epoch_first(directory):
    run("rotate", directory=directory)
    rows = run_json("list", directory=directory)
    assert [(row["epoch"], row["current"], row["opens"]) for row in rows] == [
        (2, True, True),
        (1, False, True),
    ]
    assert rows[1]["created"] == "2026-09-21T14:13:20Z"


def test_list_works_where_only_opening_keys_are(directory):
    (directory / "epoch.key").unlink()
    (row,) = run_json("list", directory=directory)
    assert (row["current"], row["opens"]) == (False, True)


def test_list_works_where_only_sealing_keys_are(directory):
    (directory / "recipient.key").unlink()
    (row,) = run_json("list", directory=directory)
    assert (row["current"], row["opens"]) == (True, None)


def test_show_names_the_recipients_of_an_epoch(directory):
    (facts,) = run_json("show", directory=directory)
    assert [(one["name"], one["suite"]) for one in facts["recipients"]] == [("site", "x25519")]
    assert facts["key_id"] in run("show", facts["key_id"], directory=directory)
    with pytest.raises(NotOurKeyError):
        run("show", "00000000", directory=directory)


def test_someone_is_made_added_and_removed(directory, tmp_path):
    run("recipients", "new", "archive", "--out", tmp_path, "--suite", "x25519", directory=directory)
    run("recipients", "add", tmp_path / "archive.pub", "--history", directory=directory)
    (epoch,) = run_json("list", directory=directory)
    assert epoch["recipients"] == ["site", "archive"]
    assert "archive" in run("recipients", "list", directory=directory)
    with pytest.raises(UsageError, match="nobody confirmed"):
        run("recipients", "remove", "archive", directory=directory)
    run("recipients", "remove", "archive", "--yes", "archive", directory=directory)
    assert run_json("list", directory=directory)[0]["recipients"] == ["site"]


def test_a_locked_key_opens_with_the_passphrase_shown(directory, tmp_path):
    (made,) = run_json(
        "recipients", "new", "safe", "--locked", "--out", tmp_path, "--suite", "x25519",
        directory=directory,
    )  # fmt: skip
    run("recipients", "add", tmp_path / "safe.pub", directory=directory)
    assert not (tmp_path / "safe.key").exists()
    (tmp_path / "paper").write_text(made["passphrase"] + "\n")
    (tmp_path / "opening").mkdir()
    shutil.copytree(directory / "epochs", tmp_path / "opening" / "epochs")
    run(
        "recipients", "unlock", tmp_path / "safe.locked", "--out", tmp_path / "opening",
        "--passphrase-file", tmp_path / "paper", directory=directory,
    )  # fmt: skip
    opener = DirectoryKeys(tmp_path / "opening").opener()
    assert opener.key_ids == (DirectoryKeys(directory).sealer().key_id,)


def test_a_good_copy_passes_and_an_old_one_does_not(directory, tmp_path):
    shutil.copytree(directory, tmp_path / "copy")
    assert "opens" in run("verify-backup", tmp_path / "copy", directory=directory)
    run("rotate", directory=directory)
    with pytest.raises(NotOurKeyError, match="1 of 2 epochs"):
        run("verify-backup", tmp_path / "copy", directory=directory)


def test_a_file_that_is_no_recipient_is_named(directory, tmp_path):
    (tmp_path / "x.pub").write_bytes(b"nothing")
    with pytest.raises(UnreadableError, match=r"x\.pub"):
        run("recipients", "add", tmp_path / "x.pub", directory=directory)


def key_of(directory, epoch) -> str:
    rows = run_json("list", directory=directory)
    return next(row["key_id"] for row in rows if row["epoch"] == epoch)


def test_a_retired_epoch_is_shown_and_another_one_seals(directory):
    key = key_of(directory, 1)
    run("retire", key, "--yes", key, directory=directory)
    new, old = run_json("list", directory=directory)
    assert (new["state"], old["opens"]) == ("current", True)
    assert old["state"].startswith("retired on ")


def test_a_destroyed_epoch_is_shown_as_destroyed_and_opens_nothing(directory, tmp_path):
    key = key_of(directory, 1)
    shutil.copytree(directory, tmp_path / "copy")
    run("rotate", directory=directory)
    run("destroy", key, "--yes", key, directory=directory)
    (shown,) = run_json("show", key, directory=directory)
    assert shown["state"].startswith("destroyed on ")
    assert not shown["opens"]
    with pytest.raises(NotOurKeyError, match="1 of 1"):  # the copy lacks epoch 2
        run("verify-backup", tmp_path / "copy", directory=directory)


@pytest.mark.parametrize("verb", ["retire", "destroy"])
@pytest.mark.parametrize("words", [[], ["--yes", "00000000"]])
def test_nothing_ends_that_nobody_confirmed(directory, verb, words):
    key = key_of(directory, 1)
    run("rotate", directory=directory)
    with pytest.raises(UsageError):
        run(verb, key, *words, directory=directory)
    assert [row["state"] for row in run_json("list", directory=directory)] == ["current", "former"]


def test_a_key_id_typed_at_the_terminal_confirms(directory, monkeypatch):
    key = key_of(directory, 1)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: "yes")
    with pytest.raises(UsageError, match="nothing was changed"):
        run("retire", key, directory=directory)
    monkeypatch.setattr("builtins.input", lambda _question: f" {key} ")
    run("retire", key, directory=directory)
    assert not run_json("list", directory=directory)[1]["current"]


def test_destroying_tells_what_it_means_and_the_audit_log_how_many_objects(nodectl, site):
    key = DirectoryKeys(site / "keys").sealer().key_id.hex()
    ledger = wiring.ledger(load(site))
    for name in ("a", "b", "b"):
        ledger.record(Event("entry_sealed", object=name, facts={"key_id": key}))
    ledger.close()
    nodectl("--config", site, "keys", "rotate")

    refused = nodectl("--config", site, "keys", "destroy", key)
    assert refused.status == 2
    assert "by the audit log: 2, the last at" in refused.stderr
    ended = nodectl("--config", site, "keys", "destroy", key, "--yes", key, "--json")

    assert json.loads(ended.stdout)["objects"] == 2
    assert told(site)[-1].event == "keys_changed"
    assert told(site)[-1].facts["objects"] == 2
    assert "+epoch 1 destroyed on" in told(site)[-1].facts["diff"]


def test_what_was_sealed_under_a_destroyed_key_says_so(nodectl, site, tmp_path):
    sealed = tmp_path / "sealed.dcm"
    assert (
        nodectl("--config", site, "seal", get_testdata_file("CT_small.dcm"), "-o", sealed).status
        == 0
    )
    key = DirectoryKeys(site / "keys").sealer().key_id.hex()
    nodectl("--config", site, "keys", "retire", key, "--yes", key)
    assert nodectl("--config", site, "verify", sealed).status == 0
    nodectl("--config", site, "keys", "destroy", key, "--yes", key)

    ended = nodectl("--config", site, "verify", sealed)

    assert ended.status == 12
    assert f"NOT_OUR_KEY: sealed under key {key}, which was destroyed on " in ended.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["recipients", "new", "Not A Name", "--out", "."],
        ["recipients", "new", "archive"],
        ["recipients"],
        ["new", "--suite", "rot13"],
        ["nothing"],
        [],
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(directory, words):
    with pytest.raises(UsageError):
        run(*words, directory=directory)


def test_a_folder_without_keys_is_a_mistake(tmp_path):
    for words in (["list"], ["rotate"], ["show"], ["recipients", "remove", "site"]):
        with pytest.raises(ConfigError):
            run(*words, directory=tmp_path / "absent")


def test_nothing_printed_is_a_secret(directory):
    provider = DirectoryKeys(directory)
    lines = [
        one.splitlines()[-1] for one in (provider.epoch().render(), provider.identity().render())
    ]
    shown = run("list", directory=directory) + run("show", directory=directory)
    shown += run("rotate", directory=directory) + run("recipients", "list", directory=directory)
    assert not any(line.decode() in shown for line in lines)


def told(site):
    """Return what waits for the audit log."""
    ledger = wiring.ledger(load(site))
    try:
        return [event for _seq, _at, event in ledger.outbox(limit=100)]
    finally:
        ledger.close()


def test_the_audit_log_is_told_who_changed_which_key_and_how(nodectl, site):
    nodectl("--config", site, "keys", "list")
    assert told(site) == []
    nodectl("--config", site, "keys", "rotate")
    nodectl("--config", site, "keys", "recipients", "remove", "nobody")

    rotated, failed = told(site)

    assert (rotated.event, rotated.outcome) == ("keys_changed", "success")
    assert rotated.actor.startswith("local:")
    assert rotated.facts["command"] == "rotate"
    assert "+epoch 2 for site" in rotated.facts["diff"]
    assert "-current " in rotated.facts["diff"]
    assert (failed.event, failed.outcome) == ("keys_used", "failure")
    assert failed.facts["command"] == "recipients remove"


@pytest.fixture
def fips_site(site):
    toml = site / "node.toml"
    toml.write_text(toml.read_text().replace('#profile = "standard"', 'profile = "fips"'))
    return site


def test_profile_fips_names_each_key_that_does_not_fit_and_seals_nothing(
    nodectl, fips_site, tmp_path
):
    ended = nodectl("--config", fips_site, "check", "--offline")
    assert ended.status == 3
    assert "FIPS-minded, not validated" in ended.stderr
    assert "site.pub: the next epoch would be wrapped by mlkem768-x25519; profile" in ended.stderr
    image = get_testdata_file("CT_small.dcm")
    assert nodectl("--config", fips_site, "seal", image, "-o", tmp_path / "x.dcm").status == 3
    assert nodectl("--config", fips_site, "serve").status == 3


def test_profile_fips_makes_and_admits_only_keys_that_fit(nodectl, fips_site, tmp_path):
    shutil.rmtree(fips_site / "keys")
    call = ["--config", fips_site, "keys"]
    assert nodectl(*call, "new").status == 0
    assert nodectl("--config", fips_site, "check", "--offline").status == 0
    refused = nodectl(*call, "recipients", "new", "a", "--out", tmp_path, "--suite", "x25519")
    assert "keys.profile fips does not allow x25519" in refused.stderr
    made = nodectl(*call, "recipients", "new", "b", "--out", tmp_path, "--locked")
    assert made.status == 0
    assert b"locked-identity-pbkdf2" in (tmp_path / "b.locked").read_bytes()
    nodectl("keys", "recipients", "new", "c", "--out", tmp_path, "--suite", "x25519")
    assert nodectl(*call, "recipients", "add", tmp_path / "c.pub").status == 2


def test_what_was_coded_as_dna_verifies_and_opens_like_any_other(nodectl, site, tmp_path):
    toml = site / "node.toml"
    toml.write_text(toml.read_text().replace("#dna = false", "dna = true"))
    sealed, image = tmp_path / "sealed.dcm", get_testdata_file("CT_small.dcm")
    assert nodectl("--config", site, "seal", image, "-o", sealed).status == 0
    toml.write_text(toml.read_text().replace("dna = true", "dna = false"))
    assert nodectl("--config", site, "verify", sealed).stdout == f"{sealed}: INTACT\n"
    restored = tmp_path / "restored.dcm"
    assert nodectl("--config", site, "restore", sealed, "-o", restored).status == 0
    assert restored.read_bytes() == Path(image).read_bytes()

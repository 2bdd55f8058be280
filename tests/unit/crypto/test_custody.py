"""Making, changing and checking the keys of a site."""

from __future__ import annotations

import shutil
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.audit.checkpoint import Signer, Verifier
from node.crypto import custody, keyfile, recipient
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, NotOurKeyError, UnreadableError, UsageError
from node.types import Binding

BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")
NOW = 1_790_000_000.0


def clock() -> float:
    return NOW


@pytest.fixture
def keys(tmp_path):
    custody.create(tmp_path / "keys", clock=clock, suite="x25519")
    return DirectoryKeys(tmp_path / "keys")


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def copy_of(keys, tmp_path):
    shutil.copytree(keys.directory, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_new_directory_has_the_published_files_and_modes(keys):
    directory = keys.directory
    found = {
        str(path.relative_to(directory)): mode(path)
        for path in directory.rglob("*")
        if path.is_file()
    }
    assert found == {
        "epoch.key": 0o400,
        "recipient.key": 0o400,
        "mapping.key": 0o400,
        "robust.key": 0o400,
        "audit.key": 0o400,
        "audit.pub": 0o444,
        "audit-officer.key": 0o400,
        "audit-officer.pub": 0o444,
        "share.key": 0o400,
        "receipt.key": 0o400,
        "share.pub": 0o444,
        "pseudonym.key": 0o440,
        f"epochs/{keys.sealer().key_id.hex()}.capsule": 0o444,
        "recipients/site.pub": 0o444,
        f"receipts/{keys.receipt_signer().public.id}.pub": 0o444,
    }
    assert mode(directory) == 0o700


def test_a_new_receipt_key_leaves_the_old_one_to_check_with(keys):
    before = keys.receipt_signer().public.id

    made = custody.renew_receipt_key(keys.directory, "p256", clock=clock)

    assert keys.receipt_signer().public.id == made.public.id
    assert {key.id for key in keys.receipt_keys()} == {before, made.public.id}


def test_nothing_is_left_beside_a_new_directory(keys):
    assert [path.name for path in keys.directory.parent.iterdir()] == ["keys"]


def test_keys_are_made_in_an_empty_directory(tmp_path):
    custody.create(tmp_path, clock=clock, suite="x25519")
    assert DirectoryKeys(tmp_path).sealer()


def test_keys_are_never_made_over_others(keys):
    before = (keys.directory / "epoch.key").read_bytes()
    with pytest.raises(ConfigError):
        custody.create(keys.directory, clock=clock)
    assert (keys.directory / "epoch.key").read_bytes() == before


def test_a_suite_that_is_not_known_leaves_nothing_behind(tmp_path):
    with pytest.raises(UnreadableError):
        custody.create(tmp_path / "keys", clock=clock, suite="rot13")
    assert not list(tmp_path.iterdir())


def test_all_secrets_of_a_site_differ(keys):
    secrets = {keys.mapping_key(), keys.epoch().key.secret(), keys.identity().secret()}
    assert len(secrets) == 3
    assert keys.mapping_key() == keys.mapping_key()


def test_the_audit_keys_sign_and_verify_checkpoints(keys):
    signer = Signer(keys.audit_key())
    verifier = Verifier((keys.directory / "audit.pub").read_text())
    note = signer.sign(7, bytes(32), "2026-10-05T08:00:00Z")
    assert verifier.open(note).size == 7
    assert verifier.name.startswith("sealnode-")


def test_rotating_counts_on_and_keeps_old_capsules(keys):
    first = keys.epoch()
    made = custody.rotate(keys.directory, clock=clock)
    assert keys.epoch().number == made.epoch == first.number + 1
    assert [one.epoch for one in keys.capsules()] == [2, 1]
    assert mode(keys.directory / "epoch.key") == 0o400


def test_the_old_epoch_key_leaves_the_sealing_side(keys):
    old = keys.epoch().render()
    custody.rotate(keys.directory, clock=clock)
    assert all(path.read_bytes() != old for path in keys.directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("survives", range(2))
def test_a_rotation_that_breaks_off_leaves_keys_that_seal_and_open(keys, monkeypatch, survives):
    write, calls = keyfile.write, iter(range(10))

    def failing(path, data, mode):
        if next(calls) >= survives:
            raise OSError(5, "the power went")
        write(path, data, mode)

    monkeypatch.setattr(keyfile, "write", failing)
    with pytest.raises(OSError, match="power"):
        custody.rotate(keys.directory, clock=clock)
    monkeypatch.undo()
    closed = keys.sealer().seal(b"a", BINDING, b"record")
    assert keys.opener().open(closed, BINDING, b"record") == b"a"
    assert custody.rotate(keys.directory, clock=clock).epoch == 2 + survives


def test_rotations_at_the_same_time_follow_one_another(keys):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: custody.rotate(keys.directory, clock=clock), range(8)))
    assert sorted(one.epoch for one in made) == list(range(2, 10))
    assert keys.epoch().number == 9


def test_an_epoch_never_takes_a_key_id_that_is_taken(keys):
    secrets = iter([keys.epoch().key.secret(), b"2" * 32])
    custody.rotate(keys.directory, clock=clock, random=lambda _count: next(secrets))
    assert keys.epoch().key.secret() == b"2" * 32


def test_sealing_needs_neither_the_identity_nor_other_capsules(keys):
    old = keys.capsule_path(keys.epoch().key.key_id)
    custody.rotate(keys.directory, clock=clock)
    old.unlink()
    (keys.directory / "recipient.key").unlink()
    assert keys.sealer()
    with pytest.raises(ConfigError):
        keys.opener()


def test_opening_does_not_need_the_epoch_key(keys):
    closed = keys.sealer().seal(b"a", BINDING, b"record")
    (keys.directory / "epoch.key").unlink()
    assert keys.opener().open(closed, BINDING, b"record") == b"a"


def test_nothing_is_sealed_under_a_key_whose_capsule_is_missing(keys):
    keys.capsule_path(keys.epoch().key.key_id).unlink()
    with pytest.raises(ConfigError, match="1 mistake") as caught:
        keys.sealer()
    assert "nobody could open" in caught.value.mistakes[0]


def test_nothing_is_sealed_under_a_key_whose_capsule_was_altered(keys):
    path = keys.capsule_path(keys.epoch().key.key_id)
    text = path.read_bytes().replace(b" site\n", b" sitf\n")
    path.unlink()
    path.write_bytes(text)
    with pytest.raises(ConfigError):
        keys.sealer()
    with pytest.raises(ConfigError):
        keys.opener()


def test_an_added_recipient_opens_this_epoch_and_the_next(keys):
    first = keys.sealer().seal(b"1", BINDING, b"record")
    custody.rotate(keys.directory, clock=clock)
    second = keys.sealer().seal(b"2", BINDING, b"record")
    archive = recipient.generate("archive", NOW, "p256")
    changed = custody.add_recipient(keys.directory, archive.recipient)
    custody.rotate(keys.directory, clock=clock)
    third = keys.sealer().seal(b"3", BINDING, b"record")
    opener = DirectoryKeys(keys.directory, identity=archive).opener()
    assert [one.epoch for one in changed] == [2]
    assert opener.open(second, BINDING, b"record") == b"2"
    assert opener.open(third, BINDING, b"record") == b"3"
    with pytest.raises(NotOurKeyError):
        opener.open(first, BINDING, b"record")


def test_an_added_recipient_with_history_opens_everything(keys):
    first = keys.sealer().seal(b"1", BINDING, b"record")
    custody.rotate(keys.directory, clock=clock)
    archive = recipient.generate("archive", NOW, "x25519")
    changed = custody.add_recipient(keys.directory, archive.recipient, history=keys.identity)
    opener = DirectoryKeys(keys.directory, identity=archive).opener()
    assert [one.epoch for one in changed] == [2, 1]
    assert opener.open(first, BINDING, b"record") == b"1"
    assert keys.opener().open(first, BINDING, b"record") == b"1"


def test_a_recipient_is_not_added_twice(keys):
    archive = recipient.generate("archive", NOW, "x25519")
    custody.add_recipient(keys.directory, archive.recipient)
    namesake = recipient.generate("archive", NOW, "x25519")
    for again in (archive.recipient, namesake.recipient):
        with pytest.raises(ConfigError):
            custody.add_recipient(keys.directory, again)


def test_a_removed_recipient_opens_what_came_before_and_nothing_after(keys):
    archive = recipient.generate("archive", NOW, "x25519")
    custody.add_recipient(keys.directory, archive.recipient)
    before = keys.sealer().seal(b"1", BINDING, b"record")
    custody.remove_recipient(keys.directory, "archive", clock=clock)
    after = keys.sealer().seal(b"2", BINDING, b"record")
    opener = DirectoryKeys(keys.directory, identity=archive).opener()
    assert opener.open(before, BINDING, b"record") == b"1"
    with pytest.raises(NotOurKeyError):
        opener.open(after, BINDING, b"record")


@pytest.mark.parametrize("name", ["site", "nobody", "../epochs"])
def test_the_last_recipient_and_strangers_cannot_be_removed(keys, name):
    with pytest.raises(ConfigError):
        custody.remove_recipient(keys.directory, name, clock=clock)
    assert [one.name for one in keys.recipients()] == ["site"]


def test_a_good_backup_opens_every_epoch(keys, tmp_path):
    custody.rotate(keys.directory, clock=clock)
    findings = custody.verify_backup(keys.directory, copy_of(keys, tmp_path))
    assert [(one.epoch, one.state) for one in findings] == [(2, "opens"), (1, "opens")]


def test_an_old_backup_lacks_the_newest_epoch(keys, tmp_path):
    backup = copy_of(keys, tmp_path)
    custody.rotate(keys.directory, clock=clock)
    findings = custody.verify_backup(keys.directory, backup)
    assert [one.state for one in findings] == ["missing", "opens"]


def test_a_torn_backup_is_called_damaged(keys, tmp_path):
    backup = copy_of(keys, tmp_path)
    path = next((backup / "epochs").iterdir())
    text = path.read_bytes()
    path.unlink()
    path.write_bytes(text[:-10])
    assert [one.state for one in custody.verify_backup(keys.directory, backup)] == ["damaged"]


def test_a_backup_with_another_identity_opens_nothing(keys, tmp_path):
    backup = copy_of(keys, tmp_path)
    (backup / "recipient.key").unlink()
    other = recipient.generate("other", NOW, "x25519")
    (backup / "recipient.key").write_bytes(other.render())
    (backup / "recipient.key").chmod(0o400)
    states = [one.state for one in custody.verify_backup(keys.directory, backup)]
    assert states == ["not_for_this_identity"]


def test_an_identity_for_someone_else_is_written_once(tmp_path):
    identity = recipient.generate("archive", NOW, "x25519")
    secret, public = custody.write_identity(tmp_path, identity)
    assert (mode(secret), mode(public)) == (0o400, 0o444)
    assert recipient.parse_identity(secret.read_bytes()).secret() == identity.secret()
    assert recipient.parse_recipient(public.read_bytes()) == identity.recipient
    with pytest.raises(UsageError):
        custody.write_identity(tmp_path, identity)

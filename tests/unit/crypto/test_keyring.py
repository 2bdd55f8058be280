"""Reading keys: access, credentials, and files that are not what they should be."""

from __future__ import annotations

import pytest

from node.crypto import custody
from node.crypto.epoch import parse_epoch_key
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, UnreadableError

NOW = 1_790_000_000.0


@pytest.fixture
def keys(tmp_path):
    custody.create(tmp_path / "keys", clock=lambda: NOW, suite="x25519")
    return DirectoryKeys(tmp_path / "keys")


def replace(path, data: bytes, mode: int = 0o400) -> None:
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o604, 0o620, 0o666, 0o777])
@pytest.mark.parametrize(
    ("name", "part"),
    [("epoch.key", "sealer"), ("recipient.key", "opener"), ("mapping.key", "mapping_key")],
)
def test_a_secret_that_others_can_reach_is_refused_with_the_remedy(keys, mode, name, part):
    path = keys.directory / name
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        getattr(keys, part)()
    assert caught.value.hint == f"chmod 400 {path}"


@pytest.mark.parametrize(("mode", "fine"), [(0o400, True), (0o440, True), (0o444, False)])
def test_the_pseudonym_key_may_be_read_by_its_group(keys, mode, fine):
    (keys.directory / "pseudonym.key").chmod(mode)
    if fine:
        assert keys.pseudonymizer().pseudonym("1.2.3")
    else:
        with pytest.raises(ConfigError):
            keys.pseudonymizer()


def test_a_directory_that_others_can_write_is_refused(keys):
    keys.directory.chmod(0o770)
    with pytest.raises(ConfigError) as caught:
        keys.sealer()
    assert "chmod 700" in caught.value.hint


def test_credentials_come_before_the_directory(keys, tmp_path):
    given = tmp_path / "credentials"
    given.mkdir()
    for name in ("epoch.key", "recipient.key", "pseudonym.key", "mapping.key"):
        (given / name).write_bytes((keys.directory / name).read_bytes())
        (given / name).chmod(0o440)  # as systemd shows them
        (keys.directory / name).unlink()
    served = DirectoryKeys(keys.directory, credentials=given)
    assert served.sealer().key_id == served.opener().key_ids[0]
    assert served.pseudonymizer().pseudonym("1")
    assert len(served.mapping_key()) == 32


def test_credentials_that_everybody_can_read_are_refused(keys, tmp_path):
    given = tmp_path / "credentials"
    given.mkdir()
    (given / "epoch.key").write_bytes((keys.directory / "epoch.key").read_bytes())
    (given / "epoch.key").chmod(0o444)
    with pytest.raises(ConfigError):
        DirectoryKeys(keys.directory, credentials=given).sealer()


def test_a_file_in_the_place_of_another_is_refused(keys):
    replace(keys.directory / "epoch.key", (keys.directory / "mapping.key").read_bytes())
    with pytest.raises(ConfigError):
        keys.sealer()


def test_a_capsule_under_another_name_is_refused(keys):
    path = keys.capsule_path(keys.epoch().key.key_id)
    path.rename(path.with_name("00000000.capsule"))
    with pytest.raises(ConfigError):
        keys.capsules()


def test_a_recipient_under_another_name_is_refused(keys):
    path = keys.directory / "recipients" / "site.pub"
    path.rename(path.with_name("archive.pub"))
    with pytest.raises(ConfigError):
        keys.recipients()


def test_a_huge_file_is_refused_without_being_parsed(keys):
    replace(keys.directory / "epoch.key", bytes(2 << 20))
    with pytest.raises(ConfigError, match="1 mistake") as caught:
        keys.sealer()
    assert "1 MiB" in caught.value.mistakes[0]


def test_a_folder_in_the_place_of_a_key_is_refused(keys):
    (keys.directory / "epoch.key").unlink()
    (keys.directory / "epoch.key").mkdir()
    with pytest.raises(ConfigError):
        keys.sealer()


def test_every_change_of_one_character_in_an_epoch_key_is_refused(keys):
    text = (keys.directory / "epoch.key").read_bytes()
    assert parse_epoch_key(text)
    for at in range(len(text)):
        forged = text[:at] + bytes((text[at] ^ 1,)) + text[at + 1 :]
        in_number_or_time = b"epoch: " in text[max(0, at - 7) : at] or (
            text.index(b"created: ") + 9 <= at < text.index(b"Z\n")
        )
        if not in_number_or_time:  # these say when, and are checked by the capsule alone
            with pytest.raises(UnreadableError):
                parse_epoch_key(forged)


def test_no_message_quotes_a_secret(keys):
    text = (keys.directory / "epoch.key").read_bytes()
    secret = text.splitlines()[-1]
    replace(keys.directory / "epoch.key", text.replace(b"id: ", b"id: f"))
    with pytest.raises(ConfigError) as caught:
        keys.sealer()
    shown = " ".join([str(caught.value), *caught.value.mistakes, caught.value.hint])
    assert secret.decode() not in shown
    assert caught.value.__cause__ is None

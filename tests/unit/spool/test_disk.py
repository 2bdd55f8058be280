"""What the store on disk does when the disk does not."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import ConfigError, DamagedError, SpoolFullError
from node.spool.disk import DiskBlobs

ROOT = Path(__file__).resolve().parents[3]
DATA = b"an object" * 1000
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "blobs"


def store(blobs, data=DATA, *, durable=True):
    with blobs.put() as incoming:
        incoming.write(data)
        return incoming.commit(durable=durable)


def files_of(root):
    return [path for path in root.rglob("*") if path.is_file()]


def fail(number):
    def failing(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return failing


def test_a_blob_that_was_committed_survives_reopening(root):
    store(DiskBlobs(root))
    assert DiskBlobs(root).read(NAME) == DATA


def test_only_the_owner_may_read(root):
    blobs = DiskBlobs(root)
    with blobs.put() as incoming:
        incoming.write(DATA)
        incoming.commit()
        modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_dir()}
        assert modes == {0o700}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files_of(root)} == {0o600}


def test_a_blob_that_changed_on_disk_is_damaged(root):
    blobs = DiskBlobs(root)
    store(blobs)
    path = root / "objects" / NAME[:2] / NAME
    path.write_bytes(DATA[:-1] + b"!")
    with pytest.raises(DamagedError):
        blobs.read(NAME)


@pytest.mark.parametrize("durable", [True, False])
def test_committing_again_mends_a_damaged_blob(root, durable):
    blobs = DiskBlobs(root)
    store(blobs)
    path = root / "objects" / NAME[:2] / NAME
    path.write_bytes(b"")
    assert store(blobs, durable=durable) == NAME
    assert blobs.read(NAME) == DATA


def test_a_copy_that_need_not_be_durable_does_not_replace_one_that_is(root):
    blobs = DiskBlobs(root)
    store(blobs)
    path = root / "objects" / NAME[:2] / NAME
    before = path.stat().st_ino
    store(blobs, durable=False)
    assert path.stat().st_ino == before
    assert path.stat().st_nlink == 1


def test_a_blob_behind_a_link_is_not_followed(root, tmp_path):
    blobs = DiskBlobs(root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(DATA)
    (root / "objects" / NAME[:2] / NAME).symlink_to(elsewhere)
    with pytest.raises(DamagedError):
        blobs.read(NAME)


def test_below_the_reserve_no_blob_is_begun(root):
    blobs = DiskBlobs(root, reserve=1 << 62)
    assert blobs.free() < 0
    with pytest.raises(SpoolFullError, match="reserve"):
        blobs.put()
    assert files_of(root) == []


@pytest.mark.parametrize("call", ["open", "write", "fsync", "link", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_whatever_the_disk_refuses_nothing_partial_is_visible(root, monkeypatch, call, number):
    blobs = DiskBlobs(root)
    name = "node.spool.disk.Path.rename" if call == "rename" else f"os.{call}"
    monkeypatch.setattr(name.replace("node.spool.disk.Path", "pathlib.Path"), fail(number))

    with pytest.raises(SpoolFullError) as caught:
        store(blobs, durable=call != "link")

    monkeypatch.undo()
    assert caught.value.status == 0xA700
    assert str(root) not in str(caught.value)
    assert files_of(root) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_store_works_again_when_there_is_room_again(root, monkeypatch, number):
    blobs = DiskBlobs(root)
    monkeypatch.setattr(os, "write", fail(number))
    with pytest.raises(SpoolFullError):
        store(blobs)
    monkeypatch.undo()
    assert store(blobs) == NAME


def test_a_blob_with_a_failed_write_cannot_be_committed(root, monkeypatch):
    blobs = DiskBlobs(root)
    with blobs.put() as incoming:
        incoming.write(DATA[:9])
        monkeypatch.setattr(os, "write", fail(errno.ENOSPC))
        with pytest.raises(SpoolFullError):
            incoming.write(DATA[9:])
        monkeypatch.undo()
        with pytest.raises(SpoolFullError):
            incoming.commit()
    assert files_of(root) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_after_a_failed_fsync_the_store_stays_sick_until_it_is_opened_anew(
    root, monkeypatch, number
):
    blobs = DiskBlobs(root)
    with blobs.put() as bystander:
        bystander.write(DATA)
        monkeypatch.setattr(os, "fsync", fail(number))
        with pytest.raises(SpoolFullError):
            store(blobs)
        monkeypatch.undo()

        with pytest.raises(SpoolFullError) as caught:
            bystander.commit()
        assert caught.value.code == "spool_sick"
    with pytest.raises(SpoolFullError):
        blobs.put()
    assert store(DiskBlobs(root)) == NAME


def test_a_short_write_is_continued(root, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    blobs = DiskBlobs(root)
    assert store(blobs) == NAME
    monkeypatch.undo()
    assert blobs.read(NAME) == DATA


WRITER = """
import os, signal, sys
from pathlib import Path
from node.spool.disk import DiskBlobs
incoming = DiskBlobs(Path(sys.argv[1])).put()
incoming.write(b"half an object")
print("written", flush=True)
signal.pause()
"""


def test_the_partial_blob_of_a_writer_that_died_is_swept(root):
    blobs = DiskBlobs(root)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout.readline() == "written\n"
        assert blobs.sweep() == 0
        writer.send_signal(signal.SIGKILL)
    assert blobs.sweep() == 1
    assert files_of(root) == []


def test_a_sweep_between_creating_and_locking_does_no_harm(root, monkeypatch):
    blobs = DiskBlobs(root)
    real = os.open

    def open_then_sweep(path, flags, *mode):
        descriptor = real(path, flags, *mode)
        if flags & os.O_CREAT:
            monkeypatch.undo()
            assert blobs.sweep() == 1
        return descriptor

    monkeypatch.setattr(os, "open", open_then_sweep)
    assert store(blobs) == NAME
    assert blobs.read(NAME) == DATA


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_refused(root, mode):
    root.mkdir()
    root.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        DiskBlobs(root)
    assert "may write" in caught.value.mistakes[0]


@pytest.mark.parametrize("part", ["", "incoming", "objects"])
def test_a_folder_behind_a_link_is_refused(root, tmp_path, part):
    DiskBlobs(tmp_path / "real")
    if part:
        root.mkdir(mode=0o700)
    (root / part).symlink_to(tmp_path / "real", target_is_directory=True)
    with pytest.raises(ConfigError):
        DiskBlobs(root)


def test_a_file_in_the_place_of_the_folder_is_refused(root):
    root.write_text("")
    with pytest.raises(ConfigError):
        DiskBlobs(root)


def test_every_new_name_is_made_durable(root, monkeypatch):
    """The order is fsync of the file, rename, fsync of the folder."""
    blobs = DiskBlobs(root)
    calls = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(fd):
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
        calls.append(f"fsync {kind}")
        fsync(fd)

    def note_rename(*args, **kwargs):
        calls.append("rename")
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    store(blobs)
    assert calls == ["fsync file", "rename", "fsync folder"]

    calls.clear()
    store(blobs, b"other", durable=False)
    assert calls == []

"""What every blob store promises."""

from __future__ import annotations

import hashlib
import os
import threading
import time

import pytest

from node.spool.disk import DiskBlobs
from node.spool.memory import MemoryBlobs

DATA = b"\x00DICM pixels \xff" * 4096
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["disk", "memory"])
def blobs(request, tmp_path):
    return DiskBlobs(tmp_path / "blobs") if request.param == "disk" else MemoryBlobs()


def store(blobs, data=DATA, *, durable=True):
    with blobs.put() as incoming:
        incoming.write(data)
        return incoming.commit(durable=durable)


@pytest.mark.parametrize("durable", [True, False])
def test_a_committed_blob_is_read_back_under_its_sha256(blobs, durable):
    assert store(blobs, durable=durable) == NAME
    assert blobs.read(NAME) == DATA
    with blobs.open(NAME) as file:
        assert file.read() == DATA


def test_writes_add_up(blobs):
    with blobs.put() as incoming:
        incoming.write(DATA[:10])
        incoming.write(memoryview(DATA)[10:999])
        incoming.write(b"")
        incoming.write(bytearray(DATA[999:]))
        assert incoming.commit() == NAME
    assert blobs.read(NAME) == DATA


def test_what_is_written_through_the_descriptor_counts_too(blobs):
    with blobs.put() as incoming:
        incoming.write(DATA[:100])
        os.write(incoming.fileno(), DATA[100:])
        assert incoming.commit() == NAME
    assert blobs.read(NAME) == DATA


def test_what_was_written_can_be_looked_at_before_the_commit(blobs):
    with blobs.put() as incoming:
        incoming.write(DATA)
        with incoming.mapped() as data:
            assert data[:] == DATA
        assert incoming.commit() == NAME
    assert blobs.read(NAME) == DATA


def test_an_empty_blob_is_a_blob(blobs):
    assert store(blobs, b"") == hashlib.sha256().hexdigest()


def test_leaving_without_a_commit_leaves_nothing(blobs):
    with blobs.put() as incoming:
        incoming.write(DATA)
    incoming = blobs.put()
    incoming.write(DATA)
    incoming.__exit__(KeyError, KeyError(), None)

    assert list(blobs.walk()) == []
    with pytest.raises(KeyError):
        blobs.read(NAME)


def test_nothing_is_visible_before_the_commit(blobs):
    with blobs.put() as incoming:
        incoming.write(DATA)
        assert list(blobs.walk()) == []
        incoming.commit()
        assert [name for name, _ in blobs.walk()] == [NAME]


def test_committing_the_same_bytes_again_is_no_error(blobs):
    for durable in (True, False, True):
        assert store(blobs, durable=durable) == NAME
    assert [name for name, _ in blobs.walk()] == [NAME]
    assert blobs.read(NAME) == DATA


@pytest.mark.parametrize("name", ["", "0" * 64, "../../etc/passwd", NAME[:-1], NAME.upper(), "é"])
def test_a_name_that_is_not_there_is_a_key_error(blobs, name):
    store(blobs)
    with pytest.raises(KeyError):
        blobs.open(name)
    with pytest.raises(KeyError):
        blobs.read(name)


def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(blobs):
    store(blobs)
    assert blobs.delete(NAME)
    assert blobs.delete(NAME)
    with pytest.raises(KeyError):
        blobs.read(NAME)


def test_a_blob_is_spared_when_the_question_is_answered_yes(blobs):
    store(blobs)
    assert not blobs.delete(NAME, unless=lambda: True)
    assert blobs.read(NAME) == DATA
    assert blobs.delete(NAME, unless=lambda: False)
    assert list(blobs.walk()) == []


def test_a_blob_is_not_deleted_between_its_commit_and_its_row(blobs):
    store(blobs)
    with blobs.put() as incoming:
        incoming.write(DATA)
        incoming.commit()
        assert not blobs.delete(NAME, unless=lambda: False)
    assert blobs.delete(NAME, unless=lambda: False)


def test_an_open_blob_can_be_read_to_its_end_after_its_deletion(blobs):
    store(blobs)
    with blobs.open(NAME) as file:
        blobs.delete(NAME)
        assert file.read() == DATA


def test_walk_tells_when_a_blob_was_written(blobs):
    store(blobs)
    [(_, written)] = blobs.walk()
    assert abs(written - time.time()) < 3600


def test_many_threads_may_write_at_once(blobs):
    def work(number):
        for item in range(10):
            store(blobs, f"{number % 2} {item}".encode())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(list(blobs.walk())) == 20
    for name, _ in blobs.walk():
        blobs.read(name)


def test_a_living_writer_is_not_swept(blobs):
    with blobs.put() as incoming:
        incoming.write(DATA)
        assert blobs.sweep() == 0
        assert incoming.commit() == NAME
    assert blobs.read(NAME) == DATA


def test_free_shrinks_as_blobs_grow(tmp_path):
    blobs = MemoryBlobs(room=10)
    assert blobs.free() == 10
    store(blobs, b"12345678")
    assert blobs.free() == 2
    assert DiskBlobs(tmp_path / "blobs").free() > 0

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from node.dicom.sandbox import Sandbox
from node.errors import UnsealableError

WORDS = np.arange(64, dtype="<u2").reshape(8, 8, 1)
REQUEST = {
    "do": "encode",
    "codec": "rle",
    "shape": [8, 8, 1],
    "bits": 16,
    "two_complement": False,
    "precision": 16,
    "signed": False,
    "transformed": False,
    "rgb": False,
}


def child(tmp_path, body: str):
    path = tmp_path / "child.py"
    path.write_text(body)
    return path


def code_of(sandbox: Sandbox, size: int = 1000) -> str:
    with pytest.raises(UnsealableError) as caught:
        sandbox.call(REQUEST, WORDS.tobytes(), size)
    return caught.value.code


def pid_of(sandbox: Sandbox) -> int:
    assert sandbox._child is not None
    return sandbox._child.pid


def test_one_child_serves_many_calls():
    with Sandbox() as sandbox:
        stream = sandbox.call(REQUEST, WORDS.tobytes(), 1000)
        first = pid_of(sandbox)
        words = sandbox.call(REQUEST | {"do": "decode"}, stream, 128)
        assert words == WORDS.tobytes()
        assert pid_of(sandbox) == first
    assert sandbox._child is None
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_child_that_died_is_replaced():
    with Sandbox() as sandbox:
        stream = sandbox.call(REQUEST, WORDS.tobytes(), 1000)
        os.kill(pid_of(sandbox), signal.SIGSEGV)
        assert code_of(sandbox) == "decode_failed"
        assert sandbox.call(REQUEST, WORDS.tobytes(), 1000) == stream


def test_a_child_that_loops_is_killed(tmp_path):
    path = child(tmp_path, "import time\ntime.sleep(60)\n")
    with Sandbox(seconds=0.2, child=path) as sandbox:
        assert code_of(sandbox) == "decode_limit"
        assert sandbox._child is None


def test_a_child_that_reads_nothing_is_killed(tmp_path):
    path = child(tmp_path, "import time\ntime.sleep(60)\n")
    with Sandbox(seconds=0.2, child=path) as sandbox, pytest.raises(UnsealableError):
        sandbox.call(REQUEST, bytes(1 << 20), 0)


@pytest.mark.parametrize(
    "body",
    [
        "import os\nos.abort()\n",
        "raise SystemExit(0)\n",
        "print('x' * 100)\n",
        "import sys\nsys.stdout.buffer.write(b'\\xff' * 8)\n",
        "import sys\nsys.stdout.buffer.write(b'\\2\\0\\0\\0{}\\xff\\xff\\0\\0')\n",
    ],
)
def test_a_child_that_talks_nonsense_fails_the_call_only(tmp_path, body):
    with Sandbox(child=child(tmp_path, body)) as sandbox:
        assert code_of(sandbox) == "decode_failed"
        assert code_of(sandbox) == "decode_failed"


def test_a_child_has_no_more_memory_than_it_is_given():
    request = REQUEST | {"do": "decode", "bits": 8, "shape": [30000, 30000, 1]}
    stream = b"\1\0\0\0\x40\0\0\0" + bytes(56)
    with Sandbox(memory=800 << 20) as sandbox:
        with pytest.raises(UnsealableError) as caught:
            sandbox.call(request, stream, 1 << 31)
        assert caught.value.code == "decode_limit"
        assert sandbox.call(REQUEST, WORDS.tobytes(), 1000)


def test_a_child_knows_no_environment_and_may_write_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "key")
    body = (
        "import json, os, struct, sys\n"
        "head = json.dumps({}).encode()\n"
        "text = repr(sorted(os.environ)).encode()\n"
        "for part in (head, text):\n"
        "    sys.stdout.buffer.write(struct.pack('<I', len(part)) + part)\n"
        "sys.stdout.flush()\n"
        "sys.stdin.buffer.read()\n"
    )
    with Sandbox(child=child(tmp_path, body)) as sandbox:
        assert b"SECRET" not in sandbox.call(REQUEST, b"", 10_000)


def test_calls_of_several_threads_wait_for_each_other():
    results = []
    with Sandbox() as sandbox:
        threads = [
            threading.Thread(
                target=lambda: results.append(sandbox.call(REQUEST, WORDS.tobytes(), 1000))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(set(results)) == 1
    assert len(results) == 4

"""The published vectors of share v1: what comes back, and what is said of each share."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from node.crypto.shares import scheme
from node.errors import DamagedError, UnreadableError, UsageError

FOLDER = Path(__file__).parent / "share-v1"
CLASSES = {"unreadable": UnreadableError, "damaged": DamagedError, "usage": UsageError}
VECTORS = sorted(FOLDER.glob("*.txt"))


def load(path: Path) -> tuple[dict[str, list[str]], list[bytes]]:
    head, _, body = path.read_text(encoding="ascii").partition("\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        name, _, value = line.partition(": ")
        fields.setdefault(name.rstrip(":"), []).append(value)
    return fields, [bytes.fromhex(line) for line in body.splitlines()]


def test_all_vectors_are_there():
    assert len(VECTORS) == 37


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_shares_do_what_their_vector_expects(path):
    fields, shares = load(path)
    trusted = [bytes.fromhex(key) for key in fields.get("trusted", [])]
    (expect,) = fields["expect"]
    if expect == "success":
        done = scheme.combine(shares, trusted=trusted)
        assert [hashlib.sha256(done.data).hexdigest()] == fields["object-sha256"]
    else:
        with pytest.raises(CLASSES[expect]):
            scheme.combine(shares, trusted=trusted)
    if expect != "usage":
        report = scheme.check(shares, trusted=trusted)
        assert [" ".join(one.state.value for one in report.findings)] == fields["states"]

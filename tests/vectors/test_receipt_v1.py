"""The published vectors of receipt v1: what is signed, and why the rest is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.crypto import receipt
from node.errors import DamagedError, NotOurKeyError, UnreadableError

FOLDER = Path(__file__).parent / "receipt-v1"
CLASSES = {"unreadable": UnreadableError, "not_our_key": NotOurKeyError, "damaged": DamagedError}
VECTORS = sorted(FOLDER.glob("*.txt"))


def load(path: Path) -> tuple[str, list[receipt.PublicKey], bytes]:
    head, _, body = path.read_text(encoding="ascii").partition("\n\n")
    pairs = [line.split(": ", 1) for line in head.splitlines()]
    known = [value.split(" ") for name, value in pairs if name == "known"]
    keys = [receipt.PublicKey(suite, bytes.fromhex(public), 0) for suite, public in known]
    return dict(pairs)["expect"], keys, bytes.fromhex(body)


def test_all_vectors_are_there():
    assert len(VECTORS) == 20


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_receipt_does_what_its_vector_expects(path):
    expect, keys, body = load(path)
    if expect == "success":
        said, key = receipt.check(body, keys)
        assert body.startswith(b"sealnode receipt v1\nobject: " + said.object.encode())
        assert f"marked-pixels: {said.marked_pixels.hex()}\n-> {key.suite} {key.id}\n" in str(
            body, "ascii"
        )
    else:
        with pytest.raises(CLASSES[expect]):
            receipt.check(body, keys)

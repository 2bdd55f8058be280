"""The published vectors of payload v1: what opens, and why the rest does not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.crypto import record
from node.crypto.seal import EpochKey, EpochSealer, KeyringOpener
from node.errors import DamagedError, NotOurKeyError, UnreadableError
from node.types import Binding, Record

FOLDER = Path(__file__).parent / "payload-v1"
CLASSES = {
    "not_our_key": NotOurKeyError,
    "damaged": DamagedError,
    "unreadable": UnreadableError,
}


@dataclass(frozen=True)
class Vector:
    fields: dict[str, list[str]]
    body: bytes

    def one(self, name: str) -> str:
        (value,) = self.fields[name]
        return value

    @property
    def binding(self) -> Binding:
        values = {field: self.one(field.replace("_", "-")) for field in Binding.__slots__}
        return Binding(
            **{k: v if k.endswith("uid") else int(v) for k, v in values.items()}  # type: ignore[arg-type]
        )


def load(path: Path) -> Vector:
    head, _, body = path.read_text(encoding="ascii").partition("\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        name, value = line.split(": ", 1)
        fields.setdefault(name, []).append(value)
    return Vector(fields, bytes.fromhex(body))


VECTORS = {path.stem: load(path) for path in sorted(FOLDER.glob("*.txt"))}
PAYLOADS = [name for name, vector in VECTORS.items() if vector.one("kind") == "payload"]
RECORDS = [name for name, vector in VECTORS.items() if vector.one("kind") == "record"]


def listing(given: Record) -> bytes:
    lines = [f"{one.tag:08x} {one.vr} {one.value.hex()}" for one in given.attributes]
    parts = ("pixels_sha256", "object_sha256", "undo", "logo", "file", "robust")
    parts += ("coarse",) if given.coarse else ()
    parts += ("attached",) if given.attached else ()
    lines += [f"{part} {getattr(given, part).hex()}" for part in parts]
    return "\n".join(lines).encode() + b"\n"


def test_all_vectors_are_there():
    assert (len(PAYLOADS), len(RECORDS)) == (32, 19)


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_does_what_its_vector_expects(name):
    vector = VECTORS[name]
    keys = [EpochKey(bytes.fromhex(key)) for key in vector.fields.get("epoch-key", [])]
    purpose = vector.one("purpose").encode()
    opener = KeyringOpener(keys)
    expect = vector.one("expect")
    if expect == "success":
        plaintext = opener.open(vector.body, vector.binding, purpose)
        assert hashlib.sha256(plaintext).hexdigest() == vector.one("plaintext-sha256")
        suite = vector.body[1]
        sealed = {EpochSealer(key, suite).seal(plaintext, vector.binding, purpose) for key in keys}
        assert vector.body in sealed
    else:
        with pytest.raises(CLASSES[expect]):
            opener.open(vector.body, vector.binding, purpose)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_does_what_its_vector_expects(name):
    vector = VECTORS[name]
    if vector.one("expect") == "success":
        found = record.decode(vector.body, vector.binding)
        assert hashlib.sha256(listing(found)).hexdigest() == vector.one("plaintext-sha256")
    else:
        with pytest.raises(UnreadableError):
            record.decode(vector.body, vector.binding)

"""Proofs that an outsider checks with a public key alone, and without the log.

Inclusion: an event is in the log that a checkpoint stands for. Consistency:
the log of a later checkpoint holds all of an earlier one's, unchanged
(RFC 6962, sections 2.1.1 and 2.1.2). Form: docs/formats/audit-v1.md.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from node.audit import line as lines
from node.audit import start as starts
from node.audit.check import last_note
from node.audit.checkpoint import body_of, open_any
from node.audit.tree import (
    Leaves,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of_proof,
    roots_of_growth,
)
from node.errors import AuditError, UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from node.audit.checkpoint import Verifier

INCLUSION = "sealnode audit inclusion v1"
CONSISTENCY = "sealnode audit consistency v1"
KEYS = {
    INCLUSION: {"format", "event", "hashes", "checkpoint"},
    CONSISTENCY: {"format", "hashes", "old", "new"},
}


def prove(directory: Path, seq: int) -> dict[str, Any]:
    """Return the proof that an event is in the log of its last checkpoint.

    :raises UsageError: there is no such event, or no checkpoint over it yet.
    :raises AuditError: the log is broken.
    """
    note = _newest(directory)
    size = body_of(note).size
    start, events = starts.read(directory), _lines(directory)
    if not start.size < seq <= start.size + len(events):
        raise UsageError(
            f"the log has no event {seq}",
            hint=f"it holds {start.size + 1} to {start.size + len(events)}",
        )
    if seq > size:
        raise UsageError(f"no checkpoint is over event {seq} yet", hint="try again in a minute")
    event = events[seq - 1 - start.size]
    leaves = Leaves([leaf_hash(line) for line in events], start.tree())
    proof = inclusion_proof(leaves, seq - 1, size)
    return {
        "format": INCLUSION,
        "event": event.decode("ascii"),
        "hashes": _texts(proof),
        "checkpoint": note,
    }


def prove_growth(directory: Path, old: str, new: str = "") -> dict[str, Any]:
    """Return the proof that the log of one checkpoint grew from that of another.

    :param old: a note, kept by whoever asks.
    :param new: a note; the last one of the log if empty.
    :raises UsageError: the notes are in the wrong order, or retention removed what is needed.
    :raises AuditError: the log is cut.
    """
    new = new or _newest(directory)
    first, second = body_of(old).size, body_of(new).size
    start = starts.read(directory)
    leaves = Leaves([leaf_hash(line) for line in _lines(directory)], start.tree())
    if not 0 < first <= second:
        raise UsageError(f"the checkpoint over {second} events is not later than that over {first}")
    if second > leaves.size:
        raise AuditError(f"the log is cut; {second} events were signed, {leaves.size} are there")
    try:
        proof = consistency_proof(leaves, first, second)
    except KeyError:
        raise UsageError(
            f"retention has removed event {first}", hint="take a later checkpoint as the old one"
        ) from None
    return {"format": CONSISTENCY, "hashes": _texts(proof), "old": old, "new": new}


def check(document: object, verifiers: Sequence[Verifier]) -> dict[str, Any]:
    """Return what a proof proves.

    :param document: what :func:`prove` or :func:`prove_growth` returned.
    :raises UnreadableError: it is no proof.
    :raises AuditError: it proves nothing.
    """
    if not isinstance(document, dict) or KEYS.get(str(document.get("format"))) != set(document):
        raise UnreadableError("it is no proof of an audit log")
    texts = {key: value for key, value in document.items() if isinstance(value, str)}
    hashes = _hashes(document["hashes"])
    if len(texts) != len(document) - 1:
        raise UnreadableError("it is no proof of an audit log")
    if texts["format"] == INCLUSION:
        return _included(texts["event"], hashes, texts["checkpoint"], verifiers)
    return _grown(hashes, texts["old"], texts["new"], verifiers)


def rests_on(document: dict[str, Any], note: str, verifiers: Sequence[Verifier]) -> None:
    """Insist that a proof that was checked rests on a checkpoint of one's own.

    :raises AuditError: it rests on another one.
    """
    own = open_any(note, verifiers)
    theirs = [body_of(document[key]) for key in ("checkpoint", "old", "new") if key in document]
    if (own.size, own.root) not in [(one.size, one.root) for one in theirs]:
        raise AuditError("the proof rests on another checkpoint than yours")


def _included(
    event: str, hashes: list[bytes], note: str, verifiers: Sequence[Verifier]
) -> dict[str, Any]:
    checkpoint = open_any(note, verifiers)
    line = event.encode("ascii", "replace")
    found = lines.read(line)
    if found is None:
        raise AuditError("the proof holds no event")
    seq = found[0]
    root = root_of_proof(leaf_hash(line), seq - 1, checkpoint.size, hashes)
    if root != checkpoint.root:
        raise AuditError(f"event {seq} is not in the log of this checkpoint as it stands here")
    return {
        "proved": "inclusion", "seq": seq, "event": json.loads(line), "origin": checkpoint.origin,
        "size": checkpoint.size, "signed": checkpoint.time,
    }  # fmt: skip


def _grown(
    hashes: list[bytes], old: str, new: str, verifiers: Sequence[Verifier]
) -> dict[str, Any]:
    first, second = open_any(old, verifiers), open_any(new, verifiers)
    roots = None
    if 0 < first.size <= second.size:
        roots = roots_of_growth(first.size, second.size, first.root, hashes)
    if roots != (first.root, second.root):
        raise AuditError("the later log does not hold the earlier one unchanged")
    return {
        "proved": "consistency", "origin": second.origin, "old_size": first.size,
        "size": second.size, "old_signed": first.time, "signed": second.time,
    }  # fmt: skip


def _newest(directory: Path) -> str:
    note = last_note(directory)
    if not note:
        raise AuditError("the log has no checkpoint")
    return note


def _lines(directory: Path) -> list[bytes]:
    """Return the whole lines of a log."""
    found: list[bytes] = []
    for path in starts.files(directory, ".jsonl"):
        found += path.read_bytes().split(b"\n")[:-1]
    return found


def _texts(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(item).decode("ascii") for item in hashes]


def _hashes(texts: object) -> list[bytes]:
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        with suppress(ValueError):
            return [base64.b64decode(text, validate=True) for text in texts]
    raise UnreadableError("it is no proof of an audit log")

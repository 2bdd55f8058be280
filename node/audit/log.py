"""The audit log: JSON lines, one file a day, chained, with signed checkpoints.

An event is in the ledger's outbox until it is here and durable. A crash between
the two brings it twice: the second time is recognised by its number. What a
crash left half written at the end is written again from the outbox, but only
what was never drained; anything else that does not fit stops the log, since
then somebody else has written in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.audit import line as lines
from node.audit import start as starts
from node.audit.check import EVENTS_PER_CHECKPOINT, last_note
from node.audit.checkpoint import Verifier, open_any
from node.audit.tree import Tree, leaf_hash
from node.errors import AuditError, ConfigError, SpoolFullError
from node.failpoint import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from node.audit.checkpoint import Checkpoint, Signer
    from node.types import Event

CHECKPOINT_SECONDS = 60.0


@dataclass
class _State:
    """How far the log goes: the number of its last event, and what goes on from there."""

    tree: Tree = field(default_factory=Tree)
    prev: str = lines.FIRST
    day: str = ""
    offset: int = 0  # where the next line begins in the file of that day
    torn: bool = False  # what stands there is no line that follows


class JsonLog:
    """An :class:`~node.audit.base.AuditSink` in one folder. One process may write it.

    :param signer: signs the checkpoints; without one there are none.
    :param former: public keys of those who signed before.
    :param clock: seconds since the epoch, for the time of checkpoints.
    :raises ConfigError: another process writes this log.
    """

    def __init__(
        self,
        directory: Path,
        *,
        signer: Signer | None = None,
        former: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._signer = signer
        self._former = tuple(former)
        self._clock = clock
        self._waiting: list[bytes] = []
        self._known: dict[int, bytes] = {}
        self._state: _State | None = None  # read when it is needed, and after a failure
        self._sick = False
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(directory.parent)
        self._lock = _open(directory / "lock", os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigError([f"{directory}: another process writes this audit log"]) from None
        self._signed, self._signed_at = 0, -CHECKPOINT_SECONDS

    def append(self, seq: int, ts: float, event: Event) -> None:
        """Append one event; appending a ``seq`` that is there already is no error.

        :raises AuditError: it is not the next one, or another one has its number.
        :raises SpoolFullError: the disk refuses.
        """
        state = self._state = self._state or self._resume()
        if state.torn and seq <= state.tree.size + 1:
            self._cut(state)
        if seq <= state.tree.size:
            self._expect(seq, ts, event)
            return
        if seq > state.tree.size + 1:
            raise AuditError(
                f"the audit log ends at event {state.tree.size}, the ledger goes on at {seq}",
                hint="put the missing files back; see the manual on a broken audit log",
            )
        self._known.clear()
        day = max(state.day, lines.timestamp(ts)[:10])  # a clock set back opens no old file
        if day != state.day or self._unsigned(state) >= EVENTS_PER_CHECKPOINT:
            self._store(state)
            self._sign(state)
        if day != state.day:
            state.day, state.offset = day, 0
        text = lines.write(seq, ts, event, state.prev)
        state.prev = lines.link(text)
        state.tree.append(leaf_hash(text))
        self._waiting.append(text + b"\n")

    def last(self) -> int:
        """Return the number of the last event, 0 if there is none."""
        self._state = self._state or self._resume()
        return self._state.tree.size

    def flush(self) -> None:
        """Make everything appended durable, and sign a checkpoint if it is time.

        :raises SpoolFullError: the disk refuses.
        """
        state = self._state
        if state is None or state.torn:
            return
        self._store(state)
        waited = abs(self._clock() - self._signed_at)
        if waited >= CHECKPOINT_SECONDS or self._unsigned(state) >= EVENTS_PER_CHECKPOINT:
            self._sign(state)

    def close(self) -> None:
        """Make all durable, sign it, and let another process write the log."""
        state = self._state
        try:
            if state is not None and not state.torn:
                self._store(state)
                self._sign(state)
        finally:
            os.close(self._lock)

    # Writing --------------------------------------------------------------

    def _unsigned(self, state: _State) -> int:
        return 0 if self._signer is None else state.tree.size - self._signed

    def _store(self, state: _State) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._write(self._directory / f"{state.day}.jsonl", data)
            state.offset += len(data)
            self._waiting.clear()

    def _sign(self, state: _State) -> None:
        if self._signer is not None and self._unsigned(state):
            now = self._clock()
            reach("audit.signing")
            note = self._signer.sign(state.tree.size, state.tree.root(), lines.timestamp(now))
            self._write(self._directory / f"{state.day}.notes", f"{note}\n".encode())
            reach("audit.signed")
            self._signed, self._signed_at = state.tree.size, now
            self._remember(state)

    def _write(self, path: Path, data: bytes) -> None:
        """Append to a file, durably; where that fails, begin again from what the disk holds."""
        if self._sick:
            raise SpoolFullError("the disk of the audit log failed to write", code="spool_sick")
        new = not path.exists()
        try:
            descriptor = _open(path, os.O_WRONLY | os.O_APPEND)
            try:
                reach("audit.writing")
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                reach("audit.written")
                self._sync(descriptor)
                reach("audit.synced")
            finally:
                os.close(descriptor)
            if new:
                _sync_folder(self._directory)
        except OSError as error:
            self._state = None
            self._waiting.clear()
            raise SpoolFullError("the disk of the audit log refuses to write") from error

    def _sync(self, descriptor: int) -> None:
        try:
            os.fdatasync(descriptor)
        except OSError:
            self._sick = True  # asking again would be answered yes without writing
            raise

    def _cut(self, state: _State) -> None:
        """Take away what a crash left half written; the outbox brings it again."""
        for path in self._files():
            if path.stem > state.day:
                path.unlink()
            elif path.stem == state.day:
                os.truncate(path, state.offset)
        _sync_folder(self._directory)
        state.torn = False

    def _expect(self, seq: int, ts: float, event: Event) -> None:
        """See that an event that comes again is the one that is there."""
        if seq not in self._known:
            self._known = self._since(seq)
        text = self._known[seq]
        found = lines.read(text)
        if found is None or lines.write(seq, ts, event, found[1]) != text:
            raise AuditError(
                f"event {seq} of the ledger is not the one in the audit log",
                hint="was one of the two restored from a backup?",
            )

    def _since(self, seq: int) -> dict[int, bytes]:
        """Return the lines from a number on."""
        known = {}
        texts = [text.removesuffix(b"\n") for text in self._waiting]
        for path in reversed(self._files()):
            texts = path.read_bytes().splitlines() + texts
            first = lines.read(texts[0]) if texts else None
            if first is not None and first[0] <= seq:
                break
        for text in texts:
            found = lines.read(text)
            if found is not None and found[0] >= seq:
                known[found[0]] = text
        return known

    def _files(self) -> list[Path]:
        return starts.files(self._directory, ".jsonl")

    # Resuming -------------------------------------------------------------

    def _resume(self) -> _State:
        """Read how far the log goes.

        :raises AuditError: it was cut before its last checkpoint, or that is not ours.
        """
        _mend_notes(self._directory)
        checkpoint = self._last_checkpoint()
        self._signed = checkpoint.size if checkpoint else 0
        start = starts.read(self._directory)
        state = self._recall(checkpoint) or _State(start.tree(), start.prev)
        first = state.day
        for path in self._files():
            if path.stem >= first and not state.torn:
                if path.stem != state.day:
                    state.day, state.offset = path.stem, 0
                _follow(path, state)
        if state.tree.size < self._signed:
            raise AuditError(f"the audit log is cut; {self._signed} events were signed")
        return state

    def _last_checkpoint(self) -> Checkpoint | None:
        note = last_note(self._directory)
        if not note or self._signer is None:
            return None
        return open_any(note, [Verifier(key) for key in (self._signer.public_key, *self._former)])

    def _remember(self, state: _State) -> None:
        """Keep what the next start needs, so that it need not read the whole log.

        It may be lost, or be wrong: the last checkpoint must vouch for it.
        """
        memory = {
            "size": state.tree.size,
            "edge": [item.hex() for item in state.tree.edge],
            "prev": state.prev,
            "day": state.day,
            "offset": state.offset,
        }
        path = self._directory / "resume.json"
        fresh = path.with_suffix(".new")
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
            descriptor = _open(fresh, os.O_WRONLY)
            os.write(descriptor, json.dumps(memory).encode("ascii"))
            os.close(descriptor)
            fresh.replace(path)

    def _recall(self, checkpoint: Checkpoint | None) -> _State | None:
        """Return what was remembered if the last checkpoint vouches for it."""
        path = self._directory / "resume.json"
        try:
            memory = json.loads(path.read_text(encoding="ascii"))
            tree = Tree(memory["size"], [bytes.fromhex(item) for item in memory["edge"]])
            state = _State(tree, memory["prev"], memory["day"], memory["offset"])
            length = (self._directory / f"{state.day}.jsonl").stat().st_size
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if checkpoint is None or (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            return None
        if length < state.offset:
            return None
        return state


def _follow(path: Path, state: _State) -> None:
    """Go on through a file as long as one line follows the other."""
    with path.open("rb") as file:
        file.seek(state.offset)
        for raw in file:
            text = raw.removesuffix(b"\n")
            if raw == text or lines.read(text) != (state.tree.size + 1, state.prev):
                state.torn = True
                return
            state.prev = lines.link(text)
            state.tree.append(leaf_hash(text))
            state.offset += len(raw)


def _mend_notes(directory: Path) -> None:
    """Take away a note that a crash left half written; its events are there to be signed."""
    for path in sorted(directory.glob("*.notes"))[-1:]:
        data = path.read_bytes()
        parts = data.split(b"\n\n")
        whole = b"".join(part + b"\n\n" for part in parts[: (len(parts) - 1) // 2 * 2])
        if whole != data:
            os.truncate(path, len(whole))


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; one that we may not open has another owner's names."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

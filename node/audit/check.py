"""Proof that nothing in an audit log was changed, moved, left out or cut.

Each line names the hash of the one before it, so that a change shows at the
next line. Each signed checkpoint fixes all lines before it, so that a change
shows even where every later line was made to fit. What was cut after the last
checkpoint shows only beside a copy of a later one, kept elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.audit import line as lines
from node.audit import start as starts
from node.audit.checkpoint import Checkpoint, Verifier, open_any
from node.audit.tree import leaf_hash
from node.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EVENTS_PER_CHECKPOINT = 1000  # at most so many lines are without one


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    :param events: lines that are sound, those included that retention removed.
    :param files: files that hold them.
    :param checkpoints: notes with a good signature.
    :param signed: events before the last of them: nothing of these can have changed.
    :param expired: events that retention removed, as the log itself tells.
    :param witnessed: checkpoints kept elsewhere that agree.
    :param first_bad: number of the first event that is not as it was written, 0 if none.
    :param problem: what is wrong with it, or "".
    """

    events: int
    files: int
    checkpoints: int
    signed: int
    first_bad: int = 0
    problem: str = ""
    expired: int = 0
    witnessed: int = 0

    def insist(self) -> None:
        """Let nothing pass but a sound log.

        :raises AuditError: it is broken; names the first bad event.
        """
        if self.problem:
            raise AuditError(
                f"the audit log is broken at event {self.first_bad}: {self.problem}",
                hint="keep a copy of the files as they are, then look for who could write them",
            )


def verify(directory: Path, *public_keys: str, witnessed: Iterable[str] = ()) -> Report:
    """Read a whole log and say whether all of it is as it was written.

    :param public_keys: of those who signed its checkpoints, one of which must
        be good for each; without any only the chain is proved.
    :param witnessed: notes that were kept elsewhere; the log must agree with each.
    :raises ConfigError: a text is no public key.
    """
    return _Check([Verifier(key) for key in public_keys]).run(directory, witnessed)


def notes(directory: Path) -> Iterator[str]:
    """Yield the notes of a log, the oldest first.

    :raises AuditError: a file of notes does not end with a whole one.
    """
    for path in starts.files(directory, ".notes"):
        yield from notes_of(path)


def last_note(directory: Path) -> str:
    """Return the newest note of a log, or "" if there is none.

    :raises AuditError: a file of notes does not end with a whole one.
    """
    for path in reversed(starts.files(directory, ".notes")):
        found = list(notes_of(path))
        if found:
            return found[-1]
    return ""


def notes_of(path: Path) -> Iterator[str]:
    """Return the notes of one file.

    :raises AuditError: it does not end with a whole one.
    """
    parts = path.read_bytes().decode(errors="replace").split("\n\n")
    if parts.pop() or len(parts) % 2:
        raise AuditError("a checkpoint is incomplete")
    return (f"{a}\n\n{b}\n" for a, b in zip(parts[::2], parts[1::2], strict=True))


class _Check:
    def __init__(self, verifiers: list[Verifier]) -> None:
        self._verifiers = verifiers
        self._start = starts.Start()
        self._told = True  # the log tells why it does not begin with event 1
        self._tree = self._start.tree()
        self._prev = self._start.prev
        self._files = 0
        self._seen = 0
        self._signed = 0
        self._witnessed = 0
        self._doubt: _BrokenError | None = None  # until the next line's link has been seen

    def run(self, directory: Path, witnessed: Iterable[str]) -> Report:
        try:
            self._begin(starts.read(directory))
            own = self._open(notes(directory)) if self._verifiers else []
            kept = self._open(witnessed) if self._verifiers else []
            kept = [checkpoint for checkpoint in kept if checkpoint.size >= self._start.size]
            self._witnessed = len(kept)
            checkpoints = sorted(own + kept, key=lambda checkpoint: -checkpoint.size)
            self._seen = -len(kept)
            while checkpoints and checkpoints[-1].size <= self._start.size:
                self._compare(checkpoints.pop())
            for path in starts.files(directory, ".jsonl"):
                self._read(path, checkpoints)
                self._files += 1
            self._end(checkpoints)
        except _BrokenError as found:
            return self._report(found.seq, str(found))
        except AuditError as found:
            return self._report(self._tree.size + 1, str(found))
        return self._report(0, "")

    def _report(self, first_bad: int, problem: str) -> Report:
        return Report(
            events=self._tree.size, files=self._files, checkpoints=max(self._seen, 0),
            signed=self._signed, first_bad=first_bad, problem=problem,
            expired=self._start.size, witnessed=0 if problem else self._witnessed,
        )  # fmt: skip

    def _begin(self, start: starts.Start) -> None:
        """Go on from what retention has left of the events before."""
        self._start, self._told = start, start.size == 0
        self._tree, self._prev, self._signed = start.tree(), start.prev, start.size
        if start.note and self._verifiers:
            vouched = open_any(start.note, self._verifiers)
            if (vouched.size, vouched.root) != (start.size, self._tree.root()):
                raise _BrokenError(start.size, f"{starts.NAME} is not what was signed")

    def _open(self, found_notes: Iterable[str]) -> list[Checkpoint]:
        """Return checkpoints, which must be in the order of their sizes."""
        found: list[Checkpoint] = []
        for note in found_notes:
            before = found[-1].size if found else 0
            try:
                checkpoint = open_any(note, self._verifiers)
            except AuditError as error:
                raise _BrokenError(before + 1, f"after it {error}") from error
            if checkpoint.size < before:
                raise _BrokenError(
                    checkpoint.size + 1, "a checkpoint is smaller than one before it"
                )
            found.append(checkpoint)
        return found

    def _read(self, path: Path, checkpoints: list[Checkpoint]) -> None:
        with path.open("rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    return  # being written, or cut: the checkpoints tell
                self._take(raw[:-1])
                while checkpoints and checkpoints[-1].size == self._tree.size:
                    self._compare(checkpoints.pop())
                if self._verifiers and self._tree.size - self._signed > EVENTS_PER_CHECKPOINT:
                    raise _BrokenError(self._signed + 1, "no checkpoint follows it in time")

    def _take(self, raw: bytes) -> None:
        if not lines.follows(raw, self._tree.size + 1, self._prev):
            self._diagnose(raw, self._tree.size + 1)
        if self._doubt is not None:
            raise self._doubt
        self._told = self._told or self._start.told_by(raw)
        self._prev = lines.link(raw)
        self._tree.append(leaf_hash(raw))

    def _diagnose(self, raw: bytes, expected: int) -> None:
        found = lines.read(raw)
        if found is None:
            raise _BrokenError(expected, "its line has not the form of an event")
        seq, prev = found
        if seq > expected:
            raise _BrokenError(expected, f"it is missing; event {seq} stands in its place")
        if seq < expected:
            raise _BrokenError(expected, f"event {seq} stands in its place")
        if prev != self._prev:
            raise _BrokenError(max(expected - 1, 1), "it is not what the next one says it was")

    def _compare(self, checkpoint: Checkpoint) -> None:
        if checkpoint.root != self._tree.root():
            self._doubt = self._doubt or _BrokenError(
                self._signed + 1,
                f"one of the events up to {checkpoint.size} is not what was signed",
            )
            return
        self._seen += 1
        self._signed = checkpoint.size

    def _end(self, checkpoints: list[Checkpoint]) -> None:
        if self._doubt is not None:
            raise self._doubt
        if checkpoints:
            raise _BrokenError(
                self._tree.size + 1, f"the log is cut; {checkpoints[0].size} were signed"
            )
        if self._verifiers and self._tree.size and not self._signed:
            raise _BrokenError(1, "there is no checkpoint")
        if not self._told:
            raise _BrokenError(1, "it and what follows are gone, and no event tells of it")


class _BrokenError(AuditError):
    def __init__(self, seq: int, problem: str) -> None:
        super().__init__(problem)
        self.seq = seq

"""Where the process that talks to workstations asks what is true of a file.

Whoever listens to the network holds no keys. It asks over a socket in the
state folder, one line of JSON there and one back; the file lies in a folder
that both know. The answers are :mod:`node.retrieval.witness`'s.

SECURITY: only the node's user reaches the socket.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog

from node.errors import SealnodeError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_LINE = 65536  # bytes
WAIT_SECONDS = 0.5  # how long a stop may go unnoticed
ANSWER_SECONDS = 300.0  # for the largest object

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    :param name: of the file, below the folder for what was retrieved.
    :param workstation: that it is for; ``""`` for nobody who gets originals.
    """

    name: str
    destination: str
    workstation: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is answered.

    :param standing: ``"proven"``, ``"changed"``, or ``"unsealed"``: nothing of
        ours, as far as anybody knows.
    :param verdict: a word of :class:`VerdictKind`.
    :param coerced: keywords of header attributes that differ.
    :param evidence: SHA-256 of what was kept for a person, or ``""``.
    :param restored: name of the original's file, or ``""``.
    """

    standing: str
    verdict: str
    reason: str = ""
    coerced: tuple[str, ...] = ()
    modality: str = ""
    evidence: str = ""
    restored: str = ""


@dataclass(frozen=True, slots=True)
class Naming:
    """What objects are called where they are kept is asked.

    :param uids: as they were received.
    :param workstation: that asks; the answer is for those who may have originals.
    """

    uids: tuple[str, ...]
    workstation: str


class Desk:
    """Where questions are put: a socket that only the node's user reaches.

    :param path: of the socket; one that a dead process left is taken over.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(64)
        self._socket.settimeout(WAIT_SECONDS)

    def serve(
        self,
        answer: Callable[[Question], Opinion],
        rename: Callable[[Naming], dict[str, str]] = lambda _: {},
    ) -> int:
        """Answer one question, if one comes soon; return how many were answered.

        :param rename: says what objects are called where they are kept.
        """
        try:
            asking, _ = self._socket.accept()
        except TimeoutError:
            return 0
        with asking:
            asking.settimeout(WAIT_SECONDS)
            try:
                asked = json.loads(_line(asking))
                if "uids" in asked:
                    said = json.dumps(rename(Naming(tuple(asked["uids"]), asked["workstation"])))
                else:
                    said = json.dumps(asdict(answer(Question(**asked))))
            except (OSError, ValueError, TypeError) as error:
                log.warning("question_refused", code=type(error).__name__)
                return 1
            except SealnodeError as error:
                log.warning("question_refused", code=error.code)
                said = json.dumps({"error": error.code})
            try:
                asking.sendall(said.encode() + b"\n")
            except OSError:
                log.warning("question_refused", code="gone")
        return 1

    def close(self) -> None:
        """Take no more questions."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ask(path: Path, question: Question) -> Opinion:
    """Ask whoever sits at a desk.

    :raises UnreachableError: nobody does, or the question cannot be answered.
    """
    said = _asked(path, asdict(question))
    return Opinion(**said | {"coerced": tuple(said["coerced"])})


def ask_names(path: Path, naming: Naming) -> dict[str, str]:
    """Return what objects are called where they are kept, by the UIDs that were asked for.

    :raises UnreachableError: as :func:`ask`.
    """
    return {str(one): str(other) for one, other in _asked(path, asdict(naming)).items()}


def _asked(path: Path, question: dict[str, Any]) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as desk:
            desk.settimeout(ANSWER_SECONDS)
            desk.connect(str(path))
            desk.sendall(json.dumps(question).encode() + b"\n")
            said: dict[str, Any] = json.loads(_line(desk))
    except (OSError, ValueError) as error:
        raise UnreachableError(
            "nobody verifies: the verify stage must run", code="no_witness"
        ) from error
    if "error" in said:
        raise UnreachableError("it could not be verified", code=said["error"])
    return said


def _line(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        more = peer.recv(MAX_LINE)
        if not more or len(data) > MAX_LINE:
            raise ValueError("no line")
        data += more
    return data

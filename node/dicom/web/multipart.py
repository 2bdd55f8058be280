"""Multipart messages of one part (RFC 2046 5.1, RFC 2387), in pieces as they come and go."""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING, BinaryIO

from node.errors import DamagedError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_BOUNDARY = 70  # characters: RFC 2046 5.1.1
MAX_HEADER = 1 << 16  # bytes before a part's content
CHUNK = 1 << 18


class Framed:
    """A body with one part, whose content is read from a file as it goes out.

    :param boundary: must not stand in the content: random, for content that
        others have a hand in.
    :param moved: told from time to time how many bytes went out.
    """

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        *,
        boundary: str,
        media_type: str,
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._head = f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode("ascii")
        self._tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        self._file = file
        self._size = size
        self._left = size
        self._moved = moved
        self._pieces = iter(self)
        self.content_type = f'multipart/related; type="{media_type}"; boundary="{boundary}"'

    def __len__(self) -> int:
        """Return its length in bytes."""
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield its pieces, once.

        :raises DamagedError: the file is shorter than it was.
        """
        yield self._head
        while self._left:
            piece = self._file.read(min(CHUNK, self._left))
            if not piece:
                raise DamagedError("the object to send is shorter than it was", code="missing")
            self._left -= len(piece)
            self._moved(self._size - self._left)
            yield piece
        yield self._tail

    def read(self, _size: int = -1) -> bytes:
        """Return the next piece, whatever its size; ``b""`` at the end."""
        return next(self._pieces, b"")


def boundary_of(content_type: str) -> bytes:
    """Return what stands between the parts, ``b""`` for a message that is its one part.

    :raises UnreadableError: it is neither multipart/related nor one DICOM object.
    """
    message = Message()
    message["Content-Type"] = content_type
    kind = message.get_content_type()
    if kind == "application/dicom":
        return b""
    found = message.get_param("boundary")
    if kind != "multipart/related" or not isinstance(found, str) or not found.isascii():
        raise UnreadableError("the answer is no DICOM object", code="content_type")
    if not 0 < len(found) <= MAX_BOUNDARY:
        raise UnreadableError("the answer has no boundary", code="content_type")
    return found.encode("ascii")


def unframe(pieces: Iterable[bytes], boundary: bytes, write: Callable[[bytes], object]) -> None:
    """Write the content of a message's one part; of the whole message for no boundary.

    :raises UnreadableError: the message is malformed, has no or several parts, or is cut off.
    """
    if not boundary:
        for piece in pieces:
            write(piece)
        return
    delimiter = b"\r\n--" + boundary
    coming = iter(pieces)
    held = _content(coming, delimiter)
    while (end := held.find(delimiter)) < 0:
        keep = len(held) - len(delimiter) + 1  # a delimiter may have begun in the rest
        if keep > 0:
            write(held[:keep])
            held = held[keep:]
        held += _next(coming)
    write(held[:end])
    rest = held[end + len(delimiter) :]
    while len(rest) < len(b"--"):
        rest += _next(coming)
    if not rest.startswith(b"--"):
        raise UnreadableError("the answer has several parts", code="several")
    for _ in coming:  # an epilogue has no meaning
        pass


def _content(coming: Iterator[bytes], delimiter: bytes) -> bytes:
    """Return the beginning of the content, after delimiter and header fields."""
    held = b"\r\n"  # the first delimiter may stand at the very beginning
    while True:
        start = held.find(delimiter)
        end = held.find(b"\r\n\r\n", start) if start >= 0 else -1
        if end >= 0:
            return held[end + 4 :]
        if len(held) > MAX_HEADER:
            raise UnreadableError("the answer has no parts", code="multipart")
        held += _next(coming)


def _next(coming: Iterator[bytes]) -> bytes:
    for piece in coming:
        if piece:
            return piece
    raise UnreadableError("the answer is cut off", code="cut_off")

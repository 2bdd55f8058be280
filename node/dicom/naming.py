"""The UIDs that a query names: other names added, and put back into the answers.

An identifier that is malformed is passed on as it is: who gets it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.dicom import reader
from node.dicom.elements import element_bytes
from node.dicom.headers import assemble
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def with_aliases(
    keys: Mapping[str, tuple[str, ...]], aliases: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the unique keys of a request with other names of the same objects added."""
    return {key: _widened(values, aliases) if key in NAMED else values
            for key, values in keys.items()}  # fmt: skip


def widened(identifier: bytes, transfer_syntax_uid: str, aliases: Mapping[str, str]) -> bytes:
    """Return an identifier that asks for objects by other names, too (PS3.4 C.2.2.2.2)."""
    return _changed(identifier, transfer_syntax_uid, lambda uids: _widened(uids, aliases))


def renamed(identifier: bytes, transfer_syntax_uid: str, names: Mapping[str, str]) -> bytes:
    """Return an answer that calls objects by the names that they were asked for."""
    return _changed(
        identifier, transfer_syntax_uid, lambda uids: tuple(names.get(uid, uid) for uid in uids)
    )


def _widened(uids: tuple[str, ...], aliases: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*uids, *(aliases[uid] for uid in uids if uid in aliases)]))


def _changed(
    identifier: bytes,
    transfer_syntax_uid: str,
    change: Callable[[tuple[str, ...]], tuple[str, ...]],
) -> bytes:
    try:
        obj = reader.read_dataset(identifier, transfer_syntax_uid)
        changes: dict[int, bytes | None] = {}
        for keyword in NAMED:
            uids = obj.texts(keyword)
            if uids and (new := change(uids)) != uids:
                value = "\\".join(new).encode("ascii")
                tag = reader.tag_of(keyword)
                value += b"\0" * (len(value) % 2)
                changes[tag] = element_bytes(tag, "UI", value, obj.encoding)
        return b"".join(assemble(obj, changes)) if changes else identifier
    except (UnreadableError, UnsealableError):
        return identifier

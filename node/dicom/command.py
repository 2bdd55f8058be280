"""Command sets (group 0000), PS3.7 chapter 6 and 9.3: always implicit VR little endian."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node.errors import SealnodeError

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_GET_RSP = 0x8010
C_MOVE_RSP = 0x8021
PENDING = frozenset({0xFF00, 0xFF01})  # PS3.7 C.1.3
NO_DATA_SET = 0x0101

_CLASS = 0x0002
_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_RESPONDED_TO = 0x0120
_PRIORITY = 0x0700
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_COMMENT = 0x0902
_INSTANCE = 0x1000
_ORIGINATOR = 0x1030
_ORIGINATOR_ID = 0x1031
_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")


class ViolationError(SealnodeError):
    """The peer breaks the protocol; the association is aborted.

    :param reason: of the A-ABORT, PS3.8 Table 9-26.
    """

    code = "violation"

    def __init__(self, message: str, *, code: str, reason: int = 6) -> None:
        super().__init__(message, code=code)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Command:
    """What the node needs to know of a command set.

    A UID that is not ASCII reads as characters that no UID may have.
    """

    field: int
    message_id: int
    has_data: bool
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    status: int | None = None

    @property
    def is_response(self) -> bool:
        """Whether it answers a request: PS3.7 E.1."""
        return bool(self.field & 0x8000)

    @property
    def is_progress(self) -> bool:
        """Whether it only counts what a retrieval that goes on has done (PS3.4 C.4.2.1.5)."""
        return self.field in {C_GET_RSP, C_MOVE_RSP} and self.status in PENDING


def decode(data: bytes | bytearray) -> Command:
    """Read a command set.

    :raises ViolationError: it is malformed, or lacks what every command has.
    """
    values: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + _ELEMENT.size > len(data):
            raise ViolationError("a command set is cut off", code="command")
        group, element, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group != 0 or element in values or at + length > len(data):
            raise ViolationError("a command set is malformed", code="command")
        values[element] = bytes(data[at : at + length])
        at += length
    field = _number(values, _FIELD)
    message_id = _number(values, _MESSAGE_ID if _MESSAGE_ID in values else _RESPONDED_TO)
    kind = _number(values, _DATA_SET_TYPE)
    if field is None or message_id is None or kind is None:
        raise ViolationError("a command set lacks a mandatory element", code="command")
    return Command(
        field=field,
        message_id=message_id,
        has_data=kind != NO_DATA_SET,
        sop_class_uid=_uid(values, _CLASS),
        sop_instance_uid=_uid(values, _INSTANCE),
        status=_number(values, _STATUS),
    )


def c_store_rq(
    message_id: int,
    sop_class_uid: str,
    sop_instance_uid: str,
    priority: int,
    *,
    originator: tuple[str, int] | None = None,
) -> bytes:
    """Return a C-STORE-RQ, PS3.7 Table 9.3-1.

    :param priority: 0 medium, 1 high, 2 low.
    :param originator: AE title and message ID of the C-MOVE that caused it.
    """
    elements = [
        (_CLASS, _padded(sop_class_uid)),
        (_FIELD, _US.pack(C_STORE_RQ)),
        (_MESSAGE_ID, _US.pack(message_id)),
        (_PRIORITY, _US.pack(priority)),
        (_DATA_SET_TYPE, _US.pack(0x0001)),
        (_INSTANCE, _padded(sop_instance_uid)),
    ]
    if originator is not None:
        aet, move_id = originator
        elements += [(_ORIGINATOR, _text(aet)), (_ORIGINATOR_ID, _US.pack(move_id))]
    return _encode(*elements)


def c_store_rsp(request: Command, status: int, comment: str = "") -> bytes:
    """Return a C-STORE-RSP, PS3.7 Table 9.3-2; UIDs are echoed if they are ASCII."""
    elements = [
        (_CLASS, _padded(request.sop_class_uid)),
        (_FIELD, _US.pack(C_STORE_RSP)),
        (_RESPONDED_TO, _US.pack(request.message_id)),
        (_DATA_SET_TYPE, _US.pack(NO_DATA_SET)),
        (_STATUS, _US.pack(status)),
    ]
    if comment:
        elements.append((_COMMENT, _text(comment)))
    elements.append((_INSTANCE, _padded(request.sop_instance_uid)))
    return _encode(*elements)


def pdus(context_id: int, data: bytes, max_pdu: int, *, command: bool) -> bytes:
    """Return ``data`` as P-DATA-TF PDUs with one fragment each (PS3.8 9.3.5, Annex E).

    :param max_pdu: the peer's, 0 for no limit.
    """
    room = max_pdu - 6 if max_pdu else max(len(data), 1)
    starts = range(0, max(len(data), 1), room)
    pieces = [(data[at : at + room], at == starts[-1]) for at in starts]
    return b"".join(
        p_data_header(context_id, len(piece), command=command, last=last) + piece
        for piece, last in pieces
    )


def p_data_header(context_id: int, length: int, *, command: bool, last: bool) -> bytes:
    """Return the 12 bytes that stand before a fragment of ``length`` bytes."""
    return struct.pack(">BBIIBB", 4, 0, length + 6, length + 2, context_id, command | last << 1)


def _encode(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(_ELEMENT.pack(0, element, len(v)) + v for element, v in elements)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def _text(text: str) -> bytes:
    value = text.encode("ascii", "replace")
    return value + b" " * (len(value) % 2)


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    return value + b"\0" * (len(value) % 2)


def _number(values: dict[int, bytes], element: int) -> int | None:
    value = values.get(element, b"")
    return _US.unpack(value)[0] if len(value) == _US.size else None


def _uid(values: dict[int, bytes], element: int) -> str:
    # PS3.5 9.1 pads with one NUL; spaces come from senders that know no better
    return values.get(element, b"").decode("latin-1").rstrip("\0 ")

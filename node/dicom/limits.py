"""How much a peer may ask for, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

MIN_PDU = 128  # bytes; a peer that takes less cannot even be sent a command in one PDU


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every association, inward and outward.

    Times are seconds, sizes bytes. Nothing is read before its length was
    compared with one of these, and no wait is without an end.

    :param associations: established at once; one more is rejected (transient).
    :param per_address: of these from one address.
    :param pending: connections that have not yet shown a valid A-ASSOCIATE-RQ;
        one more takes the place of the oldest.
    :param pending_per_address: of these from one address.
    :param connect: to reach a peer, TCP alone.
    :param handshake: for TLS.
    :param request: from connection (after TLS) to the whole A-ASSOCIATE-RQ, and
        for the answer to ours.
    :param header: for the rest of a PDU header after its first byte.
    :param grace: for a PDU, and between the PDUs of a message, before
        ``min_rate`` (bytes per second) is asked for.
    :param idle: between two messages.
    :param send: without a byte being taken by the peer.
    :param linger: for the peer to close after the last PDU.
    :param max_pdu: of a P-DATA-TF, offered in the negotiation.
    :param max_request: of an A-ASSOCIATE-RQ or -AC.
    :param max_command: of a command set.
    :param max_message: of a data set that is held in memory (not C-STORE's).
    :param max_object: of a data set that is stored.
    """

    associations: int = 64
    per_address: int = 32
    pending: int = 128
    pending_per_address: int = 32
    connect: float = 10.0
    handshake: float = 5.0
    request: float = 10.0
    header: float = 10.0
    grace: float = 30.0
    min_rate: float = 8192.0
    idle: float = 300.0
    send: float = 30.0
    linger: float = 1.0
    max_pdu: int = 131072
    max_request: int = 262144
    max_command: int = 16384
    max_message: int = 1 << 20
    max_object: int = 4 << 30

"""TLS contexts by PS3.15 B.12: BCP 195 (RFC 8996, RFC 9325), TLS 1.2 and 1.3."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, cast

from node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# RFC 9325 4.2: forward secrecy and AEAD only; TLS 1.3 has its own list
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL:!PSK"


def server_context(certificate: Path, key: Path, *, peers: Path | None = None) -> ssl.SSLContext:
    """Return the context of the SCP.

    :param peers: certificates (PEM) of the authorities whose clients are let
        in; with it, TLS is mutual: a client without a certificate is refused.
    :raises ConfigError: a file cannot be read or holds no certificate or key.
    """
    context = _harden(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _load(context, certificate, key)
    if peers is not None:
        _trust(context, peers)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    authorities: Path | None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return the context of the SCU; the server's name is always checked.

    :param authorities: certificates (PEM) that the server's must chain to; None for
        those that this machine trusts.
    :param certificate: what the node shows to a server that asks.
    :raises ConfigError: a file cannot be read or holds no certificate or key.
    """
    context = _harden(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, authorities)
    if certificate is not None:
        _load(context, certificate, key or certificate)
    return context


def names(peer: ssl.SSLSocket) -> tuple[str, ...]:
    """Return the names in a peer's verified certificate: DNS, IP and common name."""
    found = peer.getpeercert()
    if not found:
        return ()
    # the stub of getpeercert() cannot say which field has which shape
    fields = cast("dict[str, Any]", found)
    alternative = [value for _, value in fields.get("subjectAltName", ())]
    subject = [
        value for part in fields.get("subject", ()) for name, value in part if name == "commonName"
    ]
    return tuple(dict.fromkeys([*alternative, *subject]))


def _harden(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError([f"{certificate}: no usable certificate and key"]) from error


def _trust(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except OSError as error:
        raise ConfigError([f"{authorities}: no usable certificates"]) from error

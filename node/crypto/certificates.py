"""When certificates expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def expiry(path: Path) -> float:
    """Return when the first certificate of a PEM file expires, as seconds since 1970.

    :raises ConfigError: the file cannot be read or holds no certificate.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: no usable certificates"]) from error
    return min(certificate.not_valid_after_utc.timestamp() for certificate in found)

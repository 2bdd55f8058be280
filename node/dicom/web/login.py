"""What a DICOMweb service is told of who we are (RFC 6750, RFC 7617).

SECURITY: the secret is read from its file for each request, so that whoever
renews it need not tell us, and is kept nowhere.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.types import Destination

MAX_SECRET = 16384  # bytes


def authorization(destination: Destination) -> Callable[[], str]:
    """Return what gives the value of the Authorization header; ``""`` for none.

    It raises UnreachableError where the file cannot be read, or holds what no
    header may hold.
    """
    if destination.token:
        return lambda: f"Bearer {_token(destination.token)}"
    if destination.user:
        return lambda: f"Basic {_encoded(destination.user, destination.password)}"
    return lambda: ""


def _encoded(user: str, path: str) -> str:
    return base64.b64encode(f"{user}:{_secret(path)}".encode()).decode("ascii")


def _token(path: str) -> str:
    found = _secret(path)
    if not found.isascii() or " " in found:
        raise UnreachableError("the file of the token holds none", code="secret")
    return found


def _secret(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            found = file.read(MAX_SECRET).rstrip(b"\r\n").decode("utf-8")
    except (OSError, ValueError):
        raise UnreachableError("the secret for the archive cannot be read", code="secret") from None
    if not found or not found.isprintable():
        raise UnreachableError("the file of the secret holds none", code="secret")
    return found

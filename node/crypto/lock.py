"""An identity that a passphrase opens: for the envelope in the safe.

Source: docs/formats/keys-v1.md, section 4. SECURITY: passphrases are made
here, not chosen by people, so that the file may be copied without fear.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from node.crypto.document import Document, Stanza, parse, parse_time
from node.crypto.recipient import Identity
from node.errors import DamagedError, NotOurKeyError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = 65536  # KiB
PASSES = 3
LANES = 4
MAX_MEMORY = 1 << 20  # KiB; what a hostile file may make us spend
MAX_PASSES = 16
MAX_LANES = 16
ITERATIONS = 1_000_000  # of PBKDF2
MAX_ITERATIONS = 10_000_000
_KEY = 32
_SALT = 16
_COMMITMENT = 16
_TAG = 16
_NONCE = bytes(12)  # may stand still: the salt is random, so the key closes one secret
_ARGON2, _PBKDF2 = "locked-identity", "locked-identity-pbkdf2"
_FIELDS = ("suite", "id", "name", "created")
_COSTS = {_ARGON2: ("memory", "passes", "lanes"), _PBKDF2: ("iterations",)}
_GROUP = 5
_PASSPHRASE_BYTES = 15  # 120 bits: beyond guessing whatever Argon2id costs


def make_passphrase(random: Callable[[int], bytes]) -> str:
    """Return a new passphrase: 24 letters and digits in groups, 120 bits."""
    text = base64.b32encode(random(_PASSPHRASE_BYTES)).decode("ascii").lower()
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def lock(
    identity: Identity,
    passphrase: str,
    random: Callable[[int], bytes],
    *,
    approved: bool = False,
) -> bytes:
    """Return the text of a ``.locked`` file.

    :param approved: stretch the passphrase by PBKDF2-HMAC-SHA-256 (SP 800-132) instead of
        Argon2id, which no NIST publication approves.
    """
    kind = _PBKDF2 if approved else _ARGON2
    costs = (ITERATIONS,) if approved else (MEMORY, PASSES, LANES)
    salt = random(_SALT)
    commitment, cipher = _derive(_stretch(kind, passphrase, salt, costs))
    bound = bytes.fromhex(identity.recipient.id)
    body = salt + commitment + cipher.encrypt(_NONCE, identity.secret(), bound)
    said = dict(zip(_COSTS[kind], map(str, costs), strict=True))
    fields = identity.recipient.fields() | said
    return Document(kind, fields, (Stanza(("locked",), body),)).render()


def unlock(data: bytes, passphrase: str) -> Identity:
    """Return the identity in a ``.locked`` file.

    :raises UnreadableError: it is none, or asks for more than 1 GiB, 16 passes,
        16 lanes or 10,000,000 iterations.
    :raises NotOurKeyError: the passphrase is another one.
    :raises DamagedError: the passphrase fits and the rest does not.
    """
    kind = _PBKDF2 if data.startswith(f"sealnode {_PBKDF2} ".encode()) else _ARGON2
    document = parse(data, kind, (*_FIELDS, *_COSTS[kind]))
    fields = document.fields
    costs = _costs(kind, fields)
    body = document.body("locked")
    if len(body) < _SALT + _COMMITMENT + _TAG:
        raise UnreadableError("locked-identity: the lock is too short")
    salt, expected = body[:_SALT], body[_SALT : _SALT + _COMMITMENT]
    commitment, cipher = _derive(_stretch(kind, passphrase, salt, costs))
    if not hmac.compare_digest(commitment, expected):
        raise NotOurKeyError("the passphrase does not fit", hint="five groups, as on the paper")
    created = parse_time("locked-identity", fields["created"])
    try:
        bound = bytes.fromhex(fields["id"])
        secret = cipher.decrypt(_NONCE, body[_SALT + _COMMITMENT :], bound)
    except (InvalidTag, ValueError):
        raise DamagedError("the locked identity is not as it was made") from None
    identity = Identity(fields["suite"], fields["name"], created, secret)
    if identity.recipient.id != fields["id"]:
        raise DamagedError("the locked identity is not as it was made")
    return identity


def _stretch(kind: str, passphrase: str, salt: bytes, costs: tuple[int, ...]) -> bytes:
    secret = passphrase.strip().encode("utf-8")
    if kind == _PBKDF2:
        return PBKDF2HMAC(hashes.SHA256(), _KEY, salt, costs[0]).derive(secret)
    memory, passes, lanes = costs
    return Argon2id(
        salt=salt, length=_KEY, iterations=passes, lanes=lanes, memory_cost=memory
    ).derive(secret)


def _derive(stretched: bytes) -> tuple[bytes, AESGCM]:
    commitment = _expand(stretched, b"sealnode/v1/lock-commitment")[:_COMMITMENT]
    return commitment, AESGCM(_expand(stretched, b"sealnode/v1/lock"))


def _costs(kind: str, fields: dict[str, str]) -> tuple[int, ...]:
    if kind == _PBKDF2:
        return (_cost(fields["iterations"], MAX_ITERATIONS),)
    memory = _cost(fields["memory"], MAX_MEMORY)
    passes = _cost(fields["passes"], MAX_PASSES)
    lanes = _cost(fields["lanes"], MAX_LANES)
    if memory < 8 * lanes:
        raise UnreadableError("locked-identity: the memory of the lock is too small")
    return memory, passes, lanes


def _expand(secret: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _KEY, b"", info).derive(secret)


def _cost(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdigit()) or text.startswith("0") or int(text) > highest:
        raise UnreadableError("locked-identity: the cost of the lock is beyond the bounds")
    return int(text)

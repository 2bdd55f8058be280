"""Receipts: what was sealed from what, when and by which key, signed for outsiders.

Source: docs/formats/receipt-v1.md. A seal is symmetric and proves nothing to
somebody who does not hold its key; a receipt does. SECURITY: the private key
speaks in the site's name; it opens and seals nothing. No field may be a
patient's, or a UID.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from node.crypto.document import Document, Stanza, format_time, parse, parse_time
from node.errors import DamagedError, NotOurKeyError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ED25519, P256 = "ed25519", "p256"
SUITES: Final = (ED25519, P256)
SIGNATURE_BYTES = 64
SECRET_BYTES = 32
_ID_BYTES = 8
_DIGEST = 64  # hexadecimal digits of SHA-256
_PRIVATE_KIND, _PUBLIC_KIND, _KIND = "receipt-key", "receipt-signer", "receipt"
_KEY_FIELDS = ("suite", "id", "created")
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_CARRIERS = ("pixels", "header")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is signed. Times are seconds since the epoch, digests 32 bytes of SHA-256.

    :param object: the pseudonym of the SOP Instance UID as received.
    :param sent_object: the same of the one that the sealed object has.
    :param software: name and version.
    :param key: id of the epoch key that sealed.
    :param carrier: ``"pixels"`` or ``"header"``, which says what the digests are of.
    """

    object: str
    sent_object: str
    route: str
    received: int
    sealed: int
    software: str
    key: str
    carrier: str
    original_header: bytes
    original_pixels: bytes
    marked_header: bytes
    marked_pixels: bytes


_FIELDS = tuple(field.name.replace("_", "-") for field in fields(Receipt))
_TIMES, _DIGESTS = ("received", "sealed"), _FIELDS[-4:]


class PublicKey:
    """Checks receipts.

    :param public: 32 bytes (Ed25519), or 65 (P-256, X9.62 uncompressed).
    :raises UnreadableError: the bytes are no such key.
    """

    def __init__(self, suite: str, public: bytes, created: int) -> None:
        self.suite, self.public, self.created = suite, public, created
        self.id = key_id(suite, public)
        try:
            self._key = _load(suite, public)
        except ValueError:
            raise UnreadableError(f"{_PUBLIC_KIND}: the key is none of its suite") from None

    def __repr__(self) -> str:
        return f"<PublicKey {self.suite} {self.id}>"

    def render(self) -> bytes:
        """Return the text of ``receipts/ID.pub``."""
        return _document(_PUBLIC_KIND, self, "public", self.public)

    def pem(self) -> bytes:
        """Return it as SubjectPublicKeyInfo in PEM, for other programs."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(encoding, form)

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Return whether the holder of the private key signed a text."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, text)
            else:
                half = SIGNATURE_BYTES // 2
                pair = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
                der = utils.encode_dss_signature(*pair)
                self._key.verify(der, text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class Signer:
    """Signs receipts.

    :param secret: 32 bytes: an Ed25519 seed, or a P-256 scalar, big endian.
    :raises UnreadableError: the bytes are no private key of the suite.
    """

    def __init__(self, suite: str, secret: bytes, created: int) -> None:
        self._secret = secret
        self._key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
        if suite == ED25519 and len(secret) == SECRET_BYTES:
            self._key = Ed25519PrivateKey.from_private_bytes(secret)
            raw = self._key.public_key().public_bytes_raw()
        elif suite == P256 and len(secret) == SECRET_BYTES and 0 < int.from_bytes(secret) < _ORDER:
            self._key = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
            encoding, form = (
                serialization.Encoding.X962,
                serialization.PublicFormat.UncompressedPoint,
            )
            raw = self._key.public_key().public_bytes(encoding, form)
        else:
            raise UnreadableError(f"{_PRIVATE_KIND}: the secret is no key of its suite")
        self.public = PublicKey(suite, raw, created)

    def __repr__(self) -> str:
        return f"<Signer {self.public.suite} {self.public.id}>"

    def render(self) -> bytes:
        """Return the text of ``receipt.key``. It is a secret."""
        return _document(_PRIVATE_KIND, self.public, "secret", self._secret)

    def issue(self, receipt: Receipt) -> bytes:
        """Return the text of a receipt, signed; the same for the same receipt."""
        body = _body(receipt)
        if isinstance(self._key, Ed25519PrivateKey):
            signature = self._key.sign(body)
        else:
            scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979
            pair = utils.decode_dss_signature(self._key.sign(body, scheme))
            signature = b"".join(number.to_bytes(SIGNATURE_BYTES // 2) for number in pair)
        return body + Stanza((self.public.suite, self.public.id), signature).render().encode()


def generate(suite: str, created: float, random: Callable[[int], bytes]) -> Signer:
    """Make a key of a suite.

    :raises UnreadableError: the suite is not known.
    """
    if suite not in SUITES:
        raise UnreadableError(f"{_PRIVATE_KIND}: the suite is not known")
    secret = random(SECRET_BYTES)
    while suite == P256 and not 0 < int.from_bytes(secret) < _ORDER:
        secret = random(SECRET_BYTES)
    return Signer(suite, secret, int(created))


def check(data: bytes, known: Iterable[PublicKey]) -> tuple[Receipt, PublicKey]:
    """Return what a receipt says, and the key that it is signed with.

    :raises UnreadableError: it is no receipt.
    :raises NotOurKeyError: none of the known keys is the one that it names.
    :raises DamagedError: it is not as it was signed.
    """
    document = parse(data, _KIND, _FIELDS)
    receipt = _read(document.fields)
    if len(document.stanzas) != 1:
        raise UnreadableError(f"{_KIND}: one signature was expected")
    (stanza,) = document.stanzas
    if len(stanza.words) != 2 or stanza.words[0] not in SUITES:  # noqa: PLR2004 - suite, id
        raise UnreadableError(f"{_KIND}: the signature is of no known suite")
    if len(stanza.body) != SIGNATURE_BYTES:
        raise UnreadableError(f"{_KIND}: the signature is not {SIGNATURE_BYTES} bytes long")
    for key in known:
        if stanza.words == (key.suite, key.id):
            if not key.signed(_body(receipt), stanza.body):
                raise DamagedError("the receipt is not as it was signed")
            return receipt, key
    raise NotOurKeyError(
        f"the receipt is signed with the key {stanza.words[1]}, which is not known here",
        hint="ask the site for it: 'nodectl receipt key' prints it",
    )


def parse_signer(data: bytes) -> Signer:
    """Read ``receipt.key``.

    :raises UnreadableError: it is none.
    """
    suite, own, created, secret = _parsed(data, _PRIVATE_KIND, "secret")
    signer = Signer(suite, secret, created)
    if signer.public.id != own:
        raise UnreadableError(f"{_PRIVATE_KIND}: the id is not that of the key")
    return signer


def parse_public(data: bytes) -> PublicKey:
    """Read ``receipts/ID.pub``.

    :raises UnreadableError: it is none.
    """
    suite, own, created, public = _parsed(data, _PUBLIC_KIND, "public")
    key = PublicKey(suite, public, created)
    if key.id != own:
        raise UnreadableError(f"{_PUBLIC_KIND}: the id is not that of the key")
    return key


def key_id(suite: str, public: bytes) -> str:
    """Return the 16 hexadecimal digits that name a key."""
    name = suite.encode("ascii")
    text = b"sealnode/v1/receipt-key" + bytes((len(name),)) + name + public
    return hashlib.sha256(text).hexdigest()[: 2 * _ID_BYTES]


def _load(suite: str, public: bytes) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
    if suite == ED25519:
        return Ed25519PublicKey.from_public_bytes(public)
    if suite != P256 or public[:1] != b"\x04":
        raise ValueError(suite)
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)


def _body(receipt: Receipt) -> bytes:
    said: dict[str, str] = {}
    for name in _FIELDS:
        value = getattr(receipt, name.replace("-", "_"))
        if name in _TIMES:
            said[name] = format_time(value)
        else:
            said[name] = value.hex() if name in _DIGESTS else value
    return Document(_KIND, said, ()).render()


def _read(said: dict[str, str]) -> Receipt:
    values: dict[str, str | int | bytes] = dict(said)
    for name in _TIMES:
        values[name] = parse_time(_KIND, said[name])
    for name in _DIGESTS:
        try:
            values[name] = bytes.fromhex(said[name])
        except ValueError:
            raise UnreadableError(f"{_KIND}: a digest is not hexadecimal") from None
        if len(said[name]) != _DIGEST or said[name] != said[name].lower():
            raise UnreadableError(f"{_KIND}: a digest is not 64 lower case digits")
    if said["carrier"] not in _CARRIERS:
        raise UnreadableError(f"{_KIND}: the carrier is not known")
    return Receipt(**{name.replace("-", "_"): value for name, value in values.items()})  # type: ignore[arg-type]


def _document(kind: str, key: PublicKey, word: str, body: bytes) -> bytes:
    said = {"suite": key.suite, "id": key.id, "created": format_time(key.created)}
    return Document(kind, said, (Stanza((word,), body),)).render()


def _parsed(data: bytes, kind: str, word: str) -> tuple[str, str, int, bytes]:
    document = parse(data, kind, _KEY_FIELDS)
    said = document.fields
    return said["suite"], said["id"], parse_time(kind, said["created"]), document.body(word)

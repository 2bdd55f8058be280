"""CMS EnvelopedData for the holders of RSA certificates, the same bytes in every run.

RFC 5652 section 6 with AES-256-CBC and RSA key transport (RFC 3370 4.2.1), as
PS3.15 annex E wants for Encrypted Content (0400,0520): anybody's tools open
it. Ours is written here because libraries draw random numbers: a retry must
send the same bytes. What would be random comes from a secret and the content.

SECURITY: proves nothing about who wrote the content; whoever opens it compares
with what is sealed.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import pkcs7

from node.errors import NotOurKeyError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIN_BITS = 2048  # of an RSA key

_SEQUENCE, _SET, _OCTETS, _CONTEXT = 0x30, 0x31, 0x04, 0xA0
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")  # 1.2.840.113549.1.7.3
_DATA = bytes.fromhex("06092a864886f70d010701")  # 1.2.840.113549.1.7.1
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")  # rsaEncryption, NULL
_AES = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42
_ZERO = bytes.fromhex("020100")


class Envelope:
    """Encrypts for some certificates.

    :param certificates: PEM.
    :param secret: 32 bytes that only those know who know the contents as well.
    :raises UnreadableError: one is no certificate of an RSA key that is long enough.
    """

    def __init__(self, certificates: Iterable[bytes], secret: bytes) -> None:
        found = [_certificate(pem) for pem in certificates]
        self._certificates = sorted(found, key=lambda one: one.fingerprint(hashes.SHA256()))
        self._secret = secret

    def __repr__(self) -> str:
        return f"<Envelope for {len(self._certificates)}>"

    def close(self, content: bytes) -> bytes:
        """Return the DER of an EnvelopedData."""
        stream = _stream(self._secret, hashlib.sha256(content).digest())
        key, iv = _take(stream, 32), _take(stream, 16)
        pad = padding.PKCS7(128).padder()
        aes = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        secret = aes.update(pad.update(content) + pad.finalize()) + aes.finalize()
        infos = sorted(self._recipient(one, key, stream) for one in self._certificates)
        algorithm = _der(_SEQUENCE, _AES + _der(_OCTETS, iv))
        encrypted = _der(_SEQUENCE, _DATA + algorithm + _der(0x80, secret))
        data = _der(_SEQUENCE, _ZERO + _der(_SET, b"".join(infos)) + encrypted)
        return _der(_SEQUENCE, _ENVELOPED + _der(_CONTEXT, data))

    def _recipient(self, certificate: x509.Certificate, key: bytes, stream: Iterator[int]) -> bytes:
        """KeyTransRecipientInfo, version 0."""
        public = certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        numbers, size = public.public_numbers(), public.key_size // 8
        filler = bytes(byte for _, byte in zip(range(size - 3 - len(key)), _nonzero(stream)))  # noqa: B905
        block = int.from_bytes(b"\0\2" + filler + b"\0" + key)  # RFC 8017 7.2.1
        wrapped = pow(block, numbers.e, numbers.n).to_bytes(size)
        serial = certificate.serial_number
        number = serial.to_bytes(serial.bit_length() // 8 + 1)
        who = _der(_SEQUENCE, certificate.issuer.public_bytes() + _der(0x02, number))
        return _der(_SEQUENCE, _ZERO + who + _RSA + _der(_OCTETS, wrapped))


class Custodian:
    """Opens what was encrypted for one certificate.

    :param certificate: PEM; ``key``: its private key, PEM without passphrase.
    :raises UnreadableError: they are none, or not a pair.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._certificate = _certificate(certificate)
        try:
            found = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError):
            raise UnreadableError("is no private key in PEM without passphrase") from None
        if not isinstance(found, rsa.RSAPrivateKey) or (
            found.public_key() != self._certificate.public_key()
        ):
            raise UnreadableError("is not the key of the certificate beside it")
        self._key = found

    def __repr__(self) -> str:
        return "<Custodian>"

    def open(self, enveloped: bytes) -> bytes:
        """Return what is in an EnvelopedData, which an element may have padded.

        :raises NotOurKeyError: it is not for us, or damaged.
        """
        try:
            return pkcs7.pkcs7_decrypt_der(_unpadded(enveloped), self._certificate, self._key, [])
        except ValueError:
            raise NotOurKeyError("the envelope is for others, or damaged") from None


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        public = certificate.public_key()
    except ValueError:
        raise UnreadableError("is no certificate in PEM") from None
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size < MIN_BITS:
        raise UnreadableError(f"is not for an RSA key of {MIN_BITS} bits or more")
    return certificate


def _stream(secret: bytes, seed: bytes) -> Iterator[int]:
    """Bytes that nobody can tell from random ones who lacks the secret."""
    key = hmac.digest(secret, b"sealnode/v1/envelope" + seed, "sha256")
    counter = 0
    while True:
        yield from hmac.digest(key, counter.to_bytes(8), "sha256")
        counter += 1


def _take(stream: Iterator[int], count: int) -> bytes:
    return bytes(next(stream) for _ in range(count))


def _nonzero(stream: Iterator[int]) -> Iterator[int]:
    return (byte for byte in stream if byte)


def _der(tag: int, content: bytes) -> bytes:
    """X.690: a tag, the shortest length, the content."""
    length = len(content)
    if length < 0x80:  # noqa: PLR2004
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(size))) + size + content


def _unpadded(der: bytes) -> bytes:
    """Leave out what follows a DER value."""
    more = der[1] & 0x7F if len(der) > 1 and der[1] & 0x80 else 0
    length = int.from_bytes(der[2 : 2 + more]) if more else der[1] if len(der) > 1 else 0
    return der[: 2 + more + length]

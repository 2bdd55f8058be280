"""Signatures by the key of a certificate: RSA and ECDSA, over a stream of bytes.

PS3.15 C.1 and C.2: PKCS #1 v1.5 for RSA, DER of the two numbers for ECDSA.
Both are made so that the same bytes give the same signature.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MIN_BITS = 2048  # of an RSA key that signs; PS3.15 C.2 asks for 1024 to 8192
WEAK = frozenset({"MD5", "SHA1", "RIPEMD160"})
ALGORITHMS = frozenset({*WEAK, "SHA256", "SHA384", "SHA512"})
_NAMES = {
    "MD5": "md5", "SHA1": "sha1", "RIPEMD160": "ripemd160",
    "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512",
}  # fmt: skip
_INFO = {  # DER before the digest: RFC 8017, section 9.2, note 1
    "MD5": "3020300c06082a864886f70d020505000410",
    "SHA1": "3021300906052b0e03021a05000414",
    "RIPEMD160": "3021300906052b2403020105000414",
    "SHA256": "3031300d060960864801650304020105000420",
    "SHA384": "3041300d060960864801650304020205000430",
    "SHA512": "3051300d060960864801650304020305000440",
}
_SIZED: dict[int, hashes.HashAlgorithm] = {  # only the length matters once it is hashed
    16: hashes.MD5(), 20: hashes.SHA1(),  # noqa: S303 - to verify what others signed
    32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512(),
}  # fmt: skip


class CertifiedKey:
    """A private key with its certificate.

    :param certificate: of the key; the first one of the file.
    """

    def __init__(
        self, certificate: x509.Certificate, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    ) -> None:
        self._key = key
        self.certificate = certificate.public_bytes(Encoding.DER)
        self.since = certificate.not_valid_before_utc.timestamp()

    def __repr__(self) -> str:
        return f"<CertifiedKey {fingerprint(self.certificate)}>"

    def sign(self, stream: Iterable[bytes]) -> bytes:
        """Return the signature of a stream with SHA-256, the same for the same bytes."""
        digest = _digest("SHA256", stream)
        hashed = utils.Prehashed(hashes.SHA256())
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(digest, padding.PKCS1v15(), hashed)
        return self._key.sign(digest, ec.ECDSA(hashed, deterministic_signing=True))  # RFC 6979


def load(certificate: Path, key: Path) -> CertifiedKey:
    """Return the key of a PEM file, and its certificate.

    :raises ConfigError: a file cannot be used, the key is neither RSA of 2048
        bits or more nor on an elliptic curve, or the certificate is of another key.
    """
    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise ConfigError([f"{certificate}: holds no certificate in PEM"]) from error
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError([f"{key}: holds no private key in PEM without a passphrase"]) from error
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < MIN_BITS:
            raise ConfigError([f"{key}: an RSA key that signs needs {MIN_BITS} bits or more"])
    elif not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ConfigError([f"{key}: is neither an RSA key nor one on an elliptic curve"])
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != found.public_key().public_bytes(*form):
        raise ConfigError([f"{certificate}: is the certificate of another key than {key}"])
    return CertifiedKey(found, private)


def verify(
    certificate: bytes,
    algorithm: str,
    stream: Iterable[bytes],
    signature: bytes,
) -> tuple[str, str]:
    """Return ``valid``, ``invalid`` or ``unknown``, and the kind of key: ``RSA``, ``EC`` or ``""``.

    Whether the certificate can be trusted, and is in force, is not looked at.

    :param certificate: DER; a byte of padding may follow, as after the signature.
    :param algorithm: as DICOM names it: ``SHA256`` and the like.
    """
    try:
        key = x509.load_der_x509_certificate(_unpadded(certificate)).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown", ""
    if isinstance(key, rsa.RSAPublicKey):
        kind = "RSA"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind = "EC"
    else:
        return "unknown", ""
    try:
        digest = _digest(algorithm, stream)
    except (KeyError, ValueError):  # hashlib.new: not in this OpenSSL
        return "unknown", kind
    try:
        if isinstance(key, rsa.RSAPublicKey):
            length = (key.key_size + 7) // 8
            said = key.recover_data_from_signature(signature[:length], padding.PKCS1v15(), None)
            good = said == bytes.fromhex(_INFO[algorithm]) + digest
        else:
            hashed = ec.ECDSA(utils.Prehashed(_SIZED[len(digest)]))
            key.verify(_unpadded(signature), digest, hashed)
            good = True
    except (InvalidSignature, ValueError):
        good = False
    except UnsupportedAlgorithm:
        return "unknown", kind
    return ("valid" if good else "invalid"), kind


def fingerprint(certificate: bytes) -> str:
    """Return 16 hexadecimal digits of SHA-256 that name a certificate."""
    return hashlib.sha256(_unpadded(certificate)).hexdigest()[:16]


def _digest(algorithm: str, stream: Iterable[bytes]) -> bytes:
    found = hashlib.new(_NAMES[algorithm], usedforsecurity=False)
    for part in stream:
        found.update(part)
    return found.digest()


def _unpadded(der: bytes) -> bytes:
    """Return a DER SEQUENCE without the byte that makes its length even."""
    if len(der) < 2 or der[0] != 0x30:  # noqa: PLR2004 - tag and length
        return der
    if der[1] < 0x80:  # noqa: PLR2004 - the short form of a length
        return der[: 2 + der[1]]
    count = der[1] & 0x7F
    return der[: 2 + count + int.from_bytes(der[2 : 2 + count])]

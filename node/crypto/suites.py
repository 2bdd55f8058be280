"""The public-key suites that wrap an epoch key for a recipient.

Source: docs/formats/keys-v1.md, section 2. Keys are plain bytes here; each
suite knows its own form of them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa, x25519

from node.errors import DamagedError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEED = 64  # bytes of an ML-KEM-768 private key
_MLKEM_PUBLIC = 1184  # bytes of an ML-KEM-768 public key
_P256_SCALAR = 32  # bytes
_RSA_BITS = 3072
_RSA_EXPONENT = 65537


class Suite(Protocol):
    """Wraps 32 bytes for the holder of a private key.

    ``public`` and ``wrap`` raise UnreadableError for bytes that are no key of
    the suite, ``unwrap`` raises DamagedError for what was not wrapped so.
    """

    def generate(self) -> bytes:
        """Return a new private key."""
        ...

    def public(self, private: bytes) -> bytes:
        """Return the public key that belongs to a private one."""
        ...

    def wrap(self, public: bytes, secret: bytes, info: bytes) -> bytes:
        """Return ``secret``, closed."""
        ...

    def unwrap(self, private: bytes, wrapped: bytes, info: bytes) -> bytes:
        """Return the secret."""
        ...


class _Hpke:
    """HPKE (RFC 9180), base mode, HKDF-SHA-256, AES-256-GCM."""

    kem: hpke.KEM

    def _load_private(self, private: bytes) -> Any:
        raise NotImplementedError

    def _load_public(self, public: bytes) -> Any:
        raise NotImplementedError

    def wrap(self, public: bytes, secret: bytes, info: bytes) -> bytes:
        try:
            return self._suite().encrypt(secret, self._load_public(public), info)
        except ValueError:
            raise UnreadableError("a recipient's public key is no key of its suite") from None

    def unwrap(self, private: bytes, wrapped: bytes, info: bytes) -> bytes:
        try:
            return self._suite().decrypt(wrapped, self._load_private(private), info)
        except (InvalidTag, ValueError):
            raise DamagedError("a wrapped key does not open with its identity") from None

    def _suite(self) -> hpke.Suite:
        return hpke.Suite(self.kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class _X25519(_Hpke):
    """Curve25519 (RFC 7748)."""

    kem = hpke.KEM.X25519

    def generate(self) -> bytes:
        return x25519.X25519PrivateKey.generate().private_bytes_raw()

    def public(self, private: bytes) -> bytes:
        return self._load_private(private).public_key().public_bytes_raw()

    def _load_private(self, private: bytes) -> x25519.X25519PrivateKey:
        try:
            return x25519.X25519PrivateKey.from_private_bytes(private)
        except ValueError:
            raise _no_private_key() from None

    def _load_public(self, public: bytes) -> x25519.X25519PublicKey:
        return x25519.X25519PublicKey.from_public_bytes(public)


class _Mlkem768X25519(_Hpke):
    """The hybrid of ML-KEM-768 (FIPS 203) and X25519: as strong as the stronger one."""

    kem = hpke.KEM.MLKEM768_X25519

    def generate(self) -> bytes:
        seed = mlkem.MLKEM768PrivateKey.generate().private_bytes_raw()
        return seed + x25519.X25519PrivateKey.generate().private_bytes_raw()

    def public(self, private: bytes) -> bytes:
        lattice, curve = self._halves(private)
        return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def _halves(self, private: bytes) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
        try:
            return (
                mlkem.MLKEM768PrivateKey.from_seed_bytes(private[:_SEED]),
                x25519.X25519PrivateKey.from_private_bytes(private[_SEED:]),
            )
        except ValueError:
            raise _no_private_key() from None

    def _load_private(self, private: bytes) -> hpke.MLKEM768X25519PrivateKey:
        return hpke.MLKEM768X25519PrivateKey(*self._halves(private))

    def _load_public(self, public: bytes) -> hpke.MLKEM768X25519PublicKey:
        return hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            x25519.X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )


class _Mlkem768(_Hpke):
    """ML-KEM-768 (FIPS 203) alone: post-quantum for sites that may use nothing else."""

    kem = hpke.KEM.MLKEM768

    def generate(self) -> bytes:
        return mlkem.MLKEM768PrivateKey.generate().private_bytes_raw()

    def public(self, private: bytes) -> bytes:
        return self._load_private(private).public_key().public_bytes_raw()

    def _load_private(self, private: bytes) -> mlkem.MLKEM768PrivateKey:
        try:
            return mlkem.MLKEM768PrivateKey.from_seed_bytes(private)
        except ValueError:
            raise _no_private_key() from None

    def _load_public(self, public: bytes) -> mlkem.MLKEM768PublicKey:
        return mlkem.MLKEM768PublicKey.from_public_bytes(public)


class _P256(_Hpke):
    """NIST P-256, for sites that must stay within FIPS 140."""

    kem = hpke.KEM.P256

    def generate(self) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        return key.private_numbers().private_value.to_bytes(_P256_SCALAR, "big")

    def public(self, private: bytes) -> bytes:
        return (
            self._load_private(private)
            .public_key()
            .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        )

    def _load_private(self, private: bytes) -> ec.EllipticCurvePrivateKey:
        if len(private) != _P256_SCALAR:
            raise _no_private_key()
        try:
            return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
        except ValueError:
            raise _no_private_key() from None

    def _load_public(self, public: bytes) -> ec.EllipticCurvePublicKey:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)


class _RsaOaep3072:
    """RSA, for smart cards and security modules that have nothing newer."""

    def generate(self) -> bytes:
        return rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS).private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def public(self, private: bytes) -> bytes:
        return (
            self._load_private(private)
            .public_key()
            .public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def wrap(self, public: bytes, secret: bytes, info: bytes) -> bytes:
        try:
            key = serialization.load_der_public_key(public)
        except ValueError:
            key = None
        if not isinstance(key, rsa.RSAPublicKey) or not _is_expected(key):
            raise UnreadableError("a recipient's public key is no key of its suite")
        return key.encrypt(secret, _oaep(info))

    def unwrap(self, private: bytes, wrapped: bytes, info: bytes) -> bytes:
        try:
            return self._load_private(private).decrypt(wrapped, _oaep(info))
        except ValueError:
            raise DamagedError("a wrapped key does not open with its identity") from None

    def _load_private(self, private: bytes) -> rsa.RSAPrivateKey:
        try:
            key = serialization.load_der_private_key(private, None)
        except (ValueError, TypeError):
            raise _no_private_key() from None
        if not isinstance(key, rsa.RSAPrivateKey) or not _is_expected(key.public_key()):
            raise _no_private_key()
        return key


def _is_expected(key: rsa.RSAPublicKey) -> bool:
    return key.key_size == _RSA_BITS and key.public_numbers().e == _RSA_EXPONENT


def _oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)


def _no_private_key() -> UnreadableError:
    return UnreadableError("an identity's private key is no key of its suite")


SUITES: Final[Mapping[str, Suite]] = MappingProxyType(
    {
        "mlkem768-x25519": _Mlkem768X25519(),
        "x25519": _X25519(),
        "mlkem768": _Mlkem768(),
        "p256": _P256(),
        "rsa-oaep-3072": _RsaOaep3072(),
    }
)

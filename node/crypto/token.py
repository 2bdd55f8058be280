"""A recipient whose private key stays in a PKCS #11 token: a smart card or a security module.

P-256 alone: each token has it, and only the Diffie-Hellman step happens there.
Needs the extra ``pkcs11``. SECURITY: the key that opens is made in the token
and marked sensitive and not extractable; what comes out is one secret a capsule.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from node.crypto import dhkem
from node.crypto.recipient import Recipient, check_name, info_of
from node.errors import ConfigError, DamagedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUITE = "p256"
_P256 = bytes.fromhex("06082a8648ce3d030107")  # DER of the OID 1.2.840.10045.3.1.7
_OCTETS = b"\x04\x41"  # DER of an octet string of 65 bytes
_BITS = 256


class Token:
    """One token.

    :param module: the PKCS #11 library of its vendor.
    :param label: of the token.
    :param pin: gives the PIN of its user when it is needed.
    """

    def __init__(self, module: Path, label: str, pin: Callable[[], str]) -> None:
        self._module = module
        self._label = label
        self._pin = pin

    def __repr__(self) -> str:
        return f"<Token {self._label}>"

    def generate(self, name: str, created: float) -> Recipient:
        """Make a key pair that never leaves the token, and return its public half.

        :param name: of the recipient, and the label of the pair.
        :raises UnreadableError: it is no name.
        :raises UsageError: the token has a key of this label.
        :raises ConfigError: the token cannot be used.
        """
        check_name(name)
        with self._session(write=True) as (session, pkcs11):
            kept = {"label": name, "object_class": pkcs11.ObjectClass.PRIVATE_KEY}
            if any(True for _ in session.get_objects(_attributes(pkcs11, kept))):
                raise UsageError(
                    f"token {self._label} has a key {name}", hint="choose another name"
                )
            curve = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: _P256}, local=True
            )
            secret = {
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.DERIVE: True,
                pkcs11.Attribute.SIGN: False,
            }
            public, _ = curve.generate_keypair(
                store=True,
                id=name.encode("ascii"),
                label=name,
                capabilities=pkcs11.MechanismFlag.DERIVE,
                private_template=secret,
            )
            return Recipient(SUITE, name, int(created), _point(pkcs11, public))

    def identity(self, name: str) -> TokenIdentity:
        """Return the identity of a label.

        :raises ConfigError: the token cannot be used, or has no such pair of P-256.
        """
        with self._session() as (session, pkcs11):
            public = self._key(session, pkcs11, pkcs11.ObjectClass.PUBLIC_KEY, name)
            if bytes(public[pkcs11.Attribute.EC_PARAMS]) != _P256:
                raise self._mistake(f"key {name} is not of the curve P-256")
            return TokenIdentity(self, Recipient(SUITE, name, 0, _point(pkcs11, public)))

    def agree(self, name: str, point: bytes) -> bytes:
        """Return the x coordinate, 32 bytes, of ECDH with the private key of a label.

        :raises ConfigError: the token cannot be used.
        :raises DamagedError: the point is none.
        """
        with self._session() as (session, pkcs11):
            key = self._key(session, pkcs11, pkcs11.ObjectClass.PRIVATE_KEY, name)
            try:
                made = key.derive_key(
                    pkcs11.KeyType.GENERIC_SECRET,
                    _BITS,
                    mechanism_param=(pkcs11.KDF.NULL, None, point),
                    template={
                        pkcs11.Attribute.SENSITIVE: False,
                        pkcs11.Attribute.EXTRACTABLE: True,
                    },
                )
            except (
                pkcs11.exceptions.ArgumentsBad,
                pkcs11.exceptions.FunctionFailed,
                pkcs11.exceptions.GeneralError,
                pkcs11.exceptions.MechanismParamInvalid,
            ) as error:
                raise DamagedError(
                    f"token {self._label} does not agree on a key: {_said(error)}"
                ) from None
            return bytes(made[pkcs11.Attribute.VALUE])

    def _key(self, session: Any, pkcs11: Any, kind: Any, name: str) -> Any:
        try:
            return session.get_key(object_class=kind, key_type=pkcs11.KeyType.EC, label=name)
        except pkcs11.exceptions.NoSuchKey:
            raise self._mistake(
                f"has no key pair of the label {name}",
                "'nodectl keys recipients new --token' makes one",
            ) from None
        except pkcs11.exceptions.MultipleObjectsReturned:
            raise self._mistake(f"has several keys of the label {name}") from None

    @contextmanager
    def _session(self, *, write: bool = False) -> Iterator[tuple[Any, Any]]:
        try:
            import pkcs11  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigError(
                ["keys.pkcs11_module: tokens need the extra pkcs11"],
                hint="pip install 'sealnode[pkcs11]'",
            ) from None
        try:
            token = pkcs11.lib(str(self._module)).get_token(token_label=self._label)
            with token.open(user_pin=self._pin(), rw=write) as session:
                yield session, pkcs11
        except pkcs11.exceptions.PKCS11Error as error:
            raise self._mistake(f"cannot be used: {_said(error)}") from None
        except RuntimeError as error:
            raise ConfigError([f"{self._module}: is no PKCS #11 library: {error}"]) from None

    def _mistake(self, what: str, hint: str = "") -> ConfigError:
        return ConfigError([f"keys.token: {self._label}: {what}"], hint=hint)


class TokenIdentity:
    """An :class:`~node.crypto.base.Unwrapper` whose private key stays in its token."""

    __slots__ = ("_token", "recipient")

    def __init__(self, token: Token, recipient: Recipient) -> None:
        self._token = token
        self.recipient = recipient

    def __repr__(self) -> str:
        return f"<TokenIdentity {self.recipient.name} {self.recipient.id}>"

    def unwrap(self, wrapped: bytes, key_id: bytes) -> bytes:
        """Return what was wrapped to its recipient.

        :raises DamagedError: it was not wrapped to it for this key id.
        :raises ConfigError: the token cannot be used (any more).
        """
        one = self.recipient
        secret = self._token.agree(one.name, dhkem.point_of(wrapped))
        return dhkem.open_p256(secret, one.public, wrapped, info_of(one.suite, key_id))


def _attributes(pkcs11: Any, wanted: dict[str, Any]) -> dict[Any, Any]:
    names = {"label": pkcs11.Attribute.LABEL, "object_class": pkcs11.Attribute.CLASS}
    return {names[key]: value for key, value in wanted.items()}


def _point(pkcs11: Any, public: Any) -> bytes:
    point = bytes(public[pkcs11.Attribute.EC_POINT])
    return point.removeprefix(_OCTETS) if len(point) > dhkem.ENC_BYTES else point


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__

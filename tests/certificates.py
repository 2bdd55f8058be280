"""Certificates for tests, made anew for each run."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.dicom import tls

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

DAY = dt.timedelta(days=1)


class Certificates:
    """An authority, and certificates that it signed: ``server``, ``node``, ``expired``.

    ``stranger`` signed its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._write("ca", self._key, self._sign("ca", self._key.public_key(), authority=True))
        for name in ("server", "node", "expired"):
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(name, key, self._sign(name, key.public_key(), expired=name == "expired"))
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._write("stranger", self._key, self._sign("stranger", self._key.public_key()))

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def server(self, *, mutual: bool) -> ssl.SSLContext:
        peers = self.certificate("ca") if mutual else None
        return tls.server_context(self.certificate("server"), self.key("server"), peers=peers)

    def client(self, name: str = "") -> ssl.SSLContext:
        if not name:
            return tls.client_context(self.certificate("ca"))
        return tls.client_context(
            self.certificate("ca"), certificate=self.certificate(name), key=self.key(name)
        )

    def _sign(self, name: str, public, *, authority=False, expired=False) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        host = "localhost" if name == "server" else f"{name}.example"
        builder = (
            x509.CertificateBuilder()
            .subject_name(self._name if authority else subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now - DAY if expired else now + DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, key, certificate: x509.Certificate) -> None:
        pem = serialization.Encoding.PEM
        self.certificate(name).write_bytes(certificate.public_bytes(pem))
        self.key(name).write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


def rsa_pair(name: str, bits: int = 2048) -> tuple[bytes, bytes]:
    """A self-signed certificate of an RSA key and that key, as PEM."""
    key = rsa.generate_private_key(65537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), secret


def certified_key(folder: Path, kind: str) -> None:
    """Write ``KIND.key`` and ``KIND.pem``, a key that signs and its own certificate.

    :param kind: ``rsa`` or ``ec``.
    """
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} signer")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - DAY, now + DAY)
    pem = serialization.Encoding.PEM
    text = builder.sign(key, hashes.SHA256()).public_bytes(pem)
    (folder / f"{kind}.pem").write_bytes(text)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{kind}.key").write_bytes(key.private_bytes(pem, form, plain))
    (folder / f"{kind}.key").chmod(0o400)

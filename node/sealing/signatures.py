"""DICOM Digital Signatures: those that objects come with, and those that the node makes.

SECURITY: holds the private keys of ``[signer.*]``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.crypto import signature as signing
from node.dicom import signatures as signed
from node.errors import ProofError, UnreadableError

if TYPE_CHECKING:
    from node.crypto.signature import CertifiedKey
    from node.dicom.reader import DicomObject

PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True, slots=True)
class Finding:
    """What is true of one signature.

    :param result: ``valid``, ``invalid``, ``unknown`` (algorithm or
        certificate), or ``unreadable``.
    :param algorithm: such as ``RSA SHA256``.
    :param certificate: what names the signer's certificate.
    :param pixels: whether the pixels are signed, too.
    """

    result: str
    algorithm: str = ""
    certificate: str = ""
    pixels: bool = False

    def __str__(self) -> str:
        """Say it in words for logs and people."""
        weak = "weak" if self.algorithm.rpartition(" ")[2] in signing.WEAK else ""
        parts = "" if self.pixels or self.result == "unreadable" else "without pixels"
        words = (self.result, weak, self.algorithm, self.certificate, parts)
        return " ".join(word for word in words if word)


def check(obj: DicomObject) -> tuple[Finding, ...]:
    """Return what is true of each signature of an object, in their order."""
    if signed.SIGNATURES not in obj.index:
        return ()
    try:
        return tuple(_check(obj, one) for one in signed.signatures(obj))
    except UnreadableError:
        return (Finding("unreadable"),)


def _check(obj: DicomObject, one: signed.Signature) -> Finding:
    try:
        result, kind = signing.verify(
            one.certificate, one.algorithm, one.stream(obj), one.signature
        )
    except UnreadableError:
        result, kind = "unreadable", ""
    known = one.algorithm if one.algorithm in signing.ALGORITHMS else ""
    return Finding(
        result,
        f"{kind} {known}".strip(),
        signing.fingerprint(one.certificate) if one.certificate else "",
        PIXEL_DATA in one.tags,
    )


class Signatory:
    """Signs objects in the name of a certificate."""

    def __init__(self, key: CertifiedKey) -> None:
        self._key = key

    def sign(self, dataset: bytes, syntax: str, at: float | None) -> bytes:
        """Return a data set (not deflated) with a signature; the same for the same arguments.

        :param at: what the signature says of when it was made; None where that
            must not be told: then it is the first moment of the certificate.
        :raises ProofError: the signature does not verify.
        """
        obj = signed.parsed(dataset, syntax)
        when = self._key.since if at is None else at
        tags, number = signed.signed_tags(obj), signed.free_number(obj)
        own = hashlib.sha256(self._key.certificate)
        for part in signed.signed_bytes(obj, tags):
            own.update(part)
        part = signed.part_of(number, _uid(own.digest()), when, self._key.certificate)
        stream = [*signed.signed_bytes(obj, tags), signed.signed_part(part)]
        made = signed.with_signature(obj, number, tags, part, self._key.sign(stream))
        if check(signed.parsed(made, syntax))[-1].result != "valid":
            raise ProofError("the digital signature does not verify", code="signature")
        return made


def _uid(digest: bytes) -> str:
    """Return ``2.25.`` and a UUID (PS3.5 B.2; RFC 9562, version 8) made of 122 bits of a digest."""
    number = int.from_bytes(digest[:16])
    number &= ~(0xF << 76) & ~(0x3 << 62)
    return f"2.25.{number | 0x8 << 76 | 0x2 << 62}"

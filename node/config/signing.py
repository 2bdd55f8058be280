"""What ``[signer.*]`` may say."""

# ruff: noqa: RUF009 - needed() declares a field, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.config import values as read
from node.config.tables import needed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerTable:
    """``[signer.NAME]``: in whose name objects are signed (DICOM Digital Signatures)."""

    certificate: Path = needed(read.path, "signer/hospital.pem", "its certificate, as PEM")
    key: Path = needed(
        read.path,
        "signer/hospital.key",
        "the key of that certificate, RSA or EC, as PEM without passphrase",
    )

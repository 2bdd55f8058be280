"""What ``[keys]`` may say."""

# ruff: noqa: FBT003, RUF009 - option() declares a field, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.config import values as read
from node.config.tables import option

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """``[keys]``: which cryptography is used; the keys lie in the folder ``keys`` of [node]."""

    profile: str = option(
        read.choice("standard", "fips"),
        "standard",
        'which algorithms may seal: "fips" allows those alone that NIST approves (not validated)',
    )
    dna: bool = option(
        read.flag,
        False,
        "code what is sealed as DNA before AES-256-GCM closes it; adds no security",
    )
    pkcs11_module: Path | None = option(
        read.path,
        None,
        "PKCS #11 library of a token that has the key that opens; needs the extra pkcs11",
        example="/usr/lib/softhsm/libsofthsm2.so",
    )
    token: str | None = option(read.text, None, "label of that token", example="sealnode")
    key: str = option(read.name, "site", "label of the key pair in it")
    pin: Path = option(
        read.path, "token.pin", "file with its PIN; a credential token.pin goes first"
    )

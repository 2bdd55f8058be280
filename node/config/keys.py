"""What ``[keys]`` may say."""

from __future__ import annotations

from dataclasses import dataclass

from node.config import values as read
from node.config.tables import option


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """``[keys]``: which cryptography is used; the keys lie in the folder ``keys`` of [node]."""

    profile: str = option(
        read.choice("standard", "fips"),
        "standard",
        'which algorithms may seal: "fips" allows those alone that NIST approves (not validated)',
    )

"""What ``[attachments]`` may say."""

# ruff: noqa: RUF009 - option() declares a field, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.config import values as read
from node.config.tables import option

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentSettings:
    """``[attachments]``: what other systems give to be sealed with objects. Sizes in bytes."""

    folder: Path | None = option(
        read.path,
        None,
        "drop folder: FHIR JSON, HL7 v2 and PDF, matched by Accession Number",
        example="/var/lib/ehr/out",
    )
    fhir: str | None = option(
        read.web_address,
        None,
        "base URL of a FHIR server that 'nodectl attachments fetch' asks",
        example="https://fhir.example.org/r4",
    )
    fhir_resources: tuple[str, ...] = option(
        read.some(read.name), ["DiagnosticReport"], "resource types that it is asked for"
    )
    fhir_token: Path | None = option(
        read.path, None, "file with the bearer token for it", example="fhir.token"
    )
    fhir_tls: str = option(
        read.optional_name,
        "",
        "name of the [tls.*] table to ask with; empty: what the system trusts",
        names="tls",
    )
    fhir_within: float = option(read.duration("1s", "10m"), "10s", "how long a search may take")
    max_size: int = option(
        read.size("1KiB", "15MiB"), "1MiB", "most that is sealed with one object; more is left out"
    )

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
    max_size: int = option(
        read.size("1KiB", "15MiB"), "1MiB", "most that is sealed with one object; more is left out"
    )

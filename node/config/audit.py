"""What ``[audit]`` and ``[syslog]`` may say."""

# ruff: noqa: FBT003, RUF009 - option() declares a field, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.config import values as read
from node.config.tables import option

if TYPE_CHECKING:
    from pathlib import Path

SIX_YEARS = "2192d"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """``[audit]``: the audit log. Times are in seconds, paths absolute."""

    witness: Path | None = option(
        read.path,
        None,
        "folder on another machine that gets a copy of each signed checkpoint",
        example="/mnt/witness",
    )
    retention: float = option(
        read.duration("1d", "36500d"),
        SIX_YEARS,
        "how long events are kept; whole days go, and the log still proves itself",
    )
    patients: bool = option(
        read.flag,
        True,
        "note the patient of an event, readable with the audit officer's key alone",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogSettings:
    """``[syslog]``: where events go as DICOM audit messages (PS3.15 A.5), beside the log."""

    host: str = option(
        read.optional_host, "", "audit record repository; empty means none", example="arr"
    )
    port: int = option(read.integer(1, 65535), 6514, "its port")
    transport: str = option(
        read.choice("tls", "udp"),
        "tls",
        '"tls" (RFC 5425) loses nothing; "udp" (RFC 5426) may, and anybody can read it',
    )
    tls: str = option(read.optional_name, "", "name of the [tls.*] table to send with", names="tls")
    site: str = option(
        read.optional_name, "", "AuditEnterpriseSiteID of the messages", example="north"
    )

"""What ``[node]`` may say: every option with its reader, its default and one line on it."""

# ruff: noqa: FBT003, RUF009 - option() declares a field, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.config import values as read
from node.config.tables import option, table

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """``[node.timeouts]``: how long the node waits for a peer, in seconds."""

    handshake: float = option(
        read.duration("1s", "10m"), "10s", "to finish a TLS handshake and ask for an association"
    )
    acse: float = option(
        read.duration("1s", "10m"), "30s", "to answer an association or release request"
    )
    dimse: float = option(read.duration("1s", "1h"), "60s", "to answer a C-STORE, C-ECHO or C-FIND")
    network: float = option(read.duration("1s", "1h"), "60s", "to send the next bytes or command")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """``[node]``: the node itself. Times are in seconds, sizes in bytes, paths absolute."""

    aet: str = option(read.ae_title, "SEALNODE", "AE title that modalities send to")
    host: str = option(
        read.host, "127.0.0.1", 'address to listen on; "0.0.0.0" or "::" listens on all of them'
    )
    port: int = option(read.integer(1, 65535), 11112, "TCP port to listen on")
    tls: str = option(
        read.optional_name,
        "",
        "name of the [tls.*] table to listen with; empty means without TLS",
        names="tls",
    )
    state: Path = option(read.path, "state", "folder of the spool, the ledger and the audit log")
    keys: Path = option(read.path, "keys", "folder of the keys; readable by the node's user alone")
    reserve: int = option(
        read.size("0B", "1024TiB"),
        "1GiB",
        "free disk space below which the node asks senders to wait",
    )
    max_object_size: int = option(
        read.size("1MiB", "64GiB"), "4GiB", "largest object that is accepted"
    )
    max_pdu: int = option(read.size("4KiB", "1MiB"), "128KiB", "largest PDU that the node receives")
    max_associations: int = option(
        read.integer(1, 10000), 100, "associations open at once, over all peers"
    )
    associations_per_address: int = option(
        read.integer(1, 10000), 20, "associations open at once from one address"
    )
    unknown_sop_classes: bool = option(
        read.flag, False, "accept storage of SOP classes that this version does not know"
    )
    receivers: int = option(read.integer(1, 64), 1, "receiver processes; they share the port")
    processors: int = option(
        read.integer(0, 256), 0, "processes that seal; 0 means one for each processor core"
    )
    lease: float = option(
        read.duration("10s", "1d"),
        "5m",
        "work that shows no life for so long is given to another worker",
    )
    poll: float = option(
        read.duration("10ms", "1m"), "500ms", "how often an idle worker looks for work"
    )
    retention: float = option(
        read.duration("0s", "3650d"),
        "1d",
        "how long an object stays in the spool after its last delivery",
    )
    break_glass_max: float = option(
        read.duration("0s", "7d"),
        "0s",
        "how long 'nodectl breakglass' may let images of a route pass unsealed; 0s forbids it",
    )
    fetch_aet: str = option(
        read.ae_title, "SEALNODE", "AE title under which the node fetches objects back with C-MOVE"
    )
    fetch_port: int = option(
        read.integer(1, 65535), 11113, "TCP port on which C-MOVE results arrive"
    )
    log_level: str = option(
        read.choice("debug", "info", "warning", "error"),
        "info",
        "least severe event that is logged",
    )
    timeouts: Timeouts = option(table(Timeouts), {}, "how long the node waits for a peer")

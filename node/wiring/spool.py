"""The spool and the audit log, as configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from node.wiring.sealing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from node.accounts.about import Patients
    from node.audit.log import JsonLog
    from node.config.config import Config
    from node.operating.breakglass import BreakGlass
    from node.operating.qualify import Register
    from node.spool.base import BlobStore, Ledger
    from node.spool.storage import Storage
    from node.worker import Doorbell


AUDIT_KEY = "audit.key"


def ledger(config: Config) -> Ledger:
    """Open the rows."""
    from node.spool.sqlite import SqliteLedger

    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqliteLedger(config.node.state / "ledger.db")


def register(config: Config) -> Register:
    """Return what is known of how destinations treat sealed objects."""
    from node.operating.qualify import Register

    return Register(config.node.state / "qualified.json")


def break_glass(config: Config) -> BreakGlass:
    """Return what lets images pass unsealed for a while."""
    from node.operating.breakglass import BreakGlass

    routes = {route.name: route for route in config.routes}
    return BreakGlass(config.node.state / "breakglass.json", routes, config.node.break_glass_max)


def blobs(config: Config) -> BlobStore:
    """Open the bytes."""
    from node.spool.disk import DiskBlobs

    return DiskBlobs(config.node.state / "spool", reserve=config.node.reserve)


def storage(config: Config) -> Storage:
    """Look at the storage under the spool."""
    from node.spool.storage import examine

    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return examine(config.node.state)


def doorbell(config: Config, stage: str) -> Doorbell:
    """Return what wakes a stage."""
    from node.worker import Doorbell

    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Doorbell(config.node.state / f"{stage}.bell")


def audit_log(config: Config) -> JsonLog:
    """Open the audit log for writing.

    :raises ConfigError: another process writes it.
    """
    from node.audit.checkpoint import Signer
    from node.audit.log import JsonLog

    found = (config.node.keys / AUDIT_KEY).exists()
    signer = Signer(keys(config).audit_key()) if found else None
    if signer is None:
        structlog.get_logger().warning("checkpoints_off", hint="there is no audit.key")
    return JsonLog(audit_folder(config), signer=signer)


def patients(config: Config) -> Patients:
    """Return what notes patients in audit events."""
    from node.accounts.about import Patients
    from node.crypto.months import MonthSealer

    officer = keys(config).audit_officer() if config.audit.patients else None
    return Patients(MonthSealer(months_folder(config), officer) if officer else None)


def months_folder(config: Config) -> Path:
    """Return where the keys of the months lie that patients are noted under."""
    return audit_folder(config) / "months"


def audit_folder(config: Config) -> Path:
    """Return where the audit log lies."""
    return config.node.state / "audit"

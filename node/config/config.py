"""A configuration that was read and checked: frozen nouns, paths absolute."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from node.config.attachments import AttachmentSettings
    from node.config.audit import AuditSettings, SyslogSettings
    from node.config.keys import KeySettings
    from node.config.settings import NodeSettings
    from node.types import Action, Destination, Limits, Profile, Route, Source


@dataclass(frozen=True, slots=True)
class Hospital:
    """One ``[hospital.*]``.

    :param mark: 12 bytes; empty for this site's own.
    :param logo: path of a PNG, or ``""``.
    """

    name: str
    title: str
    mark: bytes = b""
    logo: str = ""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """One ``[tls.*]``, its paths absolute and its files there."""

    name: str
    ca: Path
    certificate: Path
    key: Path
    mutual: bool


@dataclass(frozen=True, slots=True)
class SignerFiles:
    """One ``[signer.*]``, its paths absolute and its files there."""

    name: str
    certificate: Path
    key: Path

    @property
    def hidden(self) -> bool:
        """Whether this process may not enter their folder; then only another one can check them."""
        folder = self.key.parent
        return folder.is_dir() and not os.access(folder, os.X_OK)


@dataclass(frozen=True, slots=True)
class Workstation:
    """One ``[workstation.*]``: who may ask the node for what a PACS holds.

    :param pacs: name of the destination that is asked for it.
    :param restore: it gets originals; others get the sealed objects.
    :param host: where C-MOVE sends to it, or ``""`` if it only uses C-GET.
    :param user: whom it must log in as, or ``""``; ``passcode`` is the path of a file.
    :param tls: name of the ``[tls.*]`` table to send with, or ``""``.
    """

    name: str
    aet: str
    addresses: tuple[str, ...]
    pacs: str
    tls_name: str = ""
    user: str = ""
    passcode: str = ""
    restore: bool = False
    host: str = ""
    port: int = 104
    tls: str = ""


@dataclass(frozen=True, slots=True)
class RouteTest:
    """One ``[[test]]``; None in an expectation means that anything will do.

    :param place: file and key path, for whoever reads that it failed.
    """

    place: str
    given: dict[str, tuple[str, ...]]
    route: str | None
    action: Action | None
    to: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration without mistakes.

    :param directory: where it was read from; absolute.
    """

    node: NodeSettings
    sources: dict[str, Source]
    destinations: dict[str, Destination]
    routes: tuple[Route, ...]
    tests: tuple[RouteTest, ...]
    tls: dict[str, TlsFiles]
    directory: Path
    audit: AuditSettings
    attachments: AttachmentSettings
    syslog: SyslogSettings
    keys: KeySettings
    workstations: dict[str, Workstation] = field(default_factory=dict)
    hospitals: dict[str, Hospital] = field(default_factory=dict)
    quality: dict[str, Limits] = field(default_factory=dict)  #: by modality, as configured
    profiles: dict[str, Profile] = field(default_factory=dict)
    signers: dict[str, SignerFiles] = field(default_factory=dict)

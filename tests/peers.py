"""Real peers from Debian: DCMTK and Orthanc, started on the loopback interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import free_ports, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

# pynetdicom installs programs of the same names beside the interpreter: leave those out
ELSEWHERE = [
    p for p in os.environ.get("PATH", "").split(":") if p != str(Path(sys.executable).parent)
]
TUNED = {**os.environ, "TCP_NODELAY": "1", "PATH": ":".join([*ELSEWHERE, "/usr/sbin"])}


def program(name: str) -> str:
    """Return the path of a program of the system's."""
    found = shutil.which(name, path=TUNED["PATH"])
    assert found, f"{name} is not installed"
    return found


def needed(*programs: str) -> None:
    """Skip the test where a program is absent."""
    for name in programs:
        if shutil.which(name, path=TUNED["PATH"]) is None:
            pytest.skip(f"{name} is not installed")


@contextmanager
def running(command: list[str], port: int, log: Path, cwd: Path) -> Iterator[None]:
    """Run a server until the block ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program(command[0]), *command[1:]], stdout=out, stderr=out, cwd=cwd, env=TUNED
        )
    try:
        wait_for(lambda: listening(port), why=f"{command[0]} to listen; see {log}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Pacs:
    """A PACS that knows the node as a C-MOVE destination.

    :param port: of its Storage and Query/Retrieve SCP, AE title ``PACS``.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port


@contextmanager
def orthanc(folder: Path, *, port: int, fetch_port: int) -> Iterator[Pacs]:
    """Start Orthanc with its storage in a folder."""
    needed("Orthanc")
    (http,) = free_ports(1)
    folder.mkdir()
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "test", "StorageDirectory": str(folder), "IndexDirectory": str(folder),
                "DicomAet": "PACS", "DicomPort": port, "HttpPort": http, "HttpServerEnabled": True,
                "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True,
                "DicomAlwaysAllowMove": True,
                "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
                "UnknownSopClassAccepted": True, "OverwriteInstances": True,
                "DicomModalities": {"node": ["SEALNODE", "127.0.0.1", fetch_port]},
            }
        )
    )  # fmt: skip
    command = ["Orthanc", str(folder / "orthanc.json")]
    with running(command, port, folder / "orthanc.log", folder):
        yield Pacs(folder, port)


@contextmanager
def dcmqrscp(folder: Path, *, port: int, fetch_port: int) -> Iterator[Pacs]:
    """Start DCMTK's archive with its storage in a folder."""
    needed("dcmqrscp")
    storage = folder / "storage"
    storage.mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = (SEALNODE, localhost, {fetch_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPACS {storage} RW (500, 1024mb) ANY\nAETable END\n"
    )  # fmt: skip
    command = ["dcmqrscp", "--allow-shutdown", "-c", str(folder / "dcmqrscp.cfg")]
    with running(command, port, folder / "dcmqrscp.log", folder):
        yield Pacs(folder, port)


def storescu(port: int, files: list[Path], *, aet: str = "DEMO") -> dict[Path, bool]:
    """Send files as a modality would; return which were answered with success."""
    sent = {}
    for path in files:
        done = subprocess.run(
            [program("storescu"), "-R", "-aet", aet, "-aec", "SEALNODE",
             "127.0.0.1", str(port), str(path)],
            capture_output=True, env=TUNED, timeout=60, check=False,
        )  # fmt: skip
        sent[path] = done.returncode == 0
    return sent


def settle(seconds: float) -> None:
    """Give a peer a moment that has no event to wait for."""
    time.sleep(seconds)

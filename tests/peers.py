"""Real peers from Debian: DCMTK and Orthanc, started on the loopback interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
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
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # Debian's orthanc-dicomweb
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
    :param http: of Orthanc's REST API; 0 where there is none.
    """

    def __init__(self, folder: Path, port: int, http: int = 0) -> None:
        self.folder = folder
        self.port = port
        self.http = http

    @property
    def url(self) -> str:
        """Of Orthanc's DICOMweb service."""
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def rest(self, method: str, path: str, body: bytes | dict | None = None) -> bytes:
        """Call Orthanc's REST API."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}{path}", data=data, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def find(self, uid: str) -> str:
        """Return the path of an instance in Orthanc's REST API."""
        query = {"Level": "Instance", "Query": {"SOPInstanceUID": uid}}
        (found,) = json.loads(self.rest("POST", "/tools/find", query))
        return f"/instances/{found}"


@contextmanager
def orthanc(
    folder: Path, *, port: int, fetch_port: int, aet: str = "PACS", web: bool = False
) -> Iterator[Pacs]:
    """Start Orthanc with its storage in a folder, and with its DICOMweb plugin if asked to."""
    needed("Orthanc")
    if web and not DICOMWEB.is_file():
        pytest.skip("Orthanc's DICOMweb plugin (orthanc-dicomweb) is not installed")
    (http,) = free_ports(1)
    folder.mkdir()
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "test", "StorageDirectory": str(folder), "IndexDirectory": str(folder),
                "DicomAet": aet, "DicomPort": port, "HttpPort": http, "HttpServerEnabled": True,
                "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True,
                "DicomAlwaysAllowMove": True,
                "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
                "Plugins": [str(DICOMWEB)] if web else [],
                "UnknownSopClassAccepted": True, "OverwriteInstances": True,
                "DicomModalities": {"node": ["SEALNODE", "127.0.0.1", fetch_port]},
            }
        )
    )  # fmt: skip
    command = ["Orthanc", str(folder / "orthanc.json")]
    with running(command, port, folder / "orthanc.log", folder):
        yield Pacs(folder, port, http)


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


def getscu(port: int, folder: Path, *keys: str, aet: str) -> int:
    """Retrieve into a folder as a workstation would, bit for bit; return the exit status."""
    folder.mkdir(exist_ok=True)
    words = [word for key in keys for word in ("-k", key)]
    done = subprocess.run(
        [program("getscu"), "-S", "+B", "-aet", aet, "-aec", "SEALNODE", "-od", str(folder),
         *words, "127.0.0.1", str(port)],
        capture_output=True, env=TUNED, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode


def movescu(port: int, *keys: str, aet: str, to: str) -> str:
    """Ask as a workstation for a C-MOVE; return what it says."""
    words = [word for key in keys for word in ("-k", key)]
    done = subprocess.run(
        [program("movescu"), "-v", "-S", "-aet", aet, "-aem", to, "-aec", "SEALNODE",
         *words, "127.0.0.1", str(port)],
        capture_output=True, env=TUNED, timeout=120, check=False, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def findscu(port: int, *keys: str, aet: str) -> str:
    """Query as a workstation; return what it prints."""
    words = [word for key in keys for word in ("-k", key)]
    done = subprocess.run(
        [program("findscu"), "-S", "-aet", aet, "-aec", "SEALNODE",
         *words, "127.0.0.1", str(port)],
        capture_output=True, env=TUNED, timeout=120, check=False, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


@contextmanager
def storescp(folder: Path, port: int) -> Iterator[None]:
    """Receive as a workstation would, bit for bit, into a folder."""
    needed("storescp")
    folder.mkdir()
    command = ["storescp", "+B", "+xa", "-od", str(folder), str(port)]
    with running(command, port, folder.with_suffix(".log"), folder):
        yield


def settle(seconds: float) -> None:
    """Give a peer a moment that has no event to wait for."""
    time.sleep(seconds)

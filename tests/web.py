"""A small DICOMweb archive to send to and read back from, and one that misbehaves.

It keeps every object as it came, in memory. A test peer on the standard
library, not part of the node::

    with WebPacs() as pacs:
        ...  # pacs.url, pacs.objects
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread
from pydicom.datadict import dictionary_keyword

from node.dicom.limits import Limits
from node.dicom.web.archive import WebArchive
from node.dicom.web.service import Service
from node.dicom.web.stow import StowSender
from node.types import Destination

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

BRISK = Limits(connect=2.0, grace=0.5, max_object=1 << 20)
LEVELS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID",
          "instances": "SOPInstanceUID"}  # fmt: skip
BOUNDARY = "0123456789"


class WebPacs:
    """A running archive.

    :param answer: called with the handler first; what it returns as true was answered.
    :ivar objects: the files by SOP Instance UID.
    :ivar asked: method, path and headers of each request.
    """

    def __init__(
        self,
        *,
        answer: Callable[[BaseHTTPRequestHandler], bool] | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answer = answer
        self._services: list[Service] = []
        outer = self

        class Handler(_Handler):
            pacs = outer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services:
            service.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"{self._scheme}://localhost:{self.port}/dicom-web"

    def service(self, **more: Any) -> Service:
        """Return what asks it."""
        more = {"limits": BRISK, "response": 2.0} | more
        made = Service(Destination("cloud", "", "", 0, url=self.url), **more)
        self._services.append(made)
        return made

    def sender(self) -> StowSender:
        return StowSender(self.service())

    def archive(self) -> WebArchive:
        return WebArchive(self.service())

    def put(self, data: bytes) -> str:
        """Keep a file; return its SOP Instance UID."""
        uid = str(dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID)
        self.objects[uid] = data
        return uid

    def headers(self) -> list[Dataset]:
        return [dcmread(BytesIO(x), stop_before_pixels=True) for x in self.objects.values()]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of those who hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pacs: WebPacs

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", kind: str = "application/dicom+json") -> bool:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def do_GET(self) -> None:
        self.pacs.asked.append(("GET", self.path, dict(self.headers)))
        if self.pacs.answer and self.pacs.answer(self):
            return
        parts = urlsplit(self.path)
        words = parts.path.removeprefix("/dicom-web/").split("/")
        above = dict(zip(words[::2], words[1::2], strict=False))
        if len(words) == 6:
            self._give(above)
        else:
            self._search(words[-1], above, parse_qs(parts.query))

    def _give(self, named: dict[str, str]) -> None:
        data = self.pacs.objects.get(named["instances"])
        if data is None:
            self.reply(404)
            return
        body = multipart(data)
        self.reply(200, body, f'multipart/related; type="application/dicom"; boundary={BOUNDARY}')

    def _search(self, level: str, above: dict[str, str], asked: dict[str, list[str]]) -> None:
        filters = {LEVELS[kind]: uid for kind, uid in above.items()}
        for key, values in asked.items():
            if re.fullmatch("[0-9A-Fa-f]{8}", key):
                filters[dictionary_keyword(int(key, 16))] = values[0]
            elif key in LEVELS.values():
                filters[key] = values[0]
        found: dict[str, dict] = {}
        for ds in self.pacs.headers():
            if all(str(ds.get(k, "")) in v.split(",") for k, v in filters.items()):
                ds.pop(0x00081140, None)
                found.setdefault(str(ds[LEVELS[level]].value), ds.to_json_dict())
        start = int(asked.get("offset", ["0"])[0])
        rows = list(found.values())[start:][:2]  # two are a page here
        self.reply(200 if rows else 204, json.dumps(rows).encode() if rows else b"")

    def do_POST(self) -> None:
        self.pacs.asked.append(("POST", self.path, dict(self.headers)))
        if self.pacs.answer and self.pacs.answer(self):
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = re.search('boundary="(.+)"', self.headers["Content-Type"])[1].encode()
        _, *parts, _ = (b"\r\n" + body).split(b"\r\n--" + boundary)
        stored = []
        for part in parts:
            uid = self.pacs.put(part.partition(b"\r\n\r\n")[2])
            stored.append({"00081155": {"vr": "UI", "Value": [uid]}})
        self.reply(200, json.dumps({"00081199": {"vr": "SQ", "Value": stored}}).encode())


def multipart(*parts: bytes) -> bytes:
    """Return a message with the boundary of this archive."""
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + part for part in parts) + f"\r\n--{BOUNDARY}--\r\n".encode()

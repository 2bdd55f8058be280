"""Asking a FHIR server, over a real socket."""

from __future__ import annotations

import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from running import nodectl

from node.errors import UnreachableError
from node.sealing.fhir import FhirServer, put

MINE = {"resourceType": "DiagnosticReport", "identifier": [{"value": "A1"}], "text": "Grüße"}
OTHER = {"resourceType": "DiagnosticReport", "identifier": [{"value": "B2"}]}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        place = urlsplit(self.path)
        self.server.asked.append((place.path, parse_qs(place.query), dict(self.headers)))
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        pass

    def say(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.asked = []
    found.url = f"http://127.0.0.1:{found.server_port}/r4"
    bundle = {"resourceType": "Bundle", "entry": [{"resource": MINE}, {"resource": OTHER}, 7]}
    found.answer = lambda peer: peer.say(json.dumps(bundle).encode())
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def asking(url: str, **more) -> FhirServer:
    given = {"token": "", "within": 5.0, "max_size": 10_000, "context": None} | more
    return FhirServer(url, ("DiagnosticReport",), **given)


def test_only_what_names_the_number_is_taken_and_the_question_is_as_fhir_has_it(server, tmp_path):
    found = asking(server.url, token="secret").find("A1")
    assert [json.loads(one) for one in found] == [MINE]
    assert asking(server.url).find("A/1 &x") == []

    (path, query, headers), (_, strange, _) = server.asked
    assert (path, query) == ("/r4/DiagnosticReport", {"identifier": ["A1"]})
    assert headers["Authorization"] == "Bearer secret"
    assert strange == {"identifier": ["A/1 &x"]}
    assert "A1" not in put(tmp_path, found[0]).name
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda peer: peer.say(b"", 404), "fhir"),
        (lambda peer: peer.say(b"", 302, Location="http://127.0.0.1:1/"), "fhir"),
        (lambda peer: peer.say(b"<html>"), "fhir_json"),
        (lambda peer: peer.say(b"[" * 9000), "fhir_json"),
        (lambda peer: peer.say(b" " * 100_000), "fhir_size"),
        (lambda peer: peer.wfile.write(b"garbage\r\n\r\n"), "fhir"),
    ],
)
def test_a_server_that_answers_otherwise_is_not_reached(server, answer, code):
    server.answer = answer

    with pytest.raises(UnreachableError) as caught:
        asking(server.url).find("A1")

    assert caught.value.code == code
    assert "A1" not in str(caught.value)


def test_a_server_that_drips_is_left_in_time(server):
    def drip(peer: Handler) -> None:
        peer.send_response(200)
        peer.end_headers()
        for _ in range(100):
            peer.wfile.write(b" ")
            peer.wfile.flush()
            time.sleep(0.02)

    server.answer = drip
    with pytest.raises(UnreachableError) as caught:
        asking(server.url, within=0.2).find("A1")
    assert caught.value.code == "fhir_slow"


def test_the_verb_fills_the_drop_folder_and_goes_on_after_a_failure(server, tmp_path, monkeypatch):
    config = tmp_path / "config"
    nodectl("init", config)
    drop = tmp_path / "drop"
    drop.mkdir()
    node = config / "node.toml"
    said = f'[attachments]\nfolder = "{drop}"\nfhir = "{server.url}"\n'
    node.write_text(node.read_text().replace("[attachments]\n", said))
    whole, times = server.answer, iter([500, 0])
    server.answer = lambda peer: peer.say(b"", 500) if next(times) else whole(peer)
    monkeypatch.setattr("sys.stdin", io.StringIO("A1\n\nA1\n"))

    ended = nodectl("--config", config, "attachments", "fetch", "--json", expect=75)

    assert [(row["line"], row["result"]) for row in ended.rows] == [
        (1, "not fetched"), (3, "fetched"),
    ]  # fmt: skip
    assert [json.loads(path.read_bytes()) for path in drop.iterdir()] == [MINE]
    assert "A1" not in ended.stdout + ended.stderr

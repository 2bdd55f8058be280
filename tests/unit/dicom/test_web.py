"""A DICOMweb archive that is slow, wrong, hostile or gone, and what it is told of us."""

from __future__ import annotations

import hashlib
import json
import time
from io import BytesIO

import pytest
from certificates import Certificates
from sealing import sample

pytest.importorskip("dicomweb_client", reason="the extra 'web' is not installed")

from web import BOUNDARY, WebPacs, multipart

from node.dicom import reader, tls
from node.dicom.retrieve import FetchError, Wanted
from node.dicom.scu import UnansweredError
from node.dicom.sending import Outgoing
from node.dicom.web.archive import WebArchive
from node.dicom.web.login import authorization
from node.dicom.web.multipart import boundary_of, unframe
from node.dicom.web.stow import StowSender
from node.errors import StaleClaimError, UnreachableError, UnreadableError
from node.types import Deferred, Delivered, Destination, Refused

CT = sample("CT_small.dcm")
OBJ = reader.read(CT)
UID = OBJ.text("SOPInstanceUID")
WANTED = Wanted(OBJ.text("StudyInstanceUID"), OBJ.text("SeriesInstanceUID"), UID)
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def item(data: bytes = CT) -> Outgoing:
    return Outgoing(OBJ.text("SOPClassUID"), UID, OBJ.transfer_syntax_uid, lambda: BytesIO(data))


def listing(tag: str, **more: int) -> dict:
    """Return a Store Instances Response with the object in one of its lists."""
    tags = {"reason": "00081197", "warning": "00081196"}
    said = {tags[key]: {"vr": "US", "Value": [value]} for key, value in more.items()}
    return {tag: {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [UID]}} | said]}}


FAILED, STORED = "00081198", "00081199"
SILENT = Deferred("the archive does not say that it keeps it (HTTP 200)")
OTHER = {STORED: {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (200, listing(STORED), Delivered()),
        (200, listing(STORED, warning=0xB000), Delivered(0xB000)),
        (202, listing(STORED, warning=0xB006), Delivered(0xB006)),
        (202, listing(FAILED, reason=0xA700), Deferred("status A700H")),
        (409, listing(FAILED, reason=0xA701), Deferred("status A701H")),
        (409, listing(FAILED, reason=0x0110), Deferred("status 0110H")),
        (409, listing(FAILED, reason=0xA900),
         Refused("status A900H: data set does not match SOP class", 0xA900)),
        (409, listing(FAILED, reason=0xC122), Refused("status C122H: cannot understand", 0xC122)),
        (409, listing(FAILED, reason=0x0122),
         Refused("status 0122H: SOP class not supported", 0x0122)),
        (409, listing(FAILED, reason=0xB00E), Refused("status B00EH: not stored", 0xB00E)),
        (409, listing(FAILED, reason=0), Refused("status 0000H: not stored", 0)),
        (409, listing(FAILED), Refused("the archive does not take it (HTTP 409)")),
        (409, {}, Refused("the archive does not take it (HTTP 409)")),
        (400, "<html>", Refused("the archive cannot understand it (HTTP 400)")),
        (415, {}, Refused("the archive takes no such objects (HTTP 415)")),
        (200, listing(FAILED, reason=0xA700), Deferred("status A700H")),
        # nothing but its own word counts as delivered
        (200, OTHER, SILENT),
        (200, "<html>welcome</html>", SILENT),
        (200, "[" * 5000, SILENT),
        (200, {STORED: {"Value": [7, None, {"00081155": {"Value": {}}}]}}, SILENT),
    ],
)  # fmt: skip
def test_what_an_archive_answers_to_an_object_is_told_apart(status, said, outcome):
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    with WebPacs(answer=lambda to: read_all(to) and to.reply(status, body)) as pacs:
        assert pacs.sender().send(item()) == outcome


def read_all(to) -> bool:
    to.rfile.read(int(to.headers["Content-Length"]))
    return True


@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 500, 502, 503, 507])
def test_trouble_of_the_service_defers_what_was_to_be_sent(status):
    with WebPacs(answer=lambda to: read_all(to) and to.reply(status)) as pacs:
        with pytest.raises(UnreachableError) as error:
            pacs.sender().send(item())
        assert error.value.code == f"http_{status}"
        with pytest.raises(UnreachableError):
            pacs.archive().holds(WANTED)


def test_the_very_bytes_go_out_behind_a_boundary_that_nobody_foresees():
    foul = (
        CT[:-2]
        + b"\r\n--0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1\r\nContent-Type: application/dicom\r\n\r\n"
        + CT
    )
    with WebPacs() as pacs:
        sender = pacs.sender()
        assert sender.send(item(CT)) == Delivered()
        assert pacs.objects[UID] == CT
        assert sender.send(item(foul)) == Delivered()
        assert hashlib.sha256(pacs.objects[UID]).digest() == hashlib.sha256(foul).digest()
        kinds = {headers["Content-Type"] for _, _, headers in pacs.asked}
        assert len(kinds) == 2
        assert pacs.sender().echo() == Delivered()


def test_a_lost_lease_ends_the_sending_of_a_large_object():
    def lost() -> None:
        raise StaleClaimError("gone")

    with WebPacs() as pacs, pytest.raises(StaleClaimError):
        pacs.sender().send(item(CT + bytes(1 << 20)), alive=lost)


def silence(to) -> bool:
    time.sleep(2)
    to.close_connection = True
    return True


def hang_up(to) -> bool:
    to.close_connection = True
    return True


def trickle(to) -> bool:
    to.send_response(200)
    to.send_header("Content-Type", MULTIPART)
    to.end_headers()
    try:
        for _ in range(100):
            to.wfile.write(b"\r")
            to.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    to.close_connection = True
    return True


def endless(to) -> bool:
    to.send_response(200)
    to.send_header("Content-Type", MULTIPART)
    to.send_header("Connection", "close")
    to.end_headers()
    try:
        to.wfile.write(multipart(b"")[: -len(BOUNDARY) - 8])
        while True:
            to.wfile.write(bytes(1 << 16))
    except OSError:
        pass
    to.close_connection = True
    return True


def elsewhere(to) -> bool:
    to.send_response(307)
    to.send_header("Location", "http://127.0.0.1:1/")
    to.send_header("Content-Length", "0")
    to.end_headers()
    return True


def other_object(to) -> bool:
    return to.reply(200, multipart(sample("MR_small.dcm")), MULTIPART)


FETCHES = {
    "silent": (silence, "no_response"),
    "hangs up": (hang_up, "connection"),
    "trickles": (trickle, "slow"),
    "endless": (endless, "too_large"),
    "redirects": (elsewhere, "redirect"),
    "another object": (other_object, "not_requested"),
    "two objects": (lambda to: to.reply(200, multipart(CT, CT), MULTIPART), "several"),
    "no part": (lambda to: to.reply(200, b"", MULTIPART), "cut_off"),
    "cut off": (lambda to: to.reply(200, multipart(CT)[:-20], MULTIPART), "cut_off"),
    "html": (lambda to: to.reply(200, b"<html>", "text/html"), "content_type"),
    "garbage": (lambda to: to.reply(200, multipart(b"garbage"), MULTIPART), "no_dicm"),
    "error": (lambda to: to.reply(500), "http_500"),
    "busy": (lambda to: to.reply(503), "http_503"),
    "not acceptable": (lambda to: to.reply(406), "http_406"),
}


@pytest.mark.parametrize(("answer", "code"), FETCHES.values(), ids=FETCHES)
def test_an_archive_that_gives_something_else_gives_nothing(answer, code, tmp_path):
    with WebPacs(answer=answer) as pacs:
        with pytest.raises(UnreachableError) as error:
            WebArchive(pacs.service(response=0.5)).fetch(WANTED, tmp_path)
        assert error.value.code == code
        assert UID not in f"{error.value!r}{error.value.__cause__!r}"
        assert not [p for p in tmp_path.iterdir() if p.suffix != ".wrong"]
    if code == "not_requested":
        assert isinstance(error.value, FetchError)
        assert error.value.refused == ("not_requested",)
        assert error.value.wrong[0].read_bytes() == sample("MR_small.dcm")


def test_a_single_object_without_parts_is_taken_too(tmp_path):
    with WebPacs(answer=lambda to: to.reply(200, CT, "application/dicom")) as pacs:
        (path,) = pacs.archive().fetch(WANTED, tmp_path)
        assert path.read_bytes() == CT


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (silence, "no_response"),
        (elsewhere, "redirect"),
        (lambda to: to.reply(200, b"[{]"), "json"),
        (lambda to: to.reply(200, b"[" * 100_000), "json"),
        (lambda to: to.reply(200, b"7"), "json"),
        (lambda to: to.reply(200, b'["x"]'), "json"),
        (lambda to: to.reply(200, b"\xff\xfe"), "json"),
        (lambda to: to.reply(200, b'[{"00080018": {"Value": ["../x"]}}]'), "uid"),
        (lambda to: to.reply(404), "http_404"),
    ],
)
def test_nonsense_is_no_answer_to_whether_an_archive_holds_an_object(answer, code):
    with WebPacs(answer=answer) as pacs:
        with pytest.raises(UnreachableError) as error:
            WebArchive(pacs.service(response=0.5)).holds(WANTED)
        assert error.value.code == code


def test_an_archive_that_ignores_the_offset_is_asked_no_more_than_twice():
    match = {"00080018": {"vr": "UI", "Value": [UID]}, "0020000E": {"vr": "UI", "Value": ["1.2"]}}
    with WebPacs(answer=lambda to: to.reply(200, json.dumps([match] * 3).encode())) as pacs:
        found = pacs.archive().contents("STUDY", {"StudyInstanceUID": ("1.2",)})
        assert [one.sop_instance_uid for one in found] == [UID]
        assert len(pacs.asked) == 2


def test_an_archive_that_is_too_long_about_its_list_is_cut_off(monkeypatch):
    monkeypatch.setattr("node.dicom.web.service.MAX_ANSWER", 1000)
    with WebPacs(answer=lambda to: to.reply(200, b"[" + b" " * 5000)) as pacs:
        with pytest.raises(UnreachableError) as error:
            pacs.archive().holds(WANTED)
        assert error.value.code == "too_long"


def test_an_unanswered_object_is_not_known_to_be_lost():
    with WebPacs(answer=silence) as pacs, pytest.raises(UnansweredError):
        StowSender(pacs.service(response=0.5)).send(item())
    with pytest.raises(UnreachableError):
        StowSender(pacs.service(response=0.5)).send(item())


def test_a_token_is_read_anew_for_each_request_and_sent_to_its_service_alone(tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    peer = Destination("cloud", "", "", 0, url="http://127.0.0.1", token=str(file))
    with WebPacs() as pacs:
        archive = WebArchive(pacs.service(authorization=authorization(peer)))
        archive.holds(WANTED)
        file.write_text("second")
        archive.holds(WANTED)
        assert [said["Authorization"] for _, _, said in pacs.asked] == [
            "Bearer first", "Bearer second",
        ]  # fmt: skip
        assert {said["Host"] for _, _, said in pacs.asked} == {f"localhost:{pacs.port}"}
        for wrong in ("", "two words", "a\nb", "ä"):
            file.write_text(wrong)
            with pytest.raises(UnreachableError) as error:
                archive.holds(WANTED)
            assert error.value.code == "secret"


def test_a_password_is_sent_as_basic_authorization(tmp_path):
    (tmp_path / "password").write_text("sesam\n")
    peer = Destination("c", "", "", 0, user="node", password=str(tmp_path / "password"))
    assert authorization(peer)() == "Basic bm9kZTpzZXNhbQ=="
    assert authorization(Destination("c", "", "", 0))() == ""


def test_only_the_authorities_that_are_named_are_trusted(tmp_path):
    ours = Certificates(tmp_path)
    with WebPacs(tls=(ours.certificate("server"), ours.key("server"))) as pacs:
        context = ours.client()
        known = WebArchive(pacs.service(tls=context))
        assert not known.holds(WANTED)
        assert context.cert_store_stats()["x509_ca"] == 1, "the public ones were added"
        with pytest.raises(UnreachableError) as error:
            WebArchive(pacs.service(tls=tls.client_context(ours.certificate("stranger")))).holds(
                WANTED
            )
        assert error.value.code == "tls"
        with pytest.raises(UnreachableError):
            WebArchive(pacs.service(tls=tls.client_context(None))).holds(WANTED)


def test_what_is_no_uid_never_becomes_a_part_of_an_address(tmp_path):
    foul = "../../admin"
    with WebPacs() as pacs:
        archive = pacs.archive()
        assert archive.contents("STUDY", {"StudyInstanceUID": (foul,)}) == []
        assert archive.fetch(Wanted(foul, "1.2", "1.3"), tmp_path) == []
        assert archive.fetch(Wanted("1.1", "1.2", f"{foul}\\?x"), tmp_path) == []
        assert not pacs.asked


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_parts_are_found_however_the_message_is_cut_into_pieces(size):
    content = bytes(range(256)) * 3 + b"\r\n--01234 \r\n-\r\n--"
    message = b"preamble" + multipart(content) + b"epilogue"
    out = BytesIO()
    unframe(
        (message[at : at + size] for at in range(0, len(message), size)),
        BOUNDARY.encode(), out.write,
    )  # fmt: skip
    assert out.getvalue() == content


def test_a_header_without_end_is_cut_off():
    with pytest.raises(UnreadableError):
        unframe((b"x" * 1000 for _ in range(1000)), b"b", lambda _: None)


@pytest.mark.parametrize(
    "said", ["", "text/html", "multipart/related", "multipart/related; boundary=" + "b" * 71,
             "multipart/mixed; boundary=b", 'multipart/related; boundary=""'],
)  # fmt: skip
def test_what_is_no_multipart_message_has_no_boundary(said):
    with pytest.raises(UnreadableError):
        boundary_of(said)

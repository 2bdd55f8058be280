"""A real PACS behind the node, real workstations before it, and what they are protected from."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING

import peers
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit
from running import RunningNode, free_ports, wait_for
from sealing import sample

from node.dicom import reader
from node.types import DeliveryState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUTES = """
[[route]]
name = "all"
match = {{ source = ["demo"] }}
action = "seal"
to = ["pacs-main"]
unsealable = "hold"

[workstation.viewer]
aet = "VIEWER"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
restore = true
host = "127.0.0.1"
port = {viewer}

[workstation.guest]
aet = "GUEST"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
"""
STUDY = "1.2.826.0.1.3680043.10.1234.55"


def study(folder: Path, count: int) -> None:
    """Write a study of two series as files."""
    folder.mkdir()
    for number in range(count):
        ds = dcmread(BytesIO(sample("CT_small.dcm" if number % 2 else "examples_overlay.dcm")))
        ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.{number % 2 + 900}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.{number + 1}"
        ds.PatientName, ds.PatientID, ds.InstanceNumber = "Roe^Richard", "4711", number + 1
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)


class Site:
    """A node with a read-back of everything, its PACS, and what it was sent."""

    def __init__(self, node, pacs, viewer):
        self.node, self.pacs, self.viewer = node, pacs, viewer
        self.originals: dict[str, bytes] = {}

    def send(self, files: list[Path]) -> None:
        """Send files and wait until all are delivered."""
        assert all(peers.storescu(self.node.port, files).values())
        done = {DeliveryState.SENT, DeliveryState.VERIFIED}

        def delivered() -> bool:
            each = [self.node.deliveries(entry.id) for entry in self.node.entries()]
            return all(any(d.state in done for d in some.values()) for some in each)

        wait_for(delivered, why=f"everything to be delivered; see {self.node.log}")
        # storescu writes anew what it sends: the original is what the node was sent
        entries = self.node.entries()
        self.originals = {e.instance.sop_instance_uid: self.node.received(e) for e in entries}

    def held(self, uid: str) -> bytes:
        """Return what Orthanc has of an object."""
        return self.pacs.rest("GET", f"{self.pacs.find(uid)}/file")

    def put(self, data: bytes) -> None:
        """Have Orthanc keep a file, in the place of what it has under the same UIDs."""
        self.pacs.rest("POST", "/instances", data)

    def verdicts(self, uid: str, step: str) -> list[str]:
        """Return the verdicts of the steps of a kind in an object's life."""
        (life,) = self.node.rows("trace", uid)
        return [one["verdict"] for one in life["steps"] if one["step"].startswith(step)]

    def found(self) -> Counter:
        found = Counter()
        for row in self.node.rows("status")[0]["found"]:
            found[row["verdict"]] += row["number"]
        return found

    def get(self, folder: Path, aet: str, *keys: str) -> dict[str, bytes]:
        keys = keys or ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}")
        peers.getscu(self.node.port, folder, *keys, aet=aet)
        return by_uid(folder)


def by_uid(folder: Path) -> dict[str, bytes]:
    files = [path.read_bytes() for path in folder.iterdir()]
    return {reader.read(data).text("SOPInstanceUID"): data for data in files}


def same(one: bytes, other: bytes) -> bool:
    return reader.read(one).dataset == reader.read(other).dataset


def cloud(folder: Path, **ports: int):
    """Start Orthanc as an archive that is reached by DICOMweb."""
    pytest.importorskip("dicomweb_client", reason="the extra 'web' is not installed")
    return peers.orthanc(folder, web=True, **ports)


@pytest.fixture(params=[peers.orthanc, peers.dcmqrscp, cloud], ids=["orthanc", "dcmqrscp", "cloud"])
def start(request):
    return request.param


@pytest.fixture
def opened(start, tmp_path):
    """Give a site to which nothing was sent yet."""
    for name in ("storescu", "getscu", "movescu", "findscu"):
        peers.needed(name)
    port, viewer = free_ports(2)
    node = RunningNode(tmp_path / "node", pacs=port, routes=ROUTES.format(viewer=viewer))
    settings = node.config / "node.toml"
    settings.write_text(
        settings.read_text().replace(
            "[destination.pacs-main]\n",
            '[destination.pacs-main]\nreadback = "100%"\nreadback_after = "1s"\n', 1,
        )
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        pacs = stack.enter_context(start(tmp_path / "pacs", port=port, fetch_port=node.fetch_port))
        if start is cloud:
            by_web(settings, pacs.url, port)
        stack.enter_context(node)
        yield Site(node, pacs, viewer)


@pytest.fixture
def site(opened, tmp_path):
    """Give a site that has delivered and verified six objects."""
    study(tmp_path / "study", 6)
    opened.send(sorted((tmp_path / "study").iterdir()))
    wait_for(lambda: opened.found()["INTACT"] == 6, why=f"6 verdicts; see {opened.node.log}")
    return opened


def by_web(settings: Path, url: str, port: int) -> None:
    """Let the destination be reached by DICOMweb instead."""
    text = settings.read_text()
    for line in ('aet = "PACS"', 'host = "127.0.0.1"', f"port = {port}"):
        assert text.count(f"\n{line}\n") == 1
        text = text.replace(f"\n{line}\n", "\n")
    settings.write_text(text.replace("#url = ", f'url = "{url}"\n#url = ', 1))


def test_what_was_delivered_is_read_back_and_given_to_workstations(site, tmp_path):
    assert site.found() == {"INTACT": 6}
    got = site.get(tmp_path / "viewer", "VIEWER")
    assert set(got) == set(site.originals)
    assert all(same(got[uid], data) for uid, data in site.originals.items())
    guest = site.get(tmp_path / "guest", "GUEST")
    assert set(guest) == set(site.originals)
    assert not any(same(guest[uid], data) for uid, data in site.originals.items())
    assert site.found() == {"INTACT": 18}

    one = f"{STUDY}.2"
    keys = ("QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY}",
            f"SeriesInstanceUID={STUDY}.901", f"SOPInstanceUID={one}")  # fmt: skip
    assert set(site.get(tmp_path / "one", "VIEWER", *keys)) == {one}


def test_a_move_brings_originals_to_a_workstation(site, tmp_path):
    with peers.storescp(tmp_path / "moved", site.viewer):
        keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}")
        said = peers.movescu(site.node.port, *keys, aet="VIEWER", to="VIEWER")
        assert "Success" in said, said
        got = by_uid(tmp_path / "moved")
    assert all(same(got[uid], data) for uid, data in site.originals.items())
    said = peers.movescu(site.node.port, *keys, aet="VIEWER", to="NOWHERE")
    assert "MoveDestinationUnknown" in said.replace(" ", ""), said


def test_queries_of_each_level_are_answered(site):
    port = site.node.port
    said = peers.findscu(port, "QueryRetrieveLevel=STUDY", "PatientID=4711", "StudyInstanceUID",
                         "PatientName", aet="GUEST")  # fmt: skip
    assert f"{STUDY}" in said
    assert "Roe^Richard" in said
    said = peers.findscu(port, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}",
                         "SeriesInstanceUID", aet="GUEST")  # fmt: skip
    assert f"{STUDY}.900" in said
    assert f"{STUDY}.901" in said
    said = peers.findscu(port, "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY}",
                         f"SeriesInstanceUID={STUDY}.900", "SOPInstanceUID",
                         aet="GUEST")  # fmt: skip
    assert said.count("(0008,0018)") >= 3
    assert "Roe" not in site.node.log.read_text()


def pixel_edit(ds):
    words = ds.pixel_array.copy()
    words[30:40, 30:40] += 7
    ds.PixelData = words.tobytes()


def lossy(ds):
    words = (ds.pixel_array.astype(float) / max(1, ds.pixel_array.max()) * 255).astype("uint8")
    ds.PixelData = words.tobytes()
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds["PixelData"].VR = "OB"
    out = BytesIO()
    Image.fromarray(words).save(out, "JPEG", quality=85)
    ds.PixelData = encapsulate([out.getvalue()])
    ds["PixelData"].is_undefined_length = True
    ds.LossyImageCompression = "01"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit


TAMPERS = {
    "pixel edit": (pixel_edit, "TAMPERED"),
    "lossy compression": (lossy, "LOSSY"),
    "blank": (lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))), "TAMPERED"),
}


@pytest.mark.parametrize("start", [peers.orthanc, cloud], ids=["orthanc", "cloud"], indirect=True)
def test_what_happens_to_objects_in_the_pacs_is_found_and_named(site, tmp_path):
    """Pixel edit, lossy compression, header edit, deletion, swap, another version."""
    uids = sorted(site.originals)
    expected = Counter()
    held = {uid: site.pacs.rest("GET", f"{site.pacs.find(uid)}/file") for uid in uids}

    def put(data: bytes) -> None:
        site.pacs.rest("POST", "/instances", data)

    for uid, (change, verdict) in zip(uids, TAMPERS.values(), strict=False):
        ds = dcmread(BytesIO(held[uid]))
        change(ds)
        out = BytesIO()
        ds.save_as(out, enforce_file_format=True)
        put(out.getvalue())
        expected[verdict] += 1
    swapped = dcmread(BytesIO(held[uids[3]]))  # the picture of uids[5], the same size
    swapped.PixelData = dcmread(BytesIO(held[uids[5]])).PixelData
    out = BytesIO()
    swapped.save_as(out, enforce_file_format=True)
    put(out.getvalue())
    expected["TAMPERED"] += 1
    renamed = dcmread(BytesIO(held[uids[4]]))
    renamed.PatientName = "Doe^Jane"
    out = BytesIO()
    renamed.save_as(out, enforce_file_format=True)
    put(out.getvalue())
    expected["HEADER_COERCED"] += 1
    expected["INTACT"] += 1

    before = site.found()
    got = site.get(tmp_path / "viewer", "VIEWER")
    assert site.found() - before == expected
    assert set(got) == {uids[4], uids[5]}
    assert same(got[uids[4]], site.originals[uids[4]]), "the name that was changed is restored"

    site.pacs.rest("DELETE", site.pacs.find(uids[5]))
    before = site.found()
    got = site.get(tmp_path / "again", "VIEWER")
    assert set(got) == {uids[4]}


@pytest.mark.parametrize("start", [peers.orthanc, cloud], ids=["orthanc", "cloud"], indirect=True)
def test_what_the_pacs_lost_before_the_read_back_is_sent_again(site, tmp_path):
    path = tmp_path / "late.dcm"
    ds = dcmread(BytesIO(sample("CT_small.dcm")))
    uid = ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.77"
    ds.save_as(path, enforce_file_format=True)
    settings = site.node.config / "node.toml"
    settings.write_text(
        settings.read_text().replace('readback_after = "1s"', 'readback_after = "4s"')
    )
    site.node.reload()
    assert peers.storescu(site.node.port, [path])[path]
    wait_for(lambda: _there(site.pacs, uid))
    site.pacs.rest("DELETE", site.pacs.find(uid))
    wait_for(lambda: site.found()["MISSING"] == 1, why="the loss to be found")
    wait_for(lambda: site.found()["INTACT"] == 7, why="it to be sent and read back again")
    assert _there(site.pacs, uid)


def _there(pacs, uid: str) -> bool:
    try:
        return bool(pacs.find(uid))
    except ValueError:
        return False


def saved(ds) -> bytes:
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def patient(folder: Path, number: int, sample_name: str = "CT_small.dcm", **more) -> Path:
    """Write one object of a patient of its own."""
    ds = dcmread(BytesIO(sample(sample_name)))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{STUDY}.5.{number}", f"{STUDY}.6.{number}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.7.{number}"
    ds.PatientName, ds.PatientID = f"Patient^{number}", f"P{number}"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    words = ds.pixel_array.copy()
    words[:8, :8] = words[:8, :8] // 2 + number  # no two pictures are alike
    ds.PixelData = words.tobytes()
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}-{len(more)}.dcm"
    path.write_bytes(saved(ds))
    return path


def edited(site, uid: str, change) -> bytes:
    ds = dcmread(BytesIO(site.held(uid)))
    change(ds)
    return saved(ds)


def modified(site, uid: str, **words) -> bytes:
    """Have Orthanc modify an object by its own means, under its old UIDs."""
    kept = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    return site.pacs.rest(
        "POST", f"{site.pacs.find(uid)}/modify", {"Keep": kept, "Force": True, **words}
    )


def as_if(data: bytes, uid: str) -> bytes:
    """Return an object under the UIDs of another."""
    ds, number = dcmread(BytesIO(data)), uid.rpartition(".")[2]
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{STUDY}.5.{number}", f"{STUDY}.6.{number}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    return saved(ds)


def huge(ds) -> None:
    ds.NumberOfFrames = 2400
    ds.PixelData = bytes(2400 * ds.Rows * ds.Columns * 2)


@contextlib.contextmanager
def halted(node: RunningNode, stage: str):
    """Let a stage do nothing during the block."""
    (pid,) = node.children(stage)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def tamper(site: Site, uid: dict[str, str], older: Path) -> None:
    """Have the PACS do to each object what its name says."""
    first, second = (
        site.held(uid["swapped with the next"]),
        site.held(uid["swapped with the one before"]),
    )
    before = patient(older, list(uid).index("replayed"), PatientAge="099Y")
    site.node.nodectl("seal", before, "-o", older / "sealed.dcm")
    tampered = {
        "header edited": modified(site, uid["header edited"], Replace={"PatientName": "Doe^J"}),
        "pixels edited": edited(site, uid["pixels edited"], pixel_edit),
        "compressed by orthanc": as_if(  # it gives it a new UID, a worse PACS does not
            modified(site, uid["compressed by orthanc"], Transcode=str(JPEGExtended12Bit)),
            uid["compressed by orthanc"],
        ),
        "blank": edited(
            site, uid["blank"], lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData)))
        ),
        "swapped with the next": as_if(second, uid["swapped with the next"]),
        "swapped with the one before": as_if(first, uid["swapped with the one before"]),
        "another patient's": edited(
            site, uid["another patient's"],
            lambda ds: setattr(ds, "PixelData", dcmread(BytesIO(first)).PixelData),
        ),
        "replayed": (older / "sealed.dcm").read_bytes(),
        "huge": edited(site, uid["huge"], huge),
        "seal taken off": site.originals[uid["seal taken off"]],
        "compressed elsewhere": edited(site, uid["compressed elsewhere"], lossy),
    }  # fmt: skip
    for way, data in tampered.items():
        if way.startswith("swapped"):  # else Orthanc keeps both: it tells patients apart
            site.pacs.rest("DELETE", site.pacs.find(uid[way]))
        site.put(data)
    site.pacs.rest("DELETE", site.pacs.find(uid["deleted"]))


@pytest.mark.parametrize("start", [peers.orthanc, cloud], ids=["orthanc", "cloud"], indirect=True)
def test_each_way_of_tampering_is_named_rightly_by_read_back_and_by_the_proxy(opened, tmp_path):
    site, folder = opened, tmp_path / "patients"
    ways = [
        "untouched", "header edited", "pixels edited", "compressed by orthanc", "blank",
        "swapped with the next", "swapped with the one before", "another patient's", "replayed",
        "huge", "seal taken off", "deleted", "compressed elsewhere", "untouched, too",
    ]  # fmt: skip
    uid = {way: f"{STUDY}.7.{number}" for number, way in enumerate(ways)}
    twelve_bits = "examples_overlay.dcm"
    files = [patient(folder, number) for number, _ in enumerate(ways)]
    files[3] = patient(folder, 3, twelve_bits)
    with halted(site.node, "verify"):  # nothing is read back until all is tampered with
        site.send(files)
        tamper(site, uid, tmp_path / "older")

    lost = uid["deleted"]
    expected = dict.fromkeys(ways, "TAMPERED") | {
        "untouched": "INTACT", "untouched, too": "INTACT", "header edited": "HEADER_COERCED",
        "compressed by orthanc": "LOSSY", "compressed elsewhere": "LOSSY",
        "seal taken off": "UNMARKED", "deleted": "MISSING",
    }  # fmt: skip
    wait_for(
        lambda: all(site.verdicts(one, "read back") for one in uid.values()), every=1.0,
        why=f"all to be read back; see {site.node.log}",
    )  # fmt: skip
    read_back = {way: site.verdicts(uid[way], "read back")[0] for way in ways}
    assert read_back == expected

    passed = {"untouched", "untouched, too", "header edited", "deleted"}
    wait_for(lambda: site.verdicts(lost, "read back")[-1] == "INTACT", why="it to be sent again")
    for number in range(len(ways)):
        keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}.5.{number}")
        peers.getscu(site.node.port, tmp_path / "viewer", *keys, aet="VIEWER")
    got = by_uid(tmp_path / "viewer")
    assert set(got) == {uid[way] for way in passed}
    assert all(same(data, site.originals[one]) for one, data in got.items())
    retrieved = {way: site.verdicts(uid[way], "retrieve")[-1] for way in ways}
    # an original that is given instead of what was coerced says so in the retrieval's own event
    assert retrieved == expected | {"deleted": "INTACT"}

    settings = site.node.config / "node.toml"
    settings.write_text(
        settings.read_text().replace('readback = "100%"', 'readback = "100%"\non_tamper = "warn"')
    )
    site.node.reload()
    number, blank = ways.index("blank"), uid["blank"]
    keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}.5.{number}")
    peers.getscu(site.node.port, tmp_path / "warned", *keys, aet="VIEWER")
    with peers.storescp(tmp_path / "moved", site.viewer):
        peers.movescu(site.node.port, *keys, aet="VIEWER", to="VIEWER")
        moved = by_uid(tmp_path / "moved")
    for data in (by_uid(tmp_path / "warned")[blank], moved[blank]):
        assert reader.read(data).text("ImageComments").startswith("SEALNODE: TAMPERED: ")

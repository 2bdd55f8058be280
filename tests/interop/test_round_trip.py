"""Every file there is -> node -> a real PACS -> back: what became of it, in one table.

A file comes back identical, was passed on by rule, is held or parked with a
reason, or was refused with a status. None is lost, nothing crashes.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import peers
import pydicom
import pytest
from modality import Answered, LostError, Modality, Sent
from network import CT, IMPLICIT_LE
from running import RunningNode, wait_for

from node import wiring
from node.dicom import headers, pixels, reader
from node.dicom.elements import leading
from node.errors import UnreadableError
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.dicom.codecs import Decoder
    from node.types import SpoolEntry

pytestmark = [pytest.mark.peers, pytest.mark.shared, pytest.mark.slow]

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
NOT_DICOM = {".png", ".md", ".json", ".py", ".pyc", ".txt", ".gz", ".dump", ".icc"}
ROUTES = """
[[route]]
name = "key-objects"
match = {{ source = ["demo"], Modality = ["KO"] }}
action = "relay"
to = ["pacs-main"]

[[route]]
name = "all"
match = {{ source = ["demo"] }}
action = "seal"
to = ["pacs-main"]
unsealable = "{unsealable}"
logo = "logo.png"
"""
WAITING = (EntryState.RECEIVED, EntryState.READY)
CHOKES = 1  # tries
DICM = 132  # PS3.10 7.1: where the meta information begins


@dataclass(frozen=True)
class File:
    """One file of the collections.

    :param path: what is sent; a copy if the file's UID was another's already.
    """

    name: str
    path: Path


def collect(shared: Path, copies: Path) -> list[File]:
    """Return all files; a UID that was there before is replaced by one of the same length."""
    found, seen = [], set()
    copies.mkdir()
    for title, folder in (("shared", shared), ("pydicom", PYDICOM)):
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            if path.suffix in NOT_DICOM or path.name == "README":
                continue
            data, copy = path.read_bytes(), path
            with contextlib.suppress(UnreadableError):
                uid = reader.read(data).text("SOPInstanceUID")
                if uid in seen and len(uid) > 8:
                    copy = copies / f"{len(found)}.dcm"
                    head = uid[:-5].rstrip(".")
                    other = f"{head}.{10 ** (len(uid) - len(head) - 2) + len(found)}"
                    copy.write_bytes(data.replace(uid.encode(), other.encode()))
                    uid = other
                seen.add(uid)
            found.append(File(f"{title}/{path.relative_to(folder)}", copy))
    return found


def storescu(port: int, path: Path) -> bool:
    """Send a file as DCMTK does it, which parses it first; whether it was answered success."""
    done = subprocess.run(
        [peers.program("storescu"), "-v", "-R", "-aet", "DEMO", "-aec", "SEALNODE",
         "127.0.0.1", str(port), str(path)],
        capture_output=True, text=True, errors="replace", env=peers.TUNED, timeout=60, check=False,
    )  # fmt: skip
    return "Received Store Response (Success)" in done.stdout + done.stderr


def as_it_is(data: bytes, number: int) -> Sent:
    """Return what lies behind the meta information, or all of it where there is none."""
    uid = f"1.2.826.0.1.3680043.10.1234.5.{number}"
    nothing = Sent(CT, uid, IMPLICIT_LE, data)
    if data[DICM - 4 : DICM] != b"DICM":
        return nothing
    try:
        meta = leading(data, 0x0002, DICM)
    except UnreadableError:
        return nothing
    values = {
        element.tag: data[element.value : element.stop].decode("latin-1").strip("\0 ")
        for element in meta
    }
    return Sent(
        values.get(0x00020002) or CT,
        values.get(0x00020003) or uid,
        values.get(0x00020010) or IMPLICIT_LE,
        data[meta[-1].end :] if meta else data[DICM:],
    )


def raw(port: int, sent: Sent) -> str:
    """Send bytes as they are; return what the node said."""
    pair = sent.sop_class_uid, sent.transfer_syntax_uid
    with Modality(port, [pair]) as modality:
        if not modality.accepts(*pair):
            return "no context"
        try:
            answer = modality.store(sent)
        except LostError as error:
            return f"ABORTED {error}"
    return "success" if answer == Answered(0) else str(answer)


def same(original: bytes, restored: bytes, codec: Decoder) -> bool:
    """Promise 3: byte for byte where native, else header and decoded words."""
    a, b = reader.read(original), reader.read(restored)
    if a.dataset == b.dataset and a.transfer_syntax_uid == b.transfer_syntax_uid:
        return True
    if a.transfer_syntax_uid in reader.NATIVE_SYNTAXES:
        return False
    words = pixels.load(a, codec).sha256 == pixels.load(b, codec).sha256
    return words and headers.header_bytes(a) == headers.header_bytes(b)


@dataclass(frozen=True)
class Fate:
    """One line of the table."""

    file: str
    sender: str
    answer: str
    node: str = ""
    verdict: str = ""
    result: str = ""


def fetched(node: RunningNode, entry: SpoolEntry, out: Path, codec: Decoder) -> tuple[str, str]:
    """Restore one object from the PACS; return verdict and result."""
    if not entry.instance.study_instance_uid:
        return "", "of no study that could be asked for"
    ended = node.nodectl(
        "--json", "restore", "--from", "pacs-main",
        "--study", entry.instance.study_instance_uid,
        "--sop", entry.instance.sop_instance_uid, "-o", out, expect=None,
    )  # fmt: skip
    if not ended.rows:
        return "", f"MISSING: {ended.stderr.strip()}"
    verdict = ended.rows[0]["verdict"]
    if entry.route == "key-objects":
        return verdict, "passed on by rule"
    if not out.exists():
        return verdict, "NOT RESTORED"
    exact = same(node.received(entry), out.read_bytes(), codec)
    return verdict, "identical" if exact else "DIFFERENT"


def settled(node: RunningNode) -> bool:
    """Hold what the PACS chokes on again and again, as a person would; whether all is done."""
    waiting = [entry for entry in node.entries() if entry.state in WAITING]
    for entry in waiting:
        for delivery in node.deliveries(entry.id).values():
            put_off = delivery.state is DeliveryState.PENDING and delivery.not_before > time.time()
            if put_off and delivery.attempts >= CHOKES:
                node.nodectl("queue", "hold", entry.id, "--reason", f"PACS: {delivery.reason}")
    return not waiting


def fates(node: RunningNode, files: list[File], out: Path) -> Iterator[Fate]:
    """Send everything, wait, fetch everything back."""
    answers: dict[str, Fate] = {}
    for number, file in enumerate(files):
        sent = as_it_is(file.path.read_bytes(), number)
        if storescu(node.port, file.path):
            answers[file.name] = Fate(file.name, "storescu", "success")
        else:
            answers[file.name] = Fate(file.name, "raw", raw(node.port, sent))
    wait_for(lambda: settled(node), seconds=300, every=1.0, why=f"see {node.log}")
    owner = {}
    # the receiver logs before it answers, and one thing is sent after another
    accepted = [fate for fate in answers.values() if fate.answer == "success"]
    for fate, event in zip(accepted, node.events("instance_accepted"), strict=True):
        if event["kind"] == "duplicate":
            yield replace(answers.pop(fate.file), node="the same as another", result="duplicate")
        owner.setdefault(event["entry"], fate.file)
    out.mkdir()
    with wiring.codec() as codec:
        for entry in node.entries():
            fate = answers.pop(owner[entry.id])
            if entry.state is EntryState.DONE:
                path = out / f"{entry.id}.dcm"
                verdict, result = fetched(node, entry, path, codec)
                yield replace(fate, node="sent", verdict=verdict, result=result)
                continue
            reasons = [
                f"{d.destination}: {d.reason}"
                for d in node.deliveries(entry.id).values()
                if d.state in (DeliveryState.PARKED, DeliveryState.PENDING)
            ]
            reason = "; ".join(reasons) or entry.reason
            yield replace(fate, node=f"{entry.state.value}: {reason}", result="kept in the node")
    for fate in answers.values():
        refused = fate.answer not in ("success", "") and "ABORTED" not in fate.answer
        yield replace(fate, result="refused" if refused else "LOST")


def show(found: list[Fate]) -> None:
    """Print the table, and how often each way was gone."""
    print()
    for fate in sorted(found, key=lambda fate: fate.file):
        print(
            f"{fate.file:66} {fate.sender:8} {fate.answer:22} "
            f"{fate.node:44} {fate.verdict:10} {fate.result}"
        )
    print()
    ways = Counter((f.result, f.verdict, f.node or f.answer) for f in found)
    for (result, verdict, why), count in sorted(ways.items()):
        print(f"{count:5}  {result:18} {verdict:10} {why}")


@pytest.mark.parametrize("unsealable", ["hold", "header"])
@pytest.mark.parametrize("start", [peers.orthanc, peers.dcmqrscp], ids=["orthanc", "dcmqrscp"])
def test_every_file_through_a_real_pacs(start, unsealable, shared_dicom, tmp_path):
    peers.needed("storescu")
    files = collect(shared_dicom, tmp_path / "copies")
    (port,) = peers.free_ports(1)
    routes = ROUTES.format(unsealable=unsealable)
    settings = "unknown_sop_classes = true\n"
    node = RunningNode(tmp_path / "node", pacs=port, routes=routes, settings=settings)
    with start(tmp_path / "pacs", port=port, fetch_port=node.fetch_port), node:
        processes = node.children()
        found = list(fates(node, files, tmp_path / "restored"))
        assert node.children() == processes

    show(found)
    counted = Counter(fate.result.partition(":")[0] for fate in found)
    assert [fate for fate in found if fate.result.isupper() or "MISSING" in fate.result] == []
    assert sorted(fate.file for fate in found) == sorted(file.name for file in files)
    ends = {"identical", "passed on by rule", "kept in the node", "refused", "duplicate"}
    ends |= {"of no study that could be asked for"}
    assert set(counted) <= ends
    assert counted["identical"] > (250 if unsealable == "header" else 60)
    # colours that a PACS without their codec gets decoded have another name there
    verdicts = Counter(fate.verdict for fate in found if fate.result == "identical")
    assert verdicts["INTACT"] >= counted["identical"] - 3
    assert not [e for e in node.events() if e["event"].endswith(("_crashed", "_died"))]

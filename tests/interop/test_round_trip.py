"""DCMTK storescu -> node -> a real PACS -> back: what can be sealed comes back identical.

Prints a table of every file: what became of it in the node, and after the PACS.
"""

from __future__ import annotations

from collections import Counter

import peers
import pytest
from running import RunningNode, wait_for

from node import wiring
from node.dicom import headers, pixels, reader
from node.types import EntryState

pytestmark = [pytest.mark.peers, pytest.mark.shared, pytest.mark.slow]

ROUTES = """
[[route]]
name = "all"
match = { source = ["demo"] }
action = "seal"
to = ["pacs-main"]
unsealable = "hold"
logo = "logo.png"
"""
FOLDERS = ("syntax9", "encaps", "rare_ts", "objects", "study_ptct", "synthetic", "malformed")
WAITING = (EntryState.RECEIVED, EntryState.READY)


def same(original: bytes, restored: bytes) -> bool:
    """Promise 3: byte for byte where native, else header and decoded words."""
    a, b = reader.read(original), reader.read(restored)
    if a.transfer_syntax_uid in reader.NATIVE_SYNTAXES:
        return a.dataset == b.dataset
    with wiring.codec() as codec:
        words = pixels.load(a, codec).sha256 == pixels.load(b, codec).sha256
    return words and headers.header_bytes(a) == headers.header_bytes(b)


@pytest.mark.parametrize("start", [peers.orthanc, peers.dcmqrscp], ids=["orthanc", "dcmqrscp"])
def test_every_file_through_a_real_pacs(start, shared_dicom, tmp_path):
    peers.needed("storescu")
    files = sorted(p for name in FOLDERS for p in (shared_dicom / name).glob("*.dcm"))
    (port,) = peers.free_ports(1)
    node = RunningNode(tmp_path / "node", pacs=port, routes=ROUTES)
    with start(tmp_path / "pacs", port=port, fetch_port=node.fetch_port), node:
        sent = peers.storescu(node.port, files)
        wait_for(
            lambda: not [e for e in node.entries() if e.state in WAITING],
            seconds=240,
            why=f"the node to deal with everything; see {node.log}",
        )
        fates: Counter[str] = Counter()
        wrong = []
        for entry in node.entries():
            name = entry.instance.sop_instance_uid[-20:]
            if entry.state is not EntryState.DONE:
                fates[f"{entry.state.value}: {entry.reason}"] += 1
                continue
            out = tmp_path / "restored" / f"{entry.id}.dcm"
            out.parent.mkdir(exist_ok=True)
            (answer,) = node.rows(
                "restore", "--from", "pacs-main", "--study", entry.instance.study_instance_uid,
                "--sop", entry.instance.sop_instance_uid, "-o", str(out), expect=None,
            ) or ({"verdict": "MISSING"},)  # fmt: skip
            exact = out.exists() and same(node.received(entry), out.read_bytes())
            fates[f"{answer['verdict']}, {'identical' if exact else 'DIFFERENT'}"] += 1
            if not exact:
                wrong.append((name, answer))
    print()
    for fate, count in sorted(fates.items()):
        print(f"{count:5}  {fate}")
    print(f"{len(files)} files, {sum(sent.values())} accepted, the others refused to the sender")
    assert not wrong
    assert sum(n for fate, n in fates.items() if fate.endswith("identical")) > 30
    assert sum(fates.values()) == len(node.entries())

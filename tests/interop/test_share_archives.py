"""Shares in real archives: each keeps its object, and k of them give the original back."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from io import BytesIO
from typing import TYPE_CHECKING

import peers
import pytest
from archive import Archive
from network import requestor, sample

from node.crypto.shares import scheme
from node.crypto.shares.judging import State
from node.crypto.shares.signer import Signer
from node.dicom import share_object
from node.dicom.retrieve import Wanted, fetch_by_get
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.slow]

NOW = 1_790_000_000.0
SITE = Signer(bytes(32))


def store(port: int, aet: str, name: share_object.Names, data: bytes) -> None:
    scu = StorageScu(requestor(port, aet=aet, response=30.0))
    scu.send(
        Outgoing(share_object.RAW_DATA, name.sop_uid, "1.2.840.10008.1.2.1", lambda: BytesIO(data))
    )
    scu.close()


def fetch(port: int, aet: str, name: share_object.Names, folder: Path) -> bytes:
    folder.mkdir()
    wanted = Wanted(
        name.study_uid, name.series_uid, name.sop_uid,
        ((share_object.RAW_DATA, "1.2.840.10008.1.2.1"),),
    )  # fmt: skip
    (path,) = fetch_by_get(requestor(port, aet=aet, response=30.0), wanted, folder)
    return share_object.unwrap(path.read_bytes())


def test_three_archives_keep_their_shares_and_any_two_give_the_object(tmp_path):
    peers.needed("Orthanc", "dcmqrscp")
    original = sample().read_bytes()
    origin = os.urandom(16)
    names = [share_object.names(origin, number) for number in (1, 2, 3)]
    shares = scheme.split(original, 2, 3, by=SITE)
    objects = [share_object.wrap(*one, NOW) for one in zip(shares, names, strict=True)]
    one, two, three = peers.free_ports(3)
    with ExitStack() as stack:
        stack.enter_context(peers.orthanc(tmp_path / "orthanc", port=one, fetch_port=three))
        stack.enter_context(peers.dcmqrscp(tmp_path / "dcmtk", port=two, fetch_port=three))
        ours = stack.enter_context(Archive(tmp_path / "ours"))
        places = [(one, "PACS"), (two, "PACS"), (ours.port, "ARCHIVE")]
        for place, name, data in zip(places, names, objects, strict=True):
            store(*place, name, data)
        back = [
            fetch(*place, name, tmp_path / f"back{name.number}")
            for place, name in zip(places, names, strict=True)
        ]
    assert back == shares
    for left_out in range(3):
        gathered = [share for at, share in enumerate(back) if at != left_out]
        assert scheme.combine(gathered, trusted=[SITE.public]).data == original
    lie = bytearray(back[1])
    lie[-9] ^= 1
    done = scheme.combine([back[0], lie, back[2]], trusted=[SITE.public])
    assert done.data == original
    assert [found.state for found in done.report.findings][1] is State.DAMAGED


def test_storescp_takes_a_share_and_keeps_it_whole(tmp_path):
    peers.needed("storescp", "storescu")
    share = scheme.split(b"an object", 2, 2)[0]
    name = share_object.names(b"origin", 1)
    (tmp_path / "share.dcm").write_bytes(share_object.wrap(share, name, NOW))
    (port,) = peers.free_ports(1)
    folder = tmp_path / "in"
    folder.mkdir()
    command = ["storescp", "-od", str(folder), str(port)]
    with peers.running(command, port, tmp_path / "log", tmp_path):
        command = [peers.program("storescu"), "-R", "127.0.0.1", str(port)]
        command.append(str(tmp_path / "share.dcm"))
        subprocess.run(command, check=True, timeout=60, env=peers.TUNED)
    (kept,) = folder.iterdir()
    assert share_object.unwrap(kept.read_bytes()) == share

"""Storage Commitment with Orthanc on both sides: as the PACS, and as the modality that asks."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack

import pytest
from network import sample
from peers import orthanc
from pydicom import dcmread
from running import RunningNode, free_ports, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.peers]

CT = "1.2.840.10008.5.1.4.1.1.2"
UIDS = [f"1.2.826.0.1.3680043.10.1234.5.{number}" for number in range(2)]


def file(uid: str) -> bytes:
    ds = dcmread(sample())
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    written = io.BytesIO()
    ds.save_as(written, enforce_file_format=True)
    return written.getvalue()


@pytest.mark.parametrize("uid", ["keep", "derive"])
def test_orthanc_commits_and_orthanc_hears_of_it(tmp_path, uid):
    port, modality_port = free_ports(2)
    with ExitStack() as stack:
        node = RunningNode(tmp_path / "node", pacs=port)
        text = (node.config / "node.toml").read_text()
        text = text.replace(
            "[source.demo]\n", f'[source.demo]\nhost = "127.0.0.1"\nport = {modality_port}\n', 1
        )
        options = 'commitment = true\ncommitment_after = "0s"\n'
        text = text.replace("[destination.pacs-main]\n", f"[destination.pacs-main]\n{options}", 1)
        (node.config / "node.toml").write_text(text)
        [routes] = (node.config / "routes.d").glob("*.toml")
        routes.write_text(
            routes.read_text().replace('action = "seal"', f'action = "seal"\nuid = "{uid}"', 1)
        )
        pacs = stack.enter_context(orthanc(tmp_path / "pacs", port=port, fetch_port=node.port))
        modality = stack.enter_context(
            orthanc(tmp_path / "modality", port=modality_port, fetch_port=node.port, aet="DEMO")
        )
        stack.enter_context(node)

        ids = [json.loads(modality.rest("POST", "/instances", file(u)))["ID"] for u in UIDS]
        modality.rest("POST", "/modalities/node/store", {"Resources": ids})

        def ask(*uids):
            listed = [{"SOPClassUID": CT, "SOPInstanceUID": one} for one in uids]
            asked = {"DicomInstances": listed}
            answer = modality.rest("POST", "/modalities/node/storage-commitment", asked)
            path = json.loads(answer)["Path"]

            def said():
                return json.loads(modality.rest("GET", path))

            wait_for(lambda: said()["Status"] != "Pending", why=f"Orthanc to hear; see {node.log}")
            return said()

        good = ask(*UIDS)
        assert good["Status"] == "Success"
        assert {row["SOPInstanceUID"] for row in good["Success"]} == set(UIDS)
        for entry in node.entries():
            [delivery] = node.deliveries(entry.id).values()
            assert delivery.committed_at is not None
            kept = delivery.sop_instance_uid
            assert (kept == entry.instance.sop_instance_uid) == (uid == "keep")
            assert pacs.find(kept)
        bad = ask("1.2.3", UIDS[0])
        assert bad["Status"] == "Failure"
        [row] = bad["Failures"]
        assert (row["SOPInstanceUID"], row["FailureReason"]) == ("1.2.3", 0x0112)


def test_what_orthanc_lost_is_sent_again(tmp_path):
    (port,) = free_ports(1)
    with ExitStack() as stack:
        node = RunningNode(tmp_path / "node", pacs=port)
        text = (node.config / "node.toml").read_text()
        options = 'commitment = true\ncommitment_after = "5s"\n'
        text = text.replace("[destination.pacs-main]\n", f"[destination.pacs-main]\n{options}", 1)
        (node.config / "node.toml").write_text(text)
        pacs = stack.enter_context(orthanc(tmp_path / "pacs", port=port, fetch_port=node.port))
        modality = stack.enter_context(
            orthanc(tmp_path / "modality", port=free_ports(1)[0], fetch_port=node.port, aet="DEMO")
        )
        stack.enter_context(node)
        made = json.loads(modality.rest("POST", "/instances", file(UIDS[0])))["ID"]
        modality.rest("POST", "/modalities/node/store", {"Resources": [made]})
        wait_for(lambda: json.loads(pacs.rest("GET", "/instances")))
        pacs.rest("DELETE", pacs.find(UIDS[0]))
        wait_for(
            lambda: node.deliveries(1)["pacs-main"].committed_at, why=f"it all; see {node.log}"
        )
        assert pacs.find(UIDS[0])
        assert node.deliveries(1)["pacs-main"].lost == 1

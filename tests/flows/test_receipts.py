"""A receipt from the node's audit log to an outsider who has nothing but the public key."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from running import nodectl
from sealing import RECEIVED_AT, sample

from node import wiring
from node.config.load import load
from node.types import Action, Decision, Event, Instance

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A node that has sealed one object; with it the files original and sealed."""
    folder = tmp_path_factory.mktemp("site")
    nodectl("init", folder / "config")
    config = load(folder / "config")
    (folder / "original.dcm").write_bytes(sample("CT_small.dcm"))
    ds = dcmread(folder / "original.dcm", stop_before_pixels=True)
    blobs, ledger = wiring.blobs(config), wiring.ledger(config)
    with blobs.put() as incoming, wiring.codec() as codec:
        incoming.write((folder / "original.dcm").read_bytes())
        instance = Instance(
            ds.SOPClassUID, ds.SOPInstanceUID, "1.2", "1.3", ds.file_meta.TransferSyntaxUID,
            incoming.commit(), 1, received_at=RECEIVED_AT,
        )  # fmt: skip
        decision = Decision(config.routes[0], Action.SEAL, ())
        entry = ledger.accept(instance, decision, Event("instance_accepted")).entry
        wiring.processor(config, codec).step()
    (folder / "sealed.dcm").write_bytes(blobs.read(ledger.get(entry)[0].sealed))
    ledger.close()
    mine = "--config", folder / "config", "receipt"
    nodectl(*mine, "show", ds.SOPInstanceUID, "-o", folder / "receipt.txt")
    nodectl(*mine, "key", "-o", folder / "site.pub")
    nodectl(*mine, "key", "--pem", "-o", folder / "site.pem")
    return folder


def check(site: Path, *more: object, expect: int = 0):
    words = "receipt", "check", site / "receipt.txt", "--key", site / "site.pub", *more
    return nodectl(*words, "--json", expect=expect)


def test_an_outsider_finds_both_objects_to_be_those_of_the_receipt(site):
    (row,) = check(site, "--object", site / "sealed.dcm", "--original", site / "original.dcm").rows

    assert (row["object"], row["original"], row["receipt"]["route"]) == ("same", "same", "default")
    text = (site / "receipt.txt").read_text()
    assert "1.2." not in text
    assert "CompressedSamples" not in text


def test_what_came_back_from_the_seal_is_the_original_of_the_receipt(site, tmp_path):
    back = tmp_path / "back.dcm"
    nodectl("--config", site / "config", "restore", site / "sealed.dcm", "-o", back)

    assert check(site, "--original", back).rows[0]["original"] == "same"


def test_another_object_is_not_the_one_of_the_receipt(site, tmp_path):
    ds = dcmread(site / "sealed.dcm")
    ds.PatientName = "Somebody^Else"
    ds.save_as(tmp_path / "renamed.dcm")

    renamed = check(site, "--object", tmp_path / "renamed.dcm", expect=10)
    swapped = check(site, "--object", site / "original.dcm", expect=10)

    assert renamed.rows[0]["object"] == "same pixels"
    assert swapped.rows[0]["object"] == "other"


def test_a_receipt_is_worth_nothing_changed_or_under_another_key(site, tmp_path):
    text = (site / "receipt.txt").read_text()
    (tmp_path / "changed.txt").write_text(text.replace("route: default", "route: defautl"))
    nodectl("receipt", "check", tmp_path / "changed.txt", "--key", site / "site.pub", expect=10)
    nodectl("init", tmp_path / "other")

    ended = nodectl(
        "--config", tmp_path / "other", "receipt", "check", site / "receipt.txt", expect=12
    )

    assert "not known here" in ended.stderr


def test_trace_names_the_step_without_filling_the_screen(site):
    uid = dcmread(site / "original.dcm").SOPInstanceUID

    shown = nodectl("--config", site / "config", "trace", uid).stdout

    assert "sealed" in shown
    assert "original-header" not in shown


@pytest.mark.peers
def test_openssl_checks_the_signature_as_the_manual_says(site, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    script = (
        "sed '/^->/,$d' receipt.txt >{0}/text && sed '1,/^->/d' receipt.txt | base64 -d >{0}/sig &&"
        " openssl pkeyutl -verify -rawin -pubin -inkey site.pem -sigfile {0}/sig -in {0}/text"
    )
    subprocess.run(["sh", "-c", script.format(tmp_path)], cwd=site, check=True)

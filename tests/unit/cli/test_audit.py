"""``nodectl audit``, over a real log."""

from __future__ import annotations

import json
import shutil

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from node import wiring
from node.cli.actor import local_user
from node.config.load import load
from node.reap import drain
from node.types import Event


@pytest.fixture
def logged(site):
    """A site with five events in its log."""
    sink = wiring.audit_log(load(site))
    for seq in range(1, 6):
        sink.append(seq, 1.8e9 + seq, Event("instance_accepted", "pseudonym", "DEMO"))
    sink.flush()
    sink.close()
    return site


def log_file(site):
    return next((site / "state" / "audit").glob("*.jsonl"))


def test_a_whole_log_is_proved(nodectl, logged):
    ended = nodectl("--config", logged, "audit", "verify")

    assert ended.status == 0
    assert ended.stdout == "whole: 5 events, 5 of them under signed checkpoints\n"


def test_a_copy_is_proved_anywhere_with_the_public_key(nodectl, logged, tmp_path):
    shutil.copytree(logged / "state" / "audit", tmp_path / "copy")

    ended = nodectl(
        "audit", "verify", tmp_path / "copy", "--key", logged / "keys" / "audit.pub", "--json"
    )

    assert ended.status == 0
    assert json.loads(ended.stdout)["result"] == "whole"


def test_a_changed_event_exits_20_and_is_named(nodectl, logged):
    path = log_file(logged)
    path.write_bytes(path.read_bytes().replace(b'"seq":3,', b'"seq":3, ', 1))

    ended = nodectl("--config", logged, "audit", "verify", "--json")

    assert ended.status == 20
    assert json.loads(ended.stdout)["result"] == "broken"
    assert json.loads(ended.stdout)["first_bad"] == 3
    assert "nodectl: error: the audit log is broken at event 3" in ended.stderr


def test_tail_shows_the_last_events(nodectl, logged):
    ended = nodectl("--config", logged, "audit", "tail", "-n", "2")
    facts = nodectl("--config", logged, "audit", "tail", "-n", "2", "--json")

    assert ended.stdout == (
        "4 2027-01-15T08:00:04.000000Z instance_accepted success DEMO\n"
        "5 2027-01-15T08:00:05.000000Z instance_accepted success DEMO\n"
    )
    assert [json.loads(line)["seq"] for line in facts.stdout.splitlines()] == [4, 5]


def test_tail_shows_all_where_there_are_few_and_none_where_none_are_asked_for(nodectl, logged):
    assert nodectl("--config", logged, "audit", "tail").stdout.count("\n") == 5
    assert nodectl("--config", logged, "audit", "tail", "-n", "0").stdout == ""


def test_tail_leaves_out_a_line_that_is_being_written(nodectl, logged):
    with log_file(logged).open("ab") as stream:
        stream.write(b'{"seq":6')

    ended = nodectl("--config", logged, "audit", "tail")

    assert ended.status == 0
    assert ended.stdout.count("\n") == 5


def test_a_line_that_is_no_event_exits_20(nodectl, logged):
    with log_file(logged).open("ab") as stream:
        stream.write(b"garbage\n")

    assert nodectl("--config", logged, "audit", "tail").status == 20


def test_a_log_that_is_not_there_exits_4(nodectl, tmp_path):
    ended = nodectl("audit", "verify", tmp_path / "none", "--key", "x")

    assert ended.status == 4
    assert ended.stderr == f"nodectl: error: {tmp_path / 'none'}: there is no such log\n"


def test_rejoin_lets_the_log_go_on_after_an_older_ledger_was_restored(nodectl, logged):
    rows = wiring.ledger(load(logged))
    rows.record(Event("waited"))
    rows.close()

    ended = nodectl("--config", logged, "audit", "rejoin")

    assert ended.status == 0
    proved = nodectl("--config", logged, "audit", "verify")
    assert proved.stdout.startswith("whole: 7 events")  # five, the one that waited, the rejoining


def test_a_proof_of_one_event_is_checked_without_the_log(nodectl, logged, tmp_path):
    proof, key = tmp_path / "proof.json", logged / "keys" / "audit.pub"
    proof.write_text(nodectl("--config", logged, "audit", "prove", "3").stdout)

    ended = nodectl("audit", "check-proof", proof, "--key", key)
    proof.write_text(proof.read_text().replace("DEMO", "DEMI"))
    forged = nodectl("audit", "check-proof", proof, "--key", key)

    assert ended.stdout.startswith("proved: event 3 (instance_accepted, 2027-01-15T08:00:03")
    assert forged.status == 20
    proof.write_text("{")
    assert nodectl("audit", "check-proof", proof, "--key", key).status == 4
    assert nodectl("--config", logged, "audit", "prove", "6").status == 2


def test_growth_since_a_kept_checkpoint_is_proved(nodectl, logged, tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(next((logged / "state" / "audit").glob("*.notes")).read_bytes())
    sink = wiring.audit_log(load(logged))
    sink.append(6, 1.8e9 + 6, Event("instance_accepted"))
    sink.close()
    proof, key = tmp_path / "proof.json", logged / "keys" / "audit.pub"
    proof.write_text(nodectl("--config", logged, "audit", "consistency", kept).stdout)

    ended = nodectl("audit", "check-proof", proof, "--key", key, "--checkpoint", kept)

    assert "the log of 6 events" in ended.stdout
    assert "holds the 5 of" in ended.stdout


def test_a_cut_is_found_by_the_witness(nodectl, logged, tmp_path):
    witness = tmp_path / "witness"
    shutil.copytree(logged / "state" / "audit", witness)
    for path in (logged / "state" / "audit").iterdir():
        path.unlink()

    assert nodectl("--config", logged, "audit", "verify").status == 0
    ended = nodectl("--config", logged, "audit", "verify", "--witness", witness)

    assert ended.status == 20
    assert "5 were signed" in ended.stderr


def test_what_never_arrived_is_shown_as_a_gap(nodectl, site):
    assert nodectl("--config", site, "audit", "gaps").stdout.startswith("none:")
    sink = wiring.audit_log(load(site))
    facts = {"entry": 4, "to": "pacs", "route": "ct", "kind": "new"}
    sink.append(1, 1.8e9, Event("instance_accepted", "pseudonym", "DEMO", facts=facts))
    sink.close()

    [row] = nodectl("--config", site, "audit", "gaps", "--json").stdout.splitlines()

    assert json.loads(row)["missing"] == ["pacs"]
    assert json.loads(row)["state"] == "waiting"


# Reports


@pytest.fixture
def revealed(nodectl, site, tmp_path):
    """A site where somebody has read a record and restored an original."""
    sealed = tmp_path / "sealed.dcm"
    nodectl("--config", site, "seal", get_testdata_file("CT_small.dcm"), "-o", sealed)
    nodectl("--config", site, "extract", sealed)
    nodectl("--config", site, "restore", sealed, "-o", tmp_path / "restored.dcm")
    settle(site)
    return site


def settle(site):
    config = load(site)
    ledger, sink = wiring.ledger(config), wiring.audit_log(config)
    drain(ledger, sink)
    sink.close()
    ledger.close()


def test_who_has_seen_a_patient_is_told_and_so_is_who_asked(nodectl, revealed):
    ended = nodectl("--config", revealed, "audit", "who-revealed", "--patient", "1CT1", "--json")

    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row["event"] for row in rows] == ["record_extracted", "original_restored"]
    assert {row["actor"] for row in rows} == {local_user()}
    assert rows[0]["patient"]["PatientName"] == "CompressedSamples^CT1"
    settle(revealed)
    last = json.loads(
        nodectl("--config", revealed, "audit", "tail", "--json").stdout.split("\n")[-2]
    )
    assert (last["event"], last["facts"]["rows"]) == ("audit_read", 2)
    assert "1CT1" not in "".join(p.read_text() for p in revealed.rglob("*.jsonl"))


def test_a_uid_names_the_object_too(nodectl, revealed):
    uid = dcmread(get_testdata_file("CT_small.dcm")).SOPInstanceUID
    assert "original_restored" in nodectl("--config", revealed, "audit", "who-revealed", uid).stdout
    assert "original" not in nodectl("--config", revealed, "audit", "who-revealed", "1.2").stdout
    assert nodectl("--config", revealed, "audit", "who-revealed").status == 2


def test_without_the_officers_key_no_patient_is_told(nodectl, revealed, tmp_path):
    key = (revealed / "keys" / "audit-officer.key").rename(tmp_path / "officer.key")

    assert nodectl("--config", revealed, "audit", "report", "--patient", "1CT1").status == 12
    table = nodectl("--config", revealed, "audit", "report").stdout
    own = nodectl("--config", revealed, "audit", "report", "--officer", key).stdout

    assert "sealed" in table
    assert "1CT1" not in table
    assert "1CT1" in own


def test_a_report_is_a_csv_and_a_page_that_run_nothing(nodectl, site):
    sink = wiring.audit_log(load(site))
    sink.append(1, 1.8e9, Event("peer_rejected", "", "=cmd|<script>", "refused"))
    sink.close()

    page = nodectl("--config", site, "audit", "report", "--format", "html").stdout
    rows = nodectl("--config", site, "audit", "report", "--format", "csv").stdout

    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert ",'=cmd|<script>," in rows


def test_an_erased_month_leaves_a_log_that_is_whole(nodectl, revealed):
    months = revealed / "state" / "audit" / "months"
    [key] = months.iterdir()
    key.rename(months / "2020-01.month")
    said = nodectl("--config", revealed, "audit", "erase", "--month", "2020-01")
    assert (said.status, "no terminal" in said.stderr) == (2, True)
    nodectl("--config", revealed, "audit", "hold", "case", "--reason", "a court asks")
    held = nodectl("--config", revealed, "audit", "erase", "--month", "2020-01", "--yes")
    assert (held.status, "legal hold stands: case" in held.stderr) == (14, True)
    nodectl("--config", revealed, "audit", "release", "case")

    assert (
        nodectl("--config", revealed, "audit", "erase", "--month", "2020-01", "--yes").status == 0
    )

    settle(revealed)
    assert "2020-01  erased" in nodectl("--config", revealed, "audit", "months").stdout
    assert nodectl("--config", revealed, "audit", "verify").status == 0
    tail = nodectl("--config", revealed, "audit", "tail", "-n", "3", "--json").stdout
    told = [json.loads(line)["event"] for line in tail.splitlines()]
    assert told == ["audit_held", "audit_released", "audit_month_erased"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "xml"])
def test_the_events_of_a_period_are_exported_with_patients_encrypted(
    nodectl, revealed, tmp_path, form
):
    file = tmp_path / f"events.{form}"
    export = ("--config", revealed, "audit", "export", "--format", form, "-o", file)

    assert nodectl(*export).status == 0
    text = file.read_text()
    assert "original_restored" in text
    assert "1CT1" not in text
    assert "CompressedSamples" not in text
    if form == "jsonl":
        assert text == log_file(revealed).read_text()
    settle(revealed)
    assert '"command":"export"' in log_file(revealed).read_text().replace(" ", "")

    again = nodectl(*export)
    assert again.status == 2
    assert "File exists" in again.stderr
    past = nodectl(*export[:-1], tmp_path / "past", "--until", "2001-01-01")
    assert past.stdout == "0 written\n"


def test_an_exported_cell_is_no_formula(nodectl, site, tmp_path):
    sink = wiring.audit_log(load(site))
    sink.append(1, 1.8e9, Event("peer_rejected", "", "=cmd|x", "refused"))
    sink.close()
    file = tmp_path / "events.csv"
    nodectl("--config", site, "audit", "export", "--format", "csv", "-o", file)
    assert ",'=cmd|x," in file.read_text()


def test_trace_is_found_here_too(nodectl, revealed):
    uid = dcmread(get_testdata_file("CT_small.dcm")).SOPInstanceUID
    assert nodectl("--config", revealed, "audit", "trace", uid).stdout == (
        nodectl("--config", revealed, "trace", uid).stdout
    )

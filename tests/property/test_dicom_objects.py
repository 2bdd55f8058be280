"""Laws that hold for every file at hand: read, mark, restore; refuse, never fall over."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import TEST_FILES

from node.dicom import headers, identity, marked, pixels, reader
from node.dicom.codecs import Decoder
from node.dicom.compare import differences
from node.dicom.declaration import Work
from node.errors import UnreadableError, UnsealableError
from node.types import Peer

OUTCOMES = Path(__file__).with_name("dicom_outcomes.txt")
WORK = Work("reversible mark tiles-1", "a1b2c3d4", "0.1.0", 1_700_000_000.0)
FUZZED = (
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "SC_rgb_rle_2frame.dcm",
    "rtplan.dcm",
    "image_dfl.dcm",
)
MALFORMED_MEMORY = 512 << 20  # bytes that reading any hostile file may add


@pytest.fixture(scope="module")
def codec():
    with Decoder() as decoder:
        yield decoder


def marked_and_restored(data: bytes, codec: Decoder, lossy: str) -> tuple[str, bytes]:
    """Mark a file by a move of every sample, restore it, check the law; (outcome, marked)."""
    obj = reader.read(data)
    reader.describe(obj, "", len(data), Peer("", "", ""), 0.0)
    identity.readable(identity.collect(obj))
    loaded, stored, extremes, outcome = None, None, None, "pixels"
    try:
        loaded = pixels.load(obj, codec, lossy=lossy)
    except UnsealableError as error:
        outcome = f"header {error.code}"
    else:
        obj = loaded.obj
        carrier = loaded.carrier
        samples = np.clip(carrier.samples + 1, carrier.low, carrier.high).astype(np.int32)
        stored = loaded.store(samples)
        extremes = int(samples.min()), int(samples.max())
    changes = marked.plan(obj, WORK, image=loaded is not None)
    original = headers.header_bytes(obj)
    copy = headers.header_copy(obj)
    undo = marked.undo(obj, changes, raw=marked.MAX_RAW if copy else None)
    private = {marked.KEY_HINT: b"a1b2c3d4"} | ({marked.HEADER_COPY: copy} if copy else {})
    dataset = marked.dress(obj, changes, stored, private=private, extremes=extremes)
    syntax = stored.transfer_syntax_uid if stored else obj.transfer_syntax_uid
    uids = obj.text("SOPClassUID"), obj.text("SOPInstanceUID")
    sealed = reader.write_part10(*uids, syntax, reader.wire(dataset, syntax))

    found = reader.read(sealed)
    kept = headers.parse_header(headers.open_copy(copy)) if copy else None
    assert marked.undress(found, undo, kept) == original
    if kept:
        ours = {*changes.touched, *(tag for tag in found.index if tag >> 16 == 0x5EA1)}
        assert differences(kept, found, ours) == ()
    if loaded is None:
        back = marked.refill(original, found, obj.file)
    else:
        restored = pixels.load(found, codec).restore(loaded.carrier.samples)
        assert restored.sha256 == loaded.sha256
        back = marked.rebuild(original, restored, obj.file)
        again = reader.read(back)
        assert headers.header_bytes(again) == original
        assert pixels.load(again, codec).sha256 == loaded.sha256
    syntax_kept = obj.transfer_syntax_uid == reader.read(data).transfer_syntax_uid
    native = obj.transfer_syntax_uid in reader.NATIVE_SYNTAXES - {reader.DEFLATED_LE}
    if syntax_kept and (native or loaded is None) and syntax != reader.DEFLATED_LE:
        assert back == data
    return outcome, sealed


def outcome_of(path: Path, codec: Decoder, lossy: str = "refuse") -> str:
    try:
        return marked_and_restored(path.read_bytes(), codec, lossy)[0]
    except UnreadableError as error:
        return f"unreadable {error.code}"
    except UnsealableError as error:
        return f"unsealable {error.code}"


def table(root: Path, paths: list[Path], codec: Decoder) -> str:
    lines = [f"{path.relative_to(root)}: {outcome_of(path, codec)}\n" for path in paths]
    return "".join(lines)


@pytest.mark.parametrize("path", sorted(TEST_FILES.glob("*.dcm")), ids=lambda path: path.name)
@pytest.mark.parametrize("lossy", ["refuse", "decode"])
def test_every_file_of_pydicom_is_restored_exactly_or_refused_with_a_reason(path, lossy, codec):
    kind, _, code = outcome_of(path, codec, lossy).partition(" ")
    assert kind == "pixels" or (kind in {"header", "unreadable", "unsealable"} and code)


@pytest.mark.shared
def test_every_file_of_the_collection_comes_to_the_end_that_is_on_record(shared_dicom, codec):
    """If a change of the outcome is meant, write the table printed here to the golden file."""
    found = table(shared_dicom, sorted(shared_dicom.rglob("*.dcm")), codec)
    print(found)
    assert found == OUTCOMES.read_text()


@pytest.mark.shared
def test_no_hostile_file_takes_much_memory_or_leaves_a_crash(shared_dicom, codec):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for path in sorted((shared_dicom / "malformed").glob("*.dcm")):
        assert outcome_of(path, codec)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert after - before < MALFORMED_MEMORY


def fuzzed(data: st.DataObject) -> bytes:
    """A file of pydicom with a few bytes of its header changed, put in or left out."""
    name = data.draw(st.sampled_from(FUZZED))
    body = bytearray((TEST_FILES / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        if len(body) <= 128:
            break
        at = data.draw(st.integers(128, min(len(body), 3000) - 1))
        kind = data.draw(st.sampled_from(["change", "change", "put in", "leave out", "cut"]))
        if kind == "change":
            body[at] = data.draw(st.integers(0, 255))
        elif kind == "put in":
            body[at:at] = data.draw(st.binary(min_size=1, max_size=12))
        elif kind == "leave out":
            del body[at : at + data.draw(st.integers(1, 12))]
        else:
            del body[data.draw(st.integers(at, len(body))) :]
    return bytes(body)


def check_fuzzed(data: st.DataObject, codec: Decoder) -> None:
    try:
        marked_and_restored(fuzzed(data), codec, "refuse")
    except (UnreadableError, UnsealableError) as error:
        assert error.code  # noqa: PT017 - either outcome is right


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_damaged_file_is_restored_exactly_or_refused(codec, data):
    check_fuzzed(data, codec)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_many_damaged_files_are_restored_exactly_or_refused(codec, data):
    check_fuzzed(data, codec)


def errors(command: list[str], path: Path) -> set[str]:
    """The complaints of a checking tool, without what names the file."""
    run = subprocess.run([*command, path], capture_output=True, timeout=60, check=False)
    text = (run.stdout + run.stderr).decode("latin-1").replace(str(path), "FILE")
    # Offsets and the UIDs of file meta information may differ.
    return {
        line.split(" - ")[-1].split("(offset")[0]
        for line in text.splitlines()
        if line.startswith(("Error", "E: ", "W: ")) and "Media Storage" not in line
    }


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.shared
@pytest.mark.parametrize("tool", [["dciodvfy"], ["dcmdump", "+L"]], ids=lambda tool: tool[0])
def test_marking_adds_no_error_that_checkers_see(shared_dicom, codec, tmp_path, tool):
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not on the PATH")
    checked = 0
    for path in sorted(shared_dicom.rglob("*.dcm")):
        if "malformed" in path.parts or path.stat().st_size > 1_200_000:
            continue
        try:
            _, sealed = marked_and_restored(path.read_bytes(), codec, "refuse")
        except (UnreadableError, UnsealableError):
            continue
        after = tmp_path / "sealed.dcm"
        after.write_bytes(sealed)
        assert errors(tool, after) <= errors(tool, path), path.name
        checked += 1
    assert checked > 100

"""Every test file there is: sealed and restored exactly, or refused with a reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from sealing import ORDER, examiner, marker

from node.crypto.keyring import MemoryKeys
from node.dicom import headers, pixels, reader
from node.dicom.codecs import Decoder
from node.errors import DoesNotFitError, ProofError, UnreadableError, UnsealableError
from node.types import VerdictKind

KEYS = MemoryKeys([b"k" * 32])
PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
PYNETDICOM = Path(pynetdicom.__file__).parent / "tests" / "dicom_files"


@pytest.fixture(scope="module")
def codec():
    with Decoder() as made:
        yield made


def fate(data: bytes, codec: Decoder) -> str:
    """Seal one file, in the header if need be, and restore it; return what became of it."""
    order, why = replace(ORDER, keep_file=True), ""
    try:
        try:
            made = marker(KEYS, codec).mark(data, order)
        except (UnsealableError, DoesNotFitError) as error:
            why = f", pixels: {error.code}"
            made = marker(KEYS, codec).mark(data, replace(order, carrier="header"))
    except (UnsealableError, UnreadableError) as error:
        return f"{type(error).__name__.removesuffix('Error').lower()}: {error.code}"
    except ProofError as error:
        return f"FAILED: {error}"
    found = examiner(KEYS, codec).examine(made.data)
    assert found.verdict.kind is VerdictKind.INTACT
    assert found.exact
    original, restored = reader.read(data), reader.read(found.restored)
    assert headers.header_bytes(restored) == headers.header_bytes(original)
    if original.transfer_syntax_uid in reader.NATIVE_SYNTAXES or made.carrier == "header":
        if original.transfer_syntax_uid != reader.DEFLATED_LE:
            assert found.restored == data
        assert restored.dataset == original.dataset
        return f"identical ({made.carrier}{why})"
    assert pixels.load(restored, codec).sha256 == pixels.load(original, codec).sha256
    return f"same pixels and header ({made.carrier}{why})"


def report(folder: Path, fates: dict[Path, str]) -> None:
    print()
    for path, what in fates.items():
        print(f"{path.relative_to(folder)!s:60} {what}")
    print(Counter(what.partition(":")[0] for what in fates.values()))
    assert not [path.name for path, what in fates.items() if what.startswith("FAILED")]


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in {"", ".dcm"})


@pytest.mark.parametrize("folder", [PYDICOM, PYNETDICOM], ids=["pydicom", "pynetdicom"])
def test_every_file_of_the_packages_comes_back_or_says_why_not(folder, codec):
    fates = {path: fate(path.read_bytes(), codec) for path in files(folder)}

    report(folder, fates)
    assert sum(what.startswith(("identical", "same")) for what in fates.values()) > 3


@pytest.mark.shared
@pytest.mark.slow
def test_every_file_of_the_collection_comes_back_or_says_why_not(shared_dicom, codec):
    fates = {path: fate(path.read_bytes(), codec) for path in files(shared_dicom)}

    report(shared_dicom, fates)
    sealed = sum(what.startswith(("identical", "same")) for what in fates.values())
    assert sealed > 100

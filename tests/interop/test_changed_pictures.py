"""What the verdict is on pictures that other software changed: DCMTK, ImageMagick, OpenJPEG."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from peers import needed, program
from PIL import Image
from pydicom import dcmread
from sealing import ORDER, marker, sample

from node.config.config import Hospital
from node.crypto.keyring import MemoryKeys
from node.dicom.codecs import Decoder
from node.mark.embedder import TiledEmbedder
from node.mark.message import own
from node.sealing.copies import Copies
from node.types import Region, VerdictKind
from node.verify import Examiner

pytestmark = [pytest.mark.peers, pytest.mark.slow]

KEYS = MemoryKeys([b"k" * 32])
KEY = b"r" * 32
COPIES = Copies([Hospital("own", "Example Hospital")], KEY)
TAMPERED, LOSSY, INTACT = VerdictKind.TAMPERED, VerdictKind.LOSSY, VerdictKind.INTACT


@pytest.fixture(scope="module")
def codec():
    with Decoder() as made:
        yield made


@pytest.fixture(scope="module")
def examiner(codec):
    return Examiner(KEYS.opener(), TiledEmbedder(), codec, COPIES)


def seal(folder, **how):
    path = folder / "sealed.dcm"
    path.write_bytes(marker(KEYS).mark(sample("693_UNCR.dcm"), replace(ORDER, **how)).data)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return seal(tmp_path_factory.mktemp("plain"), recovery=True)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return seal(tmp_path_factory.mktemp("named"), robust=own(KEY).message(7))


def run(*command: object) -> None:
    name, *arguments = map(str, command)
    subprocess.run([program(name), *arguments], check=True, capture_output=True, timeout=60)


def magick(sealed, folder, *operations: str) -> bytes:
    """Let ImageMagick work on the samples, and put them into the same data set."""
    needed("convert", "identify")
    ds = dcmread(sealed)
    rows, columns = ds.Rows, ds.Columns
    raw, done = folder / "in.gray", folder / "out.gray"
    raw.write_bytes((ds.pixel_array.astype(np.int32) + 2048).astype("<u2").tobytes())
    depth = ("-depth", "16", "-endian", "LSB")
    given = ("-size", f"{columns}x{rows}", *depth, f"gray:{raw}")
    run("convert", *given, *operations, *depth, f"gray:{done}")
    size = subprocess.run(
        [program("convert"), *given, *operations, "-format", "%w %h", "info:"],
        check=True, capture_output=True, timeout=60, text=True,
    ).stdout  # fmt: skip
    ds.Columns, ds.Rows = map(int, size.split())
    samples = np.frombuffer(done.read_bytes(), "<u2").astype(np.int32) - 2048
    ds.PixelData = samples.astype("<i2").tobytes()
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize("how", [("+ee", "+q", "90"), ("+eb", "+Wi", "1", "+q", "50")])
def test_what_dcmtk_compressed_with_loss_is_lossy_where_the_robust_mark_is_left(
    named, plain, tmp_path, examiner, how
):
    needed("dcmcjpeg")
    found = []
    for sealed in (named, plain):
        made = tmp_path / "lossy.dcm"
        run("dcmcjpeg", *how, sealed, made)
        found.append(examiner.examine(made.read_bytes()).verdict)

    assert (found[0].kind, found[0].recipient) == (LOSSY, 7)
    assert found[1].kind is TAMPERED
    assert found[1].reason.endswith("compressed with loss")


def test_what_dcmtk_compressed_without_loss_is_intact(named, tmp_path, examiner):
    needed("dcmcjpeg")
    run("dcmcjpeg", "+e1", named, tmp_path / "lossless.dcm")

    found = examiner.examine((tmp_path / "lossless.dcm").read_bytes())

    assert found.verdict.kind is INTACT
    assert found.exact


def test_jpeg_2000_with_loss_leaves_the_robust_mark_alone(named, plain, examiner):
    def compressed(sealed) -> bytes:
        ds = dcmread(sealed)
        samples = (ds.pixel_array.astype(np.int32) + 2048).astype(np.uint16)
        stream = io.BytesIO()
        Image.fromarray(samples).save(
            stream, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[8]
        )
        ds.PixelData = (
            (np.asarray(Image.open(stream)).astype(np.int32) - 2048).astype("<i2").tobytes()
        )
        out = io.BytesIO()
        ds.save_as(out)
        return out.getvalue()

    assert examiner.examine(compressed(named)).verdict.kind is LOSSY
    assert examiner.examine(compressed(plain)).verdict.kind is TAMPERED


def test_a_region_that_imagemagick_painted_over_is_named_and_nothing_else(
    plain, named, tmp_path, examiner
):
    paint = ("-fill", "gray5", "-draw", "rectangle 200,300 223,317")
    for sealed in (plain, named):
        found = examiner.examine(magick(sealed, tmp_path, *paint))

        assert found.verdict.kind is TAMPERED
        assert found.verdict.regions == (Region(0, 256, 192, 64, 64),)
    (detail,) = examiner.examine(magick(plain, tmp_path, *paint)).verdict.details
    assert 296 <= detail.row < detail.row + detail.rows <= 320
    assert 200 <= detail.column < detail.column + detail.columns <= 224


def test_doing_nothing_with_imagemagick_is_no_change(plain, tmp_path, examiner):
    assert examiner.examine(magick(plain, tmp_path)).verdict.kind is INTACT


@pytest.mark.parametrize(
    "operations",
    [
        ("-flop",),
        ("-flip",),
        ("-rotate", "90"),
        ("-crop", "448x448+64+64", "+repage"),
        ("-shave", "1x1"),
        ("-resize", "50%"),
        ("-resize", "50%", "-resize", "200%"),
        ("-equalize",),
        ("-blur", "0x1"),
        ("-negate",),
    ],
    ids=" ".join,
)
def test_a_picture_that_was_changed_as_a_whole_is_never_taken_for_untouched_or_unmarked(
    plain, named, tmp_path, examiner, operations
):
    alone = examiner.examine(magick(plain, tmp_path, *operations))
    both = examiner.examine(magick(named, tmp_path, *operations))

    assert alone.verdict.kind is TAMPERED
    assert alone.verdict.regions
    assert both.verdict.kind in {TAMPERED, LOSSY}
    assert not alone.exact
    assert not both.exact


@pytest.mark.parametrize(
    "operations", [("-equalize",), ("-blur", "0x1"), ("-evaluate", "add", "15")]
)
def test_what_only_displays_differently_is_lossy_with_the_robust_mark(
    named, tmp_path, examiner, operations
):
    assert examiner.examine(magick(named, tmp_path, *operations)).verdict.kind is LOSSY


def test_another_window_in_the_header_is_coerced_not_tampered(named, examiner):
    ds = dcmread(named)
    ds.WindowCenter, ds.WindowWidth = 300, 2000
    out = io.BytesIO()
    ds.save_as(out)

    verdict = examiner.examine(out.getvalue()).verdict

    assert verdict.kind is VerdictKind.HEADER_COERCED
    assert verdict.coerced == ("WindowCenter", "WindowWidth")

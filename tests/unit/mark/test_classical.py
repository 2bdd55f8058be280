"""The classical methods: what each survives, and what none of them can do."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sealing import sample

from node.dicom import pixels, reader
from node.errors import DoesNotFitError, UnmarkedError
from node.mark.classical import framing
from node.mark.classical.dct import BASIS, CosineEmbedder
from node.mark.classical.dft import FourierEmbedder
from node.mark.classical.dwt_svd import SingularValueEmbedder
from node.mark.classical.lsb import LsbEmbedder
from node.mark.quality import measure
from node.mark.strength import displayed
from node.types import Carrier

KEY, PAYLOAD = bytes(range(32)), b"a payload of 24 bytes..."
CLASSICAL = [LsbEmbedder(), CosineEmbedder(), FourierEmbedder(), SingularValueEmbedder()]
ROBUST = [embedder for embedder in CLASSICAL if embedder.traits.robust]


def named(embedder):
    return embedder.name


@pytest.fixture(scope="module")
def mr() -> Carrier:
    """An MR slice as a screen shows it, 8 bits."""
    found = pixels.load(reader.read(sample("MR-SIEMENS-DICOM-WithOverlays.dcm")))
    samples = displayed(found.carrier.samples, found.window).astype(np.int32)
    return Carrier(samples, np.array([[0]], np.int32), np.array([[255]], np.int32), len(samples))


def jpeg(samples, quality):
    file = io.BytesIO()
    Image.fromarray(samples.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(np.int32)


def noisy(samples):
    noise = np.random.default_rng(4).normal(0, 3, samples.shape)
    return np.clip(np.rint(samples + noise), 0, 255).astype(np.int32)


@pytest.mark.parametrize("embedder", ROBUST, ids=named)
@pytest.mark.parametrize(
    "attack",
    [lambda s: jpeg(s, 90), lambda s: jpeg(s, 70), noisy],
    ids=["JPEG 90", "JPEG 70", "noise"],
)
def test_a_robust_method_survives_a_lossy_copy(embedder, attack, mr):
    copy = attack(embedder.embed(mr, PAYLOAD, KEY))
    assert embedder.extract(replace(mr, samples=copy), KEY).payload == PAYLOAD


def test_lsb_matching_survives_nothing(mr):
    embedder = LsbEmbedder()
    marked = embedder.embed(mr, PAYLOAD, KEY)
    with pytest.raises(UnmarkedError):
        embedder.extract(replace(mr, samples=jpeg(marked, 100)), KEY)
    with pytest.raises(UnmarkedError):
        embedder.extract(replace(mr, samples=marked ^ 1), KEY)


@pytest.mark.parametrize("embedder", ROBUST, ids=named)
def test_no_method_reads_a_picture_of_another_size(embedder, mr):
    marked = embedder.embed(mr, PAYLOAD, KEY)
    part = marked[4:-12, 4:-12]
    with pytest.raises(UnmarkedError):
        embedder.extract(replace(mr, samples=part, frame_rows=len(part)), KEY)


@pytest.mark.parametrize("embedder", ROBUST, ids=named)
def test_marks_cost_42_to_50_decibels_and_none_is_taken_out(embedder, mr):
    marked = embedder.embed(mr, PAYLOAD, KEY)
    assert 42 < measure(mr.samples, marked, 8).psnr_stored < 50
    found = embedder.extract(replace(mr, samples=marked), KEY)
    assert np.array_equal(found.samples, marked)


def test_lsb_matching_changes_by_one_both_ways_and_only_what_it_needs(mr):
    change = LsbEmbedder().embed(mr, PAYLOAD, KEY) - mr.samples
    bits = 8 * (4 + len(PAYLOAD) + 8)
    assert set(np.unique(change).tolist()) == {-1, 0, 1}
    assert 0.3 * bits < np.count_nonzero(change) < 0.7 * bits


def test_lsb_matching_leaves_values_between_forbidden_ones_alone():
    samples = np.tile(np.array([[3, 4, 5, 9]], np.int32), (64, 32))
    tight = Carrier(samples, np.array([[4]], np.int32), np.array([[9]], np.int32), 64, (5, 8))
    marked = LsbEmbedder().embed(tight, b"", KEY)
    moved = marked != samples
    assert not moved[samples != 3].any()  # 4 and 9 have padding on one side, the end on the other
    assert not ((marked >= 5) & (marked <= 8) & (samples != 5)).any()


@pytest.mark.parametrize("embedder", ROBUST, ids=named)
def test_a_frame_too_small_for_a_slot_is_refused(embedder):
    tiny = Carrier(
        np.arange(12, dtype=np.int32).reshape(3, 4), np.array([[0]]), np.array([[255]]), 3
    )
    assert embedder.capacity(tiny) == 0
    with pytest.raises(DoesNotFitError):
        embedder.embed(tiny, b"", KEY)
    with pytest.raises(UnmarkedError):
        embedder.extract(tiny, KEY)


def test_the_cosine_basis_is_orthonormal():
    assert np.allclose(BASIS @ BASIS.T, np.eye(8))


def test_a_fifth_of_the_slots_may_be_wrong_where_there_is_room_to_repeat():
    symbols = framing.encode(PAYLOAD, KEY, 8000)
    soft = 1.0 - 2.0 * symbols
    soft[np.random.default_rng(3).random(8000) < 0.2] *= -1
    found = framing.Reader(KEY, 8000)
    assert found.length(soft) == len(PAYLOAD)
    assert found.payload(soft, len(PAYLOAD)) == PAYLOAD


def test_what_does_not_fit_the_slots_is_refused():
    size = framing.capacity(2000)
    assert framing.encode(bytes(size), KEY, 2000).size == 2000
    with pytest.raises(ValueError, match="fit"):
        framing.encode(bytes(size + 1), KEY, 2000)

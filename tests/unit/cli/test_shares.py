"""``nodectl shares``: files in, shares out, and back."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from node.crypto.shares import signer

CONTENT = os.urandom(3000)


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "object.dcm"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def drawing(tmp_path):
    grey = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2
    Image.fromarray(grey).save(tmp_path / "drawing.png")
    return tmp_path / "drawing.png"


def split(nodectl, file, folder, *more, k=2, n=3):
    ended = nodectl("shares", "split", file, "-k", k, "-n", n, "-o", folder, *more)
    assert ended.status == 0, ended.stderr
    return sorted(folder.iterdir())


def rows(ended):
    return [json.loads(line) for line in ended.stdout.splitlines()]


def seen(path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


def spoil(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("scheme", ["computational", "perfect"])
@pytest.mark.parametrize("dicom", [(), ("--dicom",)])
def test_any_two_of_three_give_the_file(nodectl, original, tmp_path, scheme, dicom):
    paths = split(nodectl, original, tmp_path / "out", "--scheme", scheme, *dicom)
    for left_out in paths:
        given = [path for path in paths if path != left_out]
        ended = nodectl("shares", "combine", *given, "-o", tmp_path / "back")
        assert ended.status == 0
        assert "nobody vouches" in ended.stderr
        assert (tmp_path / "back").read_bytes() == CONTENT


def test_one_share_is_too_few(nodectl, original, tmp_path):
    paths = split(nodectl, original, tmp_path / "out")
    ended = nodectl("shares", "combine", paths[0], "-o", tmp_path / "back")
    assert ended.status == 4
    assert "2 are needed" in ended.stderr
    assert not (tmp_path / "back").exists()


def test_a_damaged_share_is_named_and_left_out(nodectl, original, tmp_path):
    paths = split(nodectl, original, tmp_path / "out")
    spoil(paths[1])
    ended = nodectl("--json", "shares", "combine", *paths, "-o", tmp_path / "back")
    assert ended.status == 0
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert rows(ended)[0]["left_out"] == [str(paths[1])]
    checked = nodectl("--json", "shares", "check", *paths)
    assert checked.status == 10
    assert [row["state"] for row in rows(checked)] == ["good", "damaged", "good"]
    assert nodectl("shares", "combine", *paths[:2], "-o", tmp_path / "back").status == 10


def test_the_site_signs_and_vouches_and_a_stranger_does_not_count(
    nodectl, original, tmp_path, site
):
    signed = split(nodectl, original, tmp_path / "signed", "--config", site)
    unsigned = split(nodectl, original, tmp_path / "unsigned")
    ended = nodectl("--config", site, "shares", "combine", *signed, "-o", tmp_path / "back")
    assert (ended.status, ended.stderr) == (0, "")
    ended = nodectl("--config", site, "shares", "combine", *unsigned, "-o", tmp_path / "back")
    assert ended.status == 10
    public = site / "keys" / "share.pub"
    ended = nodectl("shares", "check", *signed, "--signer", public, "--json")
    assert ended.status == 0
    assert rows(ended)[0]["signer"] == signer.parse_public(public.read_bytes()).hex()


def test_every_scheme_says_what_one_share_tells(nodectl, original, drawing, tmp_path):
    said = {}
    for scheme, file in (
        ("computational", original), ("perfect", original), ("visual", drawing),
        ("keymatrix", drawing),
    ):  # fmt: skip
        ended = nodectl(
            "shares", "split", file, "-k", 2, "-n", 2, "-o", tmp_path / scheme, "--scheme", scheme
        )
        said[scheme] = ended.stderr
    assert all("and nothing else" in said[name] for name in ("computational", "perfect", "visual"))
    assert "warning: NOT SECRET" in said["keymatrix"]
    assert "NOT SECRET" in seen(next((tmp_path / "keymatrix").iterdir())).info["Comment"]


def test_two_prints_give_the_dots_back(nodectl, drawing, tmp_path):
    paths = split(nodectl, drawing, tmp_path / "out", "--scheme", "visual", n=2)
    assert nodectl("shares", "combine", *paths, "-o", tmp_path / "back.png").status == 0
    dots = seen(drawing).convert("1")
    assert seen(tmp_path / "back.png").tobytes() == dots.tobytes()
    assert seen(paths[0]).size == (120, 80)


def test_prints_that_lost_their_labels_still_combine(nodectl, drawing, tmp_path):
    paths = split(nodectl, drawing, tmp_path / "out", "--scheme", "visual", n=2)
    for path in paths:
        seen(path).convert("L").save(path)
    assert nodectl("shares", "combine", *paths, "-o", tmp_path / "back.png").status == 0


def test_key_matrix_pictures_give_the_picture_back(nodectl, drawing, tmp_path):
    paths = split(nodectl, drawing, tmp_path / "out", "--scheme", "keymatrix", k=4, n=4)
    ended = nodectl("shares", "combine", *paths, "-o", tmp_path / "back.png")
    assert ended.status == 0
    assert seen(tmp_path / "back.png").tobytes() == seen(drawing).tobytes()
    ended = nodectl("shares", "combine", *paths[1:], "-o", tmp_path / "back.png")
    assert "1 of 4 pictures are missing" in ended.stderr


def test_pictures_of_two_images_do_not_combine(nodectl, drawing, tmp_path):
    one = split(nodectl, drawing, tmp_path / "one", "--scheme", "visual", n=2)
    two = split(nodectl, drawing, tmp_path / "two", "--scheme", "visual", n=2)
    ended = nodectl("shares", "combine", one[0], two[1], "-o", tmp_path / "back.png")
    assert ended.status == 10
    assert nodectl("shares", "check", one[0], two[1]).status == 10
    assert nodectl("shares", "check", *one).status == 0
    assert "unproven" in nodectl("shares", "check", one[0]).stdout


@pytest.mark.parametrize(
    "words",
    [
        ("-k", 1, "-n", 3),
        ("-k", 4, "-n", 3),
        ("-k", 2, "-n", 3, "--scheme", "visual"),
        ("-k", 2, "-n", 3, "--scheme", "keymatrix"),
        ("-k", 2, "-n", 2, "--scheme", "visual", "--dicom"),
        ("-k", 2, "-n", 2, "--scheme", "rot13"),
        ("-k", "two", "-n", 2),
        ("-n", 2),
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(nodectl, drawing, tmp_path, words):
    ended = nodectl("shares", "split", drawing, "-o", tmp_path / "out", *words)
    assert ended.status == 2
    assert not (tmp_path / "out").exists()


def test_what_is_no_share_or_picture_is_said_to_be_none(nodectl, original, drawing, tmp_path):
    assert nodectl("shares", "check", original).status == 4
    assert nodectl("shares", "combine", original, "-o", tmp_path / "x").status == 4
    split_original = ("shares", "split", original, "-k", 2, "-n", 2, "-o", tmp_path / "out")
    assert nodectl(*split_original, "--scheme", "visual").status == 4
    assert nodectl("shares", "check", original, drawing).status == 2
    assert nodectl("shares", "check", tmp_path / "absent").status == 4
    cut = tmp_path / "cut.png"
    cut.write_bytes(drawing.read_bytes()[:60])
    assert nodectl("shares", "check", cut).status == 4


def test_a_share_is_not_overwritten(nodectl, original, tmp_path):
    paths = split(nodectl, original, tmp_path / "out")
    assert nodectl("shares", "combine", *paths, "-o", paths[0]).status == 2

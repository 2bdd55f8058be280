"""Copies that DCMTK and ImageMagick make of a sealed image still say whose it was, and for whom."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from peers import needed, program
from PIL import Image
from sealing import ORDER, marker, sample

from node.config.config import Hospital
from node.crypto.keyring import MemoryKeys
from node.mark.message import own
from node.sealing.copies import Copies, read_picture
from node.types import Action, Route

pytestmark = [pytest.mark.peers, pytest.mark.slow]

KEY = b"r" * 32
ROUTE = Route("ct", {}, Action.SEAL, robust="id", recipient=7)
COPIES = Copies([Hospital("own", "Example Hospital")], KEY, [ROUTE])
IMAGES = {
    "CT": "693_UNCR.dcm",
    "MR": "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "CR": "RG3_UNCR.dcm",
    "US": "US1_UNCR.dcm",
}
DESK = ("-resize", "130%", "-bordercolor", "gray30", "-border", "160x90")
ATTACKS = {
    "JPEG 70": ("jpg", "-quality", "70"),
    "JPEG 50": ("jpg", "-quality", "50"),
    "JPEG 2000 10:1": ("jp2", "-define", "jp2:rate=10"),
    "half size": ("png", "-resize", "50%"),
    "double size": ("png", "-resize", "200%"),
    "turned by 1": ("png", "-background", "black", "-rotate", "1", "+repage"),
    "turned by 5": ("png", "-background", "black", "-rotate", "-5", "+repage"),
    "cropped to half": ("png", "-gravity", "center", "-crop", "71%x71%+0+0", "+repage"),
    "gamma 0.7": ("png", "-gamma", "0.7"),
    "negated": ("png", "-negate"),
    "median": ("png", "-statistic", "median", "3x3"),
    "screenshot": ("jpg", *DESK, "-quality", "80"),
}


@pytest.fixture(scope="module", params=IMAGES)
def sealed(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "sealed.dcm"
    order = replace(ORDER, robust=own(KEY).message(ROUTE.recipient))
    made = marker(MemoryKeys([b"k" * 32])).mark(sample(IMAGES[request.param]), order)
    assert made.robust
    path.write_bytes(made.data)
    return path


def run(*command: object) -> None:
    name, *arguments = map(str, command)
    subprocess.run([program(name), *arguments], check=True, capture_output=True, timeout=120)


def shown(sealed):
    """Return the picture that DCMTK makes, by the image's own window if it has one."""
    picture = sealed.with_name("shown.pgm")
    if not picture.is_file():
        try:
            run("dcmj2pnm", "+Wi", "1", "+op", sealed, picture)
        except subprocess.CalledProcessError:  # colour has no window
            run("dcmj2pnm", "+op", sealed, picture)
    return picture


@pytest.mark.parametrize("attack", ATTACKS)
def test_hospital_and_recipient_are_read_from_a_copy(sealed, attack):
    needed("dcmj2pnm", "convert")
    kind, *operations = ATTACKS[attack]
    copy = sealed.with_name(f"copy.{kind}")
    run("convert", shown(sealed), *operations, copy)
    found = COPIES.of_picture(read_picture(copy.read_bytes()))
    assert found is not None
    assert (found.title, found.recipient) == ("Example Hospital", 7)


@pytest.mark.parametrize("attack", ["JPEG 50", "half size", "turned by 5", "screenshot"])
def test_a_copy_of_an_image_that_was_never_sealed_is_nobody_s(tmp_path, attack):
    needed("dcmj2pnm", "convert")
    plain = tmp_path / "sealed.dcm"
    plain.write_bytes(sample(IMAGES["MR"]))
    kind, *operations = ATTACKS[attack]
    copy = tmp_path / f"copy.{kind}"
    run("convert", shown(plain), *operations, copy)
    assert COPIES.of_picture(read_picture(copy.read_bytes())) is None


def test_the_picture_that_dcmtk_shows_is_the_one_that_was_marked(sealed):
    needed("dcmj2pnm")
    assert np.ptp(np.asarray(Image.open(shown(sealed)))) > 100

"""Every broken configuration fails as expected, and not by chance for another reason."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from node.cli.init import draw_logo
from node.cli.main import run

HERE = Path(__file__).parent
CASES = sorted(path.name for path in HERE.glob("b*") if path.is_dir())


def check(case: str, place: Path) -> tuple[int, str]:
    """Run ``nodectl check`` on a copy of a case; a logo is put beside it."""
    shutil.copytree(HERE / case, place)
    (place / "logo.png").write_bytes(draw_logo())
    stderr = io.StringIO()
    status = run(["--config", str(place), "check", "--offline"], {}, io.StringIO(), stderr)
    return status, stderr.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_a_broken_configuration_fails_with_exactly_these_words(case, tmp_path):
    status, said = check(case, tmp_path / case)

    assert status == 3
    assert said == (HERE / f"{case}.expected").read_text()


def test_every_expectation_has_its_case():
    assert sorted(path.stem for path in HERE.glob("*.expected")) == CASES

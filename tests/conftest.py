"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test asserts timing; how fast an example is depends on what else the machine does.
settings.register_profile("sealnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sealnode")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "dicom"


@pytest.fixture(scope="session")
def shared_dicom() -> Path:
    """The collection of real and hostile files beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the collection of DICOM test files is not beside the project")
    return SHARED

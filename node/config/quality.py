"""What the mark may cost an image, by its modality: as built in, and as configured."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from node.types import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.config.schema import QualityTable

OTHERS: Final = "default"
"""The name of the limits for every modality that has none of its own."""

_GREY = Limits(max_change=8, min_psnr=44.0, min_ssim=0.97)

BUILT_IN: Final[Mapping[str, Limits]] = MappingProxyType(
    {
        "CR": _GREY,
        "CT": _GREY,
        "DX": _GREY,
        "MG": Limits(max_change=8, min_psnr=46.0, min_ssim=0.98),
        "MR": Limits(max_change=8, min_psnr=42.0, min_ssim=0.97),
        "NM": _GREY,
        "PT": _GREY,
        OTHERS: Limits(max_change=8, min_psnr=36.0, min_ssim=0.94),
    }
)
"""The seal alone keeps far away from these; what the robust mark costs comes near them."""


def merged(name: str, table: QualityTable) -> Limits:
    """Return configured limits; what the table leaves out is as built in."""
    base = BUILT_IN.get(name, BUILT_IN[OTHERS])
    return Limits(
        base.max_change if table.max_change is None else table.max_change,
        base.min_psnr if table.min_psnr is None else table.min_psnr,
        base.min_ssim if table.min_ssim is None else table.min_ssim,
    )


def limits_of(configured: Mapping[str, Limits], modality: str) -> Limits:
    """Return the limits of a modality."""
    known = {**BUILT_IN, **configured}
    return known.get(modality, known[OTHERS])

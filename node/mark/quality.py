"""How far a marked image is from its original, in numbers that can be compared and limited."""

from __future__ import annotations

import math
import re
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeGuard

from node.mark.counting import GREYS, Scale
from node.types import Quality

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from node.mark.counting import Samples, Sums
    from node.types import Limits


class Counting(Protocol):
    """The functions of :mod:`node.mark.counting`."""

    def spread(self, original: Samples, marked: Samples) -> tuple[int, int, int, int, int]:
        """Return the largest change, how many changed, their squares' sum; the original's ends."""
        ...

    def windows(
        self, original: Samples, marked: Samples, edges: tuple[int, int], scale: Scale
    ) -> Sums:
        """Return sums over the windows where a grey level changed, one row each."""
        ...


EDGE = 8
"""Edge of an SSIM window, in samples; the windows lie side by side."""

NARROW = 8
"""Fewer stored values than so many are no window that a picture was ever looked at through."""

C1, C2 = (0.01 * GREYS) ** 2, (0.03 * GREYS) ** 2

_STATED = re.compile(rb"max_change=(\d+) changed=(\d+) psnr=(\S+) psnr_data=(\S+) ssim=(\S+)")


def measure(
    original: NDArray[np.int32],
    marked: NDArray[np.int32],
    bits_stored: int,
    window: tuple[float, float] | None = None,
) -> Quality:
    """Return the distance between two images of the same shape.

    PSNR is 20 log10(peak) - 10 log10(MSE) in dB, once with the range of
    ``bits_stored`` as its peak and once with the original's own range: the
    first flatters deep images. SSIM is that of the 8-bit picture which the
    window shows. All are rounded, and the same on every machine.

    :param window: the lowest and highest sample that is displayed as such;
        without one, or if it is too narrow to be meant, the original's own range.
    """
    count = counting()
    largest, changed, squares, least, most = count.spread(original, marked)
    if not changed:
        return Quality(0, 0, math.inf, math.inf, 1.0)
    error = float(squares) / original.size
    low, high = window if _shows(window) else (least, most)
    height, width = (min(EDGE, size) for size in original.shape)
    scale = Scale(low, GREYS / max(high - low, 1.0))
    sums = count.windows(original, marked, (height, width), scale)
    number = (original.shape[0] // height) * (original.shape[1] // width)
    return Quality(
        max_change=largest,
        changed=changed,
        psnr_stored=_psnr((1 << bits_stored) - 1, error),
        psnr_data=_psnr(most - least, error),
        ssim=_ssim(sums, height * width, number),
    )


def counting(name: str = "auto") -> Counting:
    """Return what counts: ``"numpy"``, ``"numba"`` or ``"auto"``, numba where it is installed."""
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return import_module("node.mark.counting")
    return import_module("node.mark.fastcounting")


def _shows(window: tuple[float, float] | None) -> TypeGuard[tuple[float, float]]:
    return window is not None and window[1] - window[0] >= NARROW


def fault(found: Quality, limits: Limits, *, robust: bool) -> tuple[str, str]:
    """Return the first limit that is not kept and why, in words; empty if all are.

    :param robust: the image carries the robust mark, too, whose changes are
        measured in what is displayed: ``max_change`` says nothing of them.
    """
    if found.max_change > limits.max_change and not robust:
        return "max_change", f"a change of {found.max_change}, {limits.max_change} is allowed"
    if found.psnr_data < limits.min_psnr:
        return "min_psnr", f"a PSNR of {found.psnr_data} dB, {limits.min_psnr} dB is needed"
    if found.ssim < limits.min_ssim:
        return "min_ssim", f"an SSIM of {found.ssim}, {limits.min_ssim} is needed"
    return "", ""


def state(found: Quality) -> bytes:
    """Return the numbers as the header of a marked object states them."""
    return (
        f"max_change={found.max_change} changed={found.changed} psnr={found.psnr_stored} "
        f"psnr_data={found.psnr_data} ssim={found.ssim}"
    ).encode("ascii")


def read(stated: bytes) -> Quality | None:
    """Undo :func:`state`; None if the bytes are nothing of the kind."""
    matched = _STATED.fullmatch(stated.strip(b" \0"))
    if not matched:
        return None
    try:
        return Quality(int(matched[1]), int(matched[2]), *map(float, matched.groups()[2:]))
    except ValueError:
        return None


def _psnr(peak: int, error: float) -> float:
    return round(20.0 * math.log10(max(peak, 1)) - 10.0 * math.log10(error), 2)


def _ssim(found: Sums, size: int, windows: int) -> float:
    """Return the mean structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13).

    Uniform windows side by side instead of a Gaussian one at every sample.
    Where nothing changed it is 1.

    :param found: what :func:`node.mark.counting.windows` returns.
    :param size: samples in a window.
    """
    sums, squares, added, powers, product = found.T
    mean_x, mean_y = sums / size, (sums + added) / size
    square_x, square_y = squares / size, (squares + 2 * product + powers) / size
    means, both = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    alike = (2 * means + C1) * (2 * ((squares + product) / size - means) + C2)
    alike = alike / ((both + C1) * (square_x + square_y - both + C2))
    missing = math.fsum((1.0 - alike).tolist())
    return math.floor((1.0 - missing / windows) * 1e5) / 1e5

"""Robust watermarks of other packages, where they are installed, behind one seam.

``blind-watermark`` as it is. ``invisible-watermark`` by its modules ``maxDct``
(its mode dwtDct) and ``dwtDctSvd`` alone: importing the package imports torch.
Its modes mark the colour U, of which a grey image keeps nothing, and put two
bands of details back in each other's place, which in brightness would show.
So their coders get the approximation (Haar) of the brightness, as strongly
marked, and the details go back to where they were.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pywt

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]
    Grey = NDArray[np.uint8]

STRENGTH = 36
"""The strength that both modes of invisible-watermark have by default."""


@dataclass(frozen=True, slots=True)
class Package:
    """A robust watermark: ``add`` gives a marked grey image, ``read`` so many bits of one."""

    name: str
    add: Callable[[Grey, Bits], Grey]
    read: Callable[[Grey, int], Bits]


def installed() -> list[Package]:
    """Return the packages that can be measured here."""
    return [*_blind_watermark(), *_invisible_watermark()]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _blind_watermark() -> list[Package]:
    if not _version("blind-watermark") or importlib.util.find_spec("cv2") is None:
        return []
    with contextlib.redirect_stdout(io.StringIO()):
        from blind_watermark import WaterMark  # noqa: PLC0415 - may be absent

    def made() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return WaterMark(password_img=1, password_wm=1)

    def add(image: Grey, bits: Bits) -> Grey:
        mark = made()
        mark.read_img(img=_colour(image))
        mark.read_wm(bits.astype(bool), mode="bit")
        return _grey(mark.embed())

    def read(image: Grey, count: int) -> Bits:
        found = made().extract(embed_img=_colour(image), wm_shape=count, mode="bit")
        return np.asarray(found).astype(np.uint8)

    return [Package(f"blind-watermark {_version('blind-watermark')}", add, read)]


def _invisible_watermark() -> list[Package]:
    number, spec = _version("invisible-watermark"), importlib.util.find_spec("imwatermark")
    if not number or spec is None or spec.origin is None:
        return []
    if importlib.util.find_spec("cv2") is None:
        return []
    folder = Path(spec.origin).parent
    return [
        _mode(f"invisible-watermark {number} {mode}", folder / f"{module}.py", kind)
        for mode, module, kind in (
            ("dwtDct", "maxDct", "EmbedMaxDct"),
            ("dwtDctSvd", "dwtDctSvd", "EmbedDwtDctSvd"),
        )
    ]


def _mode(name: str, path: Path, kind: str) -> Package:
    spec = importlib.util.spec_from_file_location(f"imwatermark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mode = getattr(module, kind)

    def add(image: Grey, bits: Bits) -> Grey:
        rows, columns = (side // 4 * 4 for side in image.shape)
        marked = image.astype(np.float32)
        approximation, details = pywt.dwt2(marked[:rows, :columns], "haar")
        mode(bits.tolist(), wmLen=len(bits)).encode_frame(approximation, STRENGTH)
        marked[:rows, :columns] = pywt.idwt2((approximation, details), "haar")
        return np.clip(np.rint(marked), 0, 255).astype(np.uint8)

    def read(image: Grey, count: int) -> Bits:
        rows, columns = (side // 4 * 4 for side in image.shape)
        approximation, _ = pywt.dwt2(image[:rows, :columns].astype(np.float32), "haar")
        scores: list[list[float]] = [[] for _bit in range(count)]
        mode([], wmLen=count).decode_frame(approximation, STRENGTH, scores)
        return np.array([np.mean(score) > 0.5 for score in scores], np.uint8)

    return Package(name, add, read)


def _colour(image: Grey) -> NDArray[np.float32]:
    return np.repeat(image[:, :, None], 3, axis=2).astype(np.float32)


def _grey(image: NDArray[Any]) -> Grey:
    """Return the brightness, ITU-R BT.601, of blue, green and red."""
    grey = image @ np.array([0.114, 0.587, 0.299])
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)

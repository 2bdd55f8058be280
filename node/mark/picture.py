"""What was found, drawn for people: original, as found, difference, changed regions."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from node.types import Region

EDGE = 512  # longest edge of one panel, in pixels of the picture
GAP = 12
CAPTION = 44
INK, PAPER, QUIET = (235, 235, 235), (24, 26, 30), (150, 155, 165)
ALARM, CALM = (255, 70, 60), (60, 190, 120)
SURE, ROUGH = (255, 220, 60), (255, 150, 40)
LOUD = 4  # a change of so many stored values is drawn at full strength


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame to draw; arrays are int32 of one shape (rows, columns).

    :param original: the frame without the mark, as far as it could be restored.
    :param found: the frame as it was found.
    :param regions: of this frame; what is not as it was sealed.
    :param window: lowest and highest sample that a viewer would tell apart, or
        None to choose by the samples.
    :param inverted: whether low values are bright (MONOCHROME1).
    :param details: of the regions; what surely changed.
    :param approximate: in the regions, ``original`` shows a coarse copy.
    :param removed: what was taken out; ``found - original`` if None.
    """

    original: NDArray[np.int32]
    found: NDArray[np.int32]
    regions: Sequence[Region]
    title: str
    window: tuple[float, float] | None = None
    inverted: bool = False
    details: Sequence[Region] = ()
    approximate: bool = False
    removed: NDArray[np.int32] | None = None


def draw(scene: Scene) -> bytes:
    """Return a PNG file: four panels side by side, with captions."""
    low, high = scene.window or _window(scene.original)
    original = _grey(scene.original, low, high, inverted=scene.inverted)
    found = _grey(scene.found, low, high, inverted=scene.inverted)
    change = np.abs(scene.found - scene.original if scene.removed is None else scene.removed)
    most = int(change.max())
    altered = f"{len(scene.regions)} changed" if scene.regions else "none changed"
    if scene.details:
        altered += "; surely in the yellow boxes"
    panels = [
        (original, *_restored(scene)),
        (found, "as found", scene.title),
        (_heat(change), "what was taken out", f"most: ±{most} stored values"),
        (_map(found, scene.regions), "regions", altered),
    ]
    rows, columns = scene.found.shape
    scale = EDGE / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    sheet = Image.new(
        "RGB",
        (GAP + len(panels) * (size[0] + GAP), size[1] + CAPTION + 2 * GAP),
        PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    head, small = ImageFont.load_default(18), ImageFont.load_default(13)
    for number, (panel, caption, remark) in enumerate(panels):
        left = GAP + number * (size[0] + GAP)
        way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        sheet.paste(panel.resize(size, way), (left, CAPTION + GAP))
        pen.text((left, GAP), caption, INK, head)
        pen.text((left, GAP + 23), remark, QUIET, small)
        corner = left, CAPTION + GAP
        if caption == "regions":
            _outline(pen, scene.regions, scale, corner, ALARM)
            _outline(pen, scene.details, scale, corner, SURE)
        elif number == 0 and scene.approximate:
            _outline(pen, scene.regions, scale, corner, ROUGH)
    out = BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _restored(scene: Scene) -> tuple[str, str]:
    if scene.approximate:
        return "restored, NOT EXACT", "boxes: from a coarse copy"
    return "restored", "the original where intact"


def _window(samples: NDArray[np.int32]) -> tuple[float, float]:
    """What a viewer would show: all but the outermost half percent of what is no background."""
    inside = samples[samples > samples.min()]
    if inside.size == 0:
        return float(samples.min()), float(samples.min()) + 1
    low, high = np.percentile(inside, (0.5, 99.5))
    return float(low), max(float(high), float(low) + 1)


def _grey(samples: NDArray[np.int32], low: float, high: float, *, inverted: bool) -> Image.Image:
    shown = np.clip((samples - low) / (high - low), 0, 1)
    if inverted:
        shown = 1 - shown
    return Image.fromarray((shown * 255).astype(np.uint8)).convert("RGB")


def _heat(change: NDArray[np.int32]) -> Image.Image:
    """Black where nothing changed, through blue and orange to white where much did."""
    level = np.clip(change / LOUD, 0, 1)[..., None]
    stops = np.array([[10, 12, 20], [40, 90, 200], [255, 150, 40], [255, 255, 255]], float)
    place = level[..., 0] * (len(stops) - 1)
    at = np.minimum(place.astype(int), len(stops) - 2)
    part = (place - at)[..., None]
    return Image.fromarray((stops[at] * (1 - part) + stops[at + 1] * part).astype(np.uint8))


def _map(found: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """The image in calm green, the changed regions in red."""
    grey = np.asarray(found.convert("L"), np.float64)[..., None] / 255
    tint = np.broadcast_to(np.array(CALM, float), (*grey.shape[:2], 3)).copy()
    for r in regions:
        tint[r.row : r.row + r.rows, r.column : r.column + r.columns] = ALARM
    return Image.fromarray((grey * 150 + tint * 0.4).clip(0, 255).astype(np.uint8))


def _outline(
    pen: ImageDraw.ImageDraw,
    regions: Sequence[Region],
    scale: float,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    for r in regions:
        box = (
            corner[0] + r.column * scale,
            corner[1] + r.row * scale,
            corner[0] + (r.column + r.columns) * scale - 1,
            corner[1] + (r.row + r.rows) * scale - 1,
        )
        pen.rectangle(box, outline=colour, width=2)

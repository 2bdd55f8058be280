"""Whose image a lossy copy is of, told by its robust mark: of a screenshot, of a JPEG.

SECURITY: holds the key with which robust marks are made. A mark proves whose
image a copy is of, and who got it, never that its content is what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from node.errors import ConfigError, UnreadableError
from node.mark import bitmap
from node.mark.finding import find
from node.mark.message import NOBODY, Hospital, own
from node.mark.strength import displayed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from node.config.config import Hospital as Named
    from node.dicom.pixels import Pixels
    from node.mark.finding import Finding
    from node.types import Route

MAX_PIXELS = 64 << 20  # of a picture
BYTE = 8  # bits stored of samples that are displayed as they are, without a window
RECIPIENTS = 4  # looked for harder; each makes a search a third longer
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "GIF")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that was recognised.

    :param hospital: its id, in hex.
    :param title: what people call it.
    :param logo: path of its logo, or ``""``.
    :param recipient: number of whoever got the copy, 0 for nobody; None if it
        could not be read or proved.
    """

    hospital: str
    title: str
    logo: str
    recipient: int | None
    found: Finding


def bitmap_of(route: Route | None, logo: bytes) -> bytes:
    """Return the bitmap that a route's images are to carry robustly; ``b""`` for none.

    :param logo: packed by ``mark.logo``.
    """
    return bitmap.draw(logo) if route and route.robust == "bitmap" and logo else b""


class Copies:
    """Recognises the copies of a few hospitals, and says what this one's images are to carry.

    :param hospitals: those that are configured; the one without a mark is ours.
    :param key: of this site's robust marks, or None if this process has none.
    :param routes: name the recipients whose copies are looked for harder.
    """

    def __init__(
        self, hospitals: Iterable[Named], key: bytes | None, routes: Iterable[Route] = ()
    ) -> None:
        numbers = dict.fromkeys([NOBODY, *(route.recipient for route in routes if route.robust)])
        self._own = replace(own(key), recipients=tuple(numbers)[:RECIPIENTS]) if key else None
        self._named: dict[bytes, Named] = {}
        self._known: list[Hospital] = [self._own] if self._own else []
        for named in hospitals:
            if named.mark and (self._own is None or named.mark != self._own.word):
                self._known.append(Hospital(named.mark))
            if named.mark or self._own:
                self._named[named.mark or self._known[0].word] = named

    def message(self, route: Route) -> bytes:
        """Return what the images of a route are to say; ``b""`` for no robust mark.

        :raises ConfigError: they are to say it, but there is no key.
        """
        if not route.robust:
            return b""
        if self._own is None:
            raise ConfigError(
                [f"route.{route.name}.robust: needs robust.key in the key folder"],
                hint="nodectl keys new makes it with the other keys of a site",
            )
        return self._own.message(route.recipient)

    def of_pixels(self, pixels: Pixels, *, search: bool = False) -> Copy | None:
        """Recognise an image, by its middle frame.

        It is looked at through its own window and, as software that makes a
        lossy copy may leave one that fits no more, through one made for it.

        :param search: look at other sizes, turns and crops, too; takes seconds.
        """
        rows = pixels.facts.rows
        top = pixels.facts.frames // 2 * rows
        frame = pixels.carrier.samples[top : top + rows]
        views = [displayed(frame, window) for window in dict.fromkeys((window_of(pixels), None))]
        tries = ((view, wide) for wide in dict.fromkeys((False, search)) for view in views)
        copies = (self.of_picture(view, search=wide) for view, wide in tries)
        return next((copy for copy in copies if copy is not None), None)

    def of_picture(self, picture: NDArray[np.float64], *, search: bool = True) -> Copy | None:
        """Recognise a picture: brightness, 0 to 255."""
        found = find(picture, self._known, search=search)
        if found is None:
            return None
        hospital = found.reading.hospital
        named = self._named.get(hospital.word)
        return Copy(
            hospital=hospital.id.hex(),
            title=named.title if named else f"hospital {hospital.id.hex()}",
            logo=named.logo if named else "",
            recipient=found.reading.recipient,
            found=found,
        )


def window_of(pixels: Pixels) -> tuple[float, float] | None:
    """Return the lowest and highest sample that is displayed as such; None if nothing says."""
    low, high = pixels.facts.range
    return pixels.window or ((low, high) if pixels.facts.bits_stored <= BYTE else None)


def read_picture(data: bytes) -> NDArray[np.float64]:
    """Return the brightness, 0 to 255, of a PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or GIF file.

    :raises UnreadableError: it is none, or too big.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError("the picture has too many pixels", code="too_big")
            deep = image.mode in {"I", "F"} or image.mode.startswith("I;")
            values = np.asarray(image if deep else image.convert("L"), np.float64)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UnreadableError("is neither a DICOM object nor a picture") from None
    return displayed(values, (values.min(), values.max())) if deep else values

"""What was found, in numbers and as a picture.

SECURITY: a picture shows the patient's image; it goes to whoever may see that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.mark import quality
from node.mark.picture import Scene, draw
from node.types import VerdictKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from node.dicom.pixels import Pixels
    from node.types import Quality
    from node.verify import Examination


def measured(pixels: Pixels, original: NDArray[np.int32], marked: NDArray[np.int32]) -> Quality:
    """Return how far marked samples are from the original ones, at the window of the image."""
    return quality.measure(original, marked, pixels.facts.bits_stored, pixels.window)


def cost(found: Examination) -> Quality | None:
    """Return what the mark that was taken out had cost; None if not all of it came out."""
    whole = found.verdict.kind in {VerdictKind.INTACT, VerdictKind.HEADER_COERCED}
    if not whole or found.pixels is None or found.extraction is None:
        return None
    return measured(found.pixels, found.extraction.samples, found.pixels.carrier.samples)


def picture(found: Examination) -> bytes:
    """Draw what was found in an image: original, as found, difference, changed regions, as PNG.

    Of several frames the first changed one is drawn. Where the original is
    gone, a coarse copy stands in its place, and the picture says so.
    """
    assert found.pixels is not None
    facts, carrier = found.pixels.facts, found.pixels.carrier
    verdict = found.verdict
    frame = verdict.regions[0].frame if verdict.regions else 0
    span = slice(frame * facts.rows, (frame + 1) * facts.rows)
    restored = found.extraction.samples if found.extraction else carrier.samples
    return draw(
        Scene(
            original=(restored if found.approximate is None else found.approximate)[span],
            removed=(carrier.samples - restored)[span],
            found=carrier.samples[span],
            regions=[region for region in verdict.regions if region.frame == frame],
            details=[region for region in verdict.details if region.frame == frame],
            approximate=found.approximate is not None,
            title=verdict.kind.value + (f", frame {frame}" if facts.frames > 1 else ""),
            window=found.pixels.window,
            inverted=facts.photometric == "MONOCHROME1",
        )
    )

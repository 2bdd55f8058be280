"""Presentation contexts: what the node accepts, and what it proposes for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.service_class import ServiceClass
from pynetdicom.sop_class import uid_to_service_class

from node.dicom.reader import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

if TYPE_CHECKING:
    from collections.abc import Iterable

NATIVE_LE = (EXPLICIT_LE, IMPLICIT_LE)

# Accepted, in the words of PS3.6 Table A-1. What the codecs cannot decode
# travels as opaque bytes: the route's rules decide about it.
TRANSFER_SYNTAXES = (
    EXPLICIT_LE,
    IMPLICIT_LE,
    EXPLICIT_BE,
    DEFLATED_LE,
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless Only
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.92",  # JPEG 2000 Part 2 Multi-component Lossless Only
    "1.2.840.10008.1.2.4.93",  # JPEG 2000 Part 2 Multi-component
    "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 Lossless Only
    "1.2.840.10008.1.2.4.202",  # High-Throughput JPEG 2000 RPCL Lossless Only
    "1.2.840.10008.1.2.4.203",  # High-Throughput JPEG 2000
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline, process 1
    "1.2.840.10008.1.2.4.51",  # JPEG Extended, processes 2 and 4
    "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
    "1.2.840.10008.1.2.4.111",  # JPEG XL JPEG Recompression
    "1.2.840.10008.1.2.4.112",  # JPEG XL
    "1.2.840.10008.1.2.4.100",  # MPEG2 Main Profile / Main Level
    "1.2.840.10008.1.2.4.100.1",
    "1.2.840.10008.1.2.4.101",  # MPEG2 Main Profile / High Level
    "1.2.840.10008.1.2.4.101.1",
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC/H.264 High Profile
    "1.2.840.10008.1.2.4.102.1",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.103.1",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.104.1",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.105.1",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.106.1",
    "1.2.840.10008.1.2.4.107",  # HEVC/H.265 Main Profile
    "1.2.840.10008.1.2.4.108",  # HEVC/H.265 Main 10 Profile
)
# What is in one of these need not be what was compressed: PS3.5 8.2
LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 91, 93, 112, 203)
)
VERIFICATION = "1.2.840.10008.1.1"
STORAGE_CLASSES = frozenset(str(cx.abstract_syntax) for cx in AllStoragePresentationContexts)
MAX_CONTEXTS = 128  # PS3.8 9.3.2.2: odd numbers between 1 and 255


def accepted(proposed: Iterable[str], *, unknown_classes: bool) -> list[PresentationContext]:
    """Return the contexts that the SCP supports among the proposed abstract syntaxes.

    Building only those keeps an association cheap: the whole list holds
    170 classes with 37 transfer syntaxes each.

    :param unknown_classes: accept private and future classes as storage too.
    """
    supported = []
    for uid in sorted(set(proposed)):
        if uid == VERIFICATION:
            supported += verification()
        elif uid in STORAGE_CLASSES or (unknown_classes and _is_unknown(uid)):
            supported.append(build_context(uid, list(TRANSFER_SYNTAXES)))
    return supported


def verification() -> list[PresentationContext]:
    """Return the context of C-ECHO."""
    return [build_context(VERIFICATION, list(NATIVE_LE))]


def _is_unknown(uid: str) -> bool:
    """Tell whether a class belongs to no service that pynetdicom knows."""
    return uid_to_service_class(uid) is ServiceClass


def batch(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """Return the contexts to propose for (SOP class, transfer syntax) pairs.

    Each pair gets a context of its own, so that the peer cannot answer it
    with another syntax; each class gets two more, explicit and implicit
    little endian, as fallbacks. Pairs come before fallbacks where not all
    fit into the 128 that an association may have.
    """
    own = list(dict.fromkeys(pairs))
    classes = dict.fromkeys(cls for cls, _ in own)
    fallback = [(cls, syntax) for syntax in NATIVE_LE for cls in classes]
    wanted = list(dict.fromkeys([*own, *fallback]))
    return [build_context(cls, syntax) for cls, syntax in wanted[:MAX_CONTEXTS]]

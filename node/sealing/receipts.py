"""Receipts of sealed objects: what they say, and whether an object is the one they are of.

SECURITY: holds the key that signs receipts. What it makes names objects by
their pseudonyms, and nobody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import node
from node.crypto.receipt import Receipt
from node.dicom import headers, reader
from node.dicom import pixels as pixel_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.crypto.receipt import Signer
    from node.dicom.pixels import Codec
    from node.dicom.reader import DicomObject
    from node.sealing.order import Marked
    from node.types import SpoolEntry


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of an object's header and of its pixels (docs/formats/receipt-v1.md)."""

    header: bytes
    pixels: bytes


def digests(data: bytes, carrier: str, codec: Codec | None) -> Digests:
    """Return the digests of an object (a Part 10 file), as a receipt of this carrier has them.

    :raises UnreadableError: it is no object that can be parsed.
    :raises UnsealableError: its pixels cannot be decoded to words.
    """
    obj = reader.read(data)
    if carrier == "header":
        return Digests(_header(obj), pixel_data.field_sha256(obj))
    pixels = pixel_data.load(obj, codec, lossy="decode")
    return Digests(_header(pixels.obj), pixels.sha256)


def compare(signed: Digests, found: Digests) -> str:
    """Return ``same``, ``same pixels``, ``same header`` or ``other``."""
    pixels, header = signed.pixels == found.pixels, signed.header == found.header
    if pixels:
        return "same" if header else "same pixels"
    return "same header" if header else "other"


def _header(obj: DicomObject) -> bytes:
    return hashlib.sha256(headers.header_bytes(obj)).digest()


class Clerk:
    """Issues a receipt for each object that was sealed.

    :param pseudonym: what stands for a UID in receipts.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, signer: Signer, pseudonym: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        self._signer = signer
        self._pseudonym = pseudonym
        self._clock = clock

    def issue(self, entry: SpoolEntry, made: Marked) -> str:
        """Return the text of the receipt for an entry that was sealed just now.

        :raises ValueError: it was sealed without evidence for a receipt.
        """
        if made.evidence is None:
            raise ValueError("no evidence was asked for")
        receipt = Receipt(
            object=self._pseudonym(entry.instance.sop_instance_uid),
            sent_object=self._pseudonym(made.sop_instance_uid),
            route=entry.route,
            received=int(entry.instance.received_at),
            sealed=int(self._clock()),
            software=f"sealnode {node.__version__}",
            key=made.key_id,
            carrier=made.carrier,
            original_header=made.evidence.original_header,
            original_pixels=made.evidence.original_pixels,
            marked_header=made.evidence.marked_header,
            marked_pixels=made.evidence.marked_pixels,
        )
        return self._signer.issue(receipt).decode("ascii")

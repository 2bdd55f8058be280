"""What is asked of sealing one object, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.sealing.pseudonyms import Pseudonyms
    from node.sealing.signatures import Finding, Signatory
    from node.types import Attachment, Quality


@dataclass(frozen=True, slots=True)
class Order:
    """How one object is to be marked.

    :param received_at: seconds since the epoch, UTC; what the header says of
        when it was marked. A retry gives the same bytes only for the same.
    :param logo: packed by ``mark.logo``.
    :param lossy: ``"decode"`` marks what was compressed with loss, too.
    :param carrier: ``"pixels"``, ``"header"``, or ``"auto"``: the header
        where the pixels cannot carry the payload.
    :param keep_file: restore preamble and meta information as well.
    :param visible: ``"overlay"`` shows the logo over the image, as an overlay
        plane, ``"margin"`` below it where there can be one; ``""`` does not.
    :param recovery: seal a coarse copy of the image into it, as good as fits.
    :param robust: the robust mark to add where there is enough picture for it
        (:mod:`node.sealing.copies`); empty for none.
    :param pseudonyms: what the object says instead of who it is about; None
        leaves that as it is.
    :param bitmap: a bitmap (``mark.bitmap``) that it is to carry as well where
        there is picture enough for that; empty for none.
    :param signatory: signs the object by the key of a certificate (PS3.15 C.2).
    :param attachments: to be sealed with it; None where none were looked for.
    :param evidence: return the digests that a receipt tells of.
    """

    received_at: float
    logo: bytes = b""
    lossy: str = "refuse"
    carrier: str = "pixels"
    keep_file: bool = False
    robust: bytes = b""
    pseudonyms: Pseudonyms | None = None
    recovery: bool = False
    visible: str = ""
    bitmap: bytes = b""
    evidence: bool = False
    signatory: Signatory | None = None
    attachments: tuple[Attachment, ...] | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """SHA-256 digests of what was proved; of words, or of value fields in the header's case."""

    original_header: bytes
    original_pixels: bytes
    marked_header: bytes
    marked_pixels: bytes


@dataclass(frozen=True, slots=True)
class Marked:
    """An object to send, proved.

    :param data: the Part 10 file, whole.
    :param carrier: ``"pixels"`` or ``"header"``.
    :param robust: whether the pixels carry the robust mark, too.
    :param bitmap: whether that carries the bitmap.
    :param margin: whether the logo stands in a margin below the image.
    :param signatures: what was found of the digital signatures it came with.
    """

    data: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    carrier: str
    key_id: str
    payload_bytes: int
    quality: Quality | None = None
    robust: bool = False
    recovery_bytes: int = 0  #: of the coarse copy
    bitmap: bool = False
    margin: bool = False
    signatures: tuple[Finding, ...] = ()
    attachments: int | None = None  #: how many are sealed with it; None if none were looked for
    evidence: Evidence | None = None  #: where it was asked for


@dataclass(frozen=True, slots=True)
class Extras:
    """What else is sealed: how to undo the robust mark, the coarse copy, attachments; may be empty.

    :param attached: the record's section.
    """

    way_back: bytes = b""
    copy: bytes = b""
    attached: bytes = b""

"""An object in another native transfer syntax, for a destination that takes only that one.

SECURITY: what comes out is compared with what went in: every attribute, every
pixel. It stands in for an object that was proved, so it must mean the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.dicom import marked, pixels, reader
from node.dicom.compare import differences
from node.dicom.recode import recode, turned
from node.errors import ProofError, UnsealableError

if TYPE_CHECKING:
    from node.dicom.pixels import Codec
    from node.dicom.reader import DicomObject

_DECODED = (0x00280004, 0x00280006)  # Photometric Interpretation, Planar Configuration


def transcode(data: bytes, target: str, codec: Codec | None = None) -> bytes:
    """Return a Part 10 file in a native transfer syntax.

    :param codec: decodes encapsulated pixels; what was compressed with loss
        is not decoded.
    :raises UnsealableError: its pixels cannot be decoded without loss, or a seal
        in its header stands for them as they are encoded (code ``sealed_stream``).
    :raises UnreadableError: it cannot be parsed.
    :raises ProofError: what came out is not the same object.
    """
    obj = reader.read(data)
    source: DicomObject = obj
    ignored: tuple[int, ...] = ()
    if obj.transfer_syntax_uid not in reader.NATIVE_SYNTAXES:
        loaded = pixels.load(obj, codec)
        source, ignored = pixels.decoded(loaded), _DECODED
        if pixels.load(source).sha256 != loaded.sha256:
            raise ProofError("the decoded pixels are not the same")
    encoding = reader.encoding_of(target)
    dataset = recode(source.dataset, source.encoding, encoding)
    again = reader.read_dataset(dataset, reader.EXPLICIT_LE if encoding.explicit else target)
    if differences(obj, again, ignored) or _pixels(again) != _pixels(source):
        raise ProofError("the object in another transfer syntax is not the same")
    sealed = marked.private_value(obj, marked.SEALED_RECORD) is not None
    if sealed and pixels.field_sha256(again) != pixels.field_sha256(obj):
        raise UnsealableError("the seal is of the pixels as encoded", code="sealed_stream")
    uids = obj.text("SOPClassUID"), obj.text("SOPInstanceUID")
    return reader.write_part10(*uids, target, reader.wire(dataset, target))


def _pixels(obj: DicomObject) -> bytes:
    """The Pixel Data value in little endian; ``b""`` without one."""
    element = obj.index.get(reader.PIXEL_DATA)
    if element is None:
        return b""
    value = bytes(obj.data[element.value : element.stop])
    return turned(value, element.vr) if obj.encoding.order == ">" else value

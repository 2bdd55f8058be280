"""What the objects of a route say instead of who they are about.

Joins the rules (:mod:`node.dicom.masking`) and the key (:mod:`node.crypto.mapping`).

SECURITY: holds the mapping key; see there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.dicom import declaration, encrypted, masking

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.crypto.envelope import Envelope
    from node.crypto.mapping import Mapping
    from node.dicom.reader import DicomObject
    from node.types import Profile


class Pseudonyms:
    """Takes the patient, or only the instance UIDs, out of headers.

    :param profile: what stays; None maps the UIDs of SOP instances and leaves
        all else as it is.
    :param envelope: encrypts what is taken out for those who hold certificates.
    """

    def __init__(
        self, mapping: Mapping, profile: Profile | None, envelope: Envelope | None = None
    ) -> None:
        self._mapping = mapping
        self._profile = profile
        self._envelope = envelope

    @property
    def masked(self) -> bool:
        """Whether the patient goes, not only UIDs."""
        return self._profile is not None

    @property
    def dated(self) -> bool:
        """Whether an object may say when something was done to it."""
        return self._profile is None or self._profile.dates == "keep"

    def uid(self, uid: str) -> str:
        """Return the UID that stands for one of an instance, series or study."""
        return masking.mapped(uid.encode("ascii", "replace"), self._mapping).decode("ascii")

    def changes(self, obj: DicomObject) -> dict[int, bytes | None]:
        """Return by tag what becomes of each element that changes.

        :raises UnsealableError: as :func:`node.dicom.masking.mask`.
        """
        if self._profile is None:
            return masking.mask_uids(obj, self._mapping)
        said = declaration.of_profile(self._profile, obj.encoding)
        return masking.mask(obj, self._profile, self._mapping) | said

    def enveloped(self, obj: DicomObject, tags: Iterable[int]) -> dict[int, bytes | None]:
        """Return the Encrypted Attributes Sequence with some elements as they are, if there is one.

        :raises UnreadableError: they cannot be walked.
        """
        if self._envelope is None:
            return {}
        kept = encrypted.attributes(obj, {*tags, encrypted.ENCRYPTED_ATTRIBUTES})
        made = encrypted.sequence(self._envelope.close(kept), obj.encoding)
        return {encrypted.ENCRYPTED_ATTRIBUTES: made}

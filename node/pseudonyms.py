"""What the objects of a route say instead of who they are about.

Joins the rules (:mod:`node.dicom.masking`) and the key (:mod:`node.crypto.mapping`).

SECURITY: holds the mapping key; see there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.dicom import declaration, masking

if TYPE_CHECKING:
    from node.crypto.mapping import Mapping
    from node.dicom.reader import DicomObject
    from node.types import Profile


class Pseudonyms:
    """Takes the patient, or only the instance UIDs, out of headers.

    :param profile: what stays; None maps the UIDs of SOP instances and leaves
        all else as it is.
    """

    def __init__(self, mapping: Mapping, profile: Profile | None) -> None:
        self._mapping = mapping
        self._profile = profile

    @property
    def masked(self) -> bool:
        """Whether the patient goes, not only UIDs."""
        return self._profile is not None

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

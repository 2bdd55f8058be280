"""A sealed object becomes shares, each a DICOM object for one destination, and is proved.

The same sealed object always becomes the same shares, since everything that
is random about them is drawn under the site's share key: what is lost in the
spool is made again identically, and shares of one object never come from two
sets (docs/decisions/0310-shares-in-the-node.md).

SECURITY: holds ``share.key``. The names of shares are keyed: they tell their
keepers nothing of the object, and the node finds them again by its UIDs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.crypto.shares import scheme
from node.dicom import share_object
from node.dicom.reader import EXPLICIT_LE
from node.errors import DamagedError, ProofError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.crypto.shares.signer import Signer
    from node.types import Instance

NAME_BYTES = 10  # of a set id: keyed, from the SOP Instance UID; 80 bits keep a billion apart
VERSION_BYTES = 5  # of a set id: other bytes under the same UID are another set


class Namer:
    """What the shares of an object are called where they are kept.

    :param digest: 32 keyed bytes for a purpose and a UID.
    """

    def __init__(self, digest: Callable[[bytes, str], bytes]) -> None:
        self._digest = digest

    def study(self, uid: str) -> str:
        """Return the Study Instance UID of the shares of a study."""
        return share_object.uid_of(self._digest(b"share-study", uid)[:16])

    def series(self, uid: str) -> str:
        """Return the Series Instance UID of the shares of a series."""
        return share_object.uid_of(self._digest(b"share-series", uid)[:16])

    def place(self, instance: Instance) -> tuple[str, str]:
        """Return Study and Series Instance UID of the shares of an instance."""
        return self.study(instance.study_instance_uid), self.series(instance.series_instance_uid)

    def instance(self, uid: str) -> bytes:
        """Return what the ids of all sets of one SOP Instance UID begin with."""
        return self._digest(b"share-instance", uid)[:NAME_BYTES]


@dataclass(frozen=True, slots=True)
class Shared:
    """One share as a DICOM object.

    :param data: the Part 10 file.
    :param number: of the share, from 1.
    :param set_id: the same for all shares of the object.
    """

    data: bytes
    number: int
    sop_instance_uid: str
    set_id: bytes
    sop_class_uid: str = share_object.RAW_DATA
    transfer_syntax_uid: str = EXPLICIT_LE


class Sharer:
    """Divides sealed objects, and proves that any of their shares serve."""

    def __init__(self, signer: Signer, namer: Namer) -> None:
        self._signer = signer
        self._namer = namer

    def share(self, sealed: bytes, instance: Instance, k: int, n: int) -> list[Shared]:
        """Return the shares of a sealed object, any k of which give it back.

        :param instance: as it was received: the names come from its UIDs.
        :raises UnreadableError: it is longer than 1 GiB.
        :raises ProofError: the shares did not give it back.
        """
        name = self._namer.instance(instance.sop_instance_uid)
        what = b"".join((name, bytes((k, n)), hashlib.sha256(sealed).digest()))
        draw = self._signer.draws(what)
        set_id = name + draw(VERSION_BYTES) + b"\0"
        # What is sealed proves itself, so that the set need not commit to it (0301-shares.md).
        parts = scheme.split(sealed, k, n, by=self._signer, bind=False, set_id=set_id, random=draw)
        study, series = self._namer.place(instance)
        made = []
        for number, part in enumerate(parts, 1):
            uid = share_object.instance_uid(set_id, number)
            names = share_object.Names(study, series, uid, number)
            data = share_object.wrap(part, names, instance.received_at)
            made.append(Shared(data, number, uid, set_id))
        self._prove([one.data for one in made], k, sealed)
        return made

    def _prove(self, objects: Sequence[bytes], k: int, sealed: bytes) -> None:
        """Put the object together from the very bytes to be sent; each share takes part once.

        :raises ProofError: it is not what was divided.
        """
        starts = [*range(0, len(objects) - k, k), len(objects) - k]
        for start in starts:
            try:
                shares = [share_object.unwrap(data) for data in objects[start : start + k]]
                back = scheme.combine(shares, trusted=[self._signer.public])
            except (DamagedError, UnreadableError) as error:
                raise ProofError("the shares do not fit together") from error
            if back.data != sealed:
                raise ProofError("the shares did not give the object back")

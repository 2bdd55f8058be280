"""STOW-RS (PS3.18 10.5): sends Part 10 files, byte for byte, one to a request.

dicomweb-client would encode data sets anew and put them behind a boundary that
everybody knows: an object could end its own part and begin another. What goes
out here is the file, behind a boundary that nobody can foresee.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from node.dicom.scu import UnansweredError
from node.dicom.web.answers import ANSWERED, outcome
from node.dicom.web.multipart import Framed
from node.dicom.web.service import JSON, Pace, content, troubled
from node.errors import UnreachableError
from node.types import Delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.dicom.sending import Outgoing
    from node.dicom.web.service import Service
    from node.types import Outcome

DICOM = "application/dicom"
NOBODY = "2.25.0"  # a Study Instance UID that nothing has: an answer to it shows no patient
SENT = frozenset({"connection", "no_response", "slow", "too_long"})  # it may have arrived


class StowSender:
    """Sends to one archive, one object at a time. Not for several threads."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def expect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Nothing is negotiated."""

    def send(self, item: Outgoing, *, alive: Callable[[], None] = lambda: None) -> Outcome:
        """Send one object and return what became of it.

        :param alive: called every now and then while it is sent; what it raises
            ends the request.
        :raises UnansweredError: it went out, and whether it arrived is not known.
        :raises UnreachableError: the archive cannot take anything now.
        """
        pace = Pace(self._service.limits)

        def moved(count: int) -> None:
            pace.keep(count)
            alive()

        with item.open() as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            body = Framed(file, size, boundary=os.urandom(24).hex(), media_type=DICOM, moved=moved)
            headers = {"Content-Type": body.content_type, "Accept": JSON}
            try:
                with self._service.asked("POST", "/studies", headers, body) as response:
                    said = b"".join(content(response)) if response.status_code in ANSWERED else b""
                    return outcome(response.status_code, said, item.sop_instance_uid)
            except UnreachableError as error:
                if error.code in SENT:
                    raise UnansweredError(str(error), code=error.code) from None
                raise

    def idle(self) -> None:
        """Keep connections: what the archive has closed is opened anew."""

    def close(self) -> None:
        """Close every connection."""
        self._service.close()

    def echo(self) -> Outcome:
        """Ask for a study that does not exist, which stands here for a C-ECHO.

        :raises UnreachableError: nobody answers, or not to us.
        """
        path = f"/studies?StudyInstanceUID={NOBODY}&limit=1"
        with self._service.asked("GET", path, {"Accept": JSON}) as response:
            if not response.ok:
                raise troubled(response.status_code)
            return Delivered()

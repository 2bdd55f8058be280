"""A small archive to send to and read back from: C-STORE, C-FIND, C-MOVE, C-GET, C-ECHO.

It keeps every object as a Part 10 file named by its SHA-256, the data set byte
for byte as it arrived. It is a test peer on stock pynetdicom, not part of the node::

    python tests/archive.py --port 11113 --dir pacs --move-dest SEALNODE=127.0.0.1:11112

In a test::

    with Archive(tmp_path) as archive:
        ...  # archive.port, archive.paths()
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom import sop_class as sop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from pynetdicom.events import Event

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    JPEGBaseline8Bit,
]
LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
# PS3.4 C.6.1.1 and C.6.2.1: the unique key of each level
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
FIND = (
    sop.PatientRootQueryRetrieveInformationModelFind,
    sop.StudyRootQueryRetrieveInformationModelFind,
)
MOVE = (
    sop.PatientRootQueryRetrieveInformationModelMove,
    sop.StudyRootQueryRetrieveInformationModelMove,
)
GET = (
    sop.PatientRootQueryRetrieveInformationModelGet,
    sop.StudyRootQueryRetrieveInformationModelGet,
)
SUCCESS, PENDING, CANCEL, UNABLE, NO_MOVE_DESTINATION = 0x0000, 0xFF00, 0xFE00, 0xC001, 0xA801


class Archive:
    """A running archive.

    :param syntaxes: the transfer syntaxes that it accepts.
    :param answer: called with the C-STORE event before anything is kept; what it
        returns other than 0x0000 is the answer, and the object is then not kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aet: str = "ARCHIVE",
        host: str = "127.0.0.1",
        port: int = 0,
        destinations: dict[str, tuple[str, int]] | None = None,
        syntaxes: list[UID] | None = None,
        answer: Callable[[Event], int] | None = None,
    ) -> None:
        self.folder = folder
        self.aet = aet
        self.destinations = destinations or {}
        self.syntaxes = syntaxes or SYNTAXES
        self._answer = answer
        self._address = (host, port)
        self._lock = threading.Lock()
        self._index: dict[str, tuple[Path, Dataset]] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.paths():
            self._add(path)

    def __enter__(self) -> Self:
        ae = AE(self.aet)
        ae.maximum_associations = 32
        ae.maximum_pdu_size = 131072
        for context in AllStoragePresentationContexts:
            # C-GET wants us as the SCU of the storage classes: PS3.7 D.3.3.4
            ae.add_supported_context(
                context.abstract_syntax, self.syntaxes, scu_role=True, scp_role=True
            )
        for model in (sop.Verification, *FIND, *MOVE, *GET):
            ae.add_supported_context(model)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_C_GET, self._get),
        ]
        self._server = ae.start_server(self._address, block=False, evt_handlers=handlers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def paths(self) -> list[Path]:
        """Return the files that it keeps, in no order."""
        return list(self.folder.glob("*.dcm"))

    def uids(self) -> set[str]:
        """Return the SOP Instance UIDs that it keeps."""
        with self._lock:
            return set(self._index)

    def path(self, uid: str) -> Path:
        """Return the newest file of one SOP Instance UID."""
        with self._lock:
            return self._index[uid][0]

    def _add(self, path: Path) -> None:
        header = dcmread(path, stop_before_pixels=True)
        with self._lock:
            self._index[header.SOPInstanceUID] = (path, header)

    def _store(self, event: Event) -> int:
        status = self._answer(event) if self._answer else SUCCESS
        if status != SUCCESS:
            return status
        data = event.encoded_dataset()
        path = self.folder / f"{hashlib.sha256(data).hexdigest()}.dcm"
        part = path.with_suffix(f".{threading.get_ident()}")
        part.write_bytes(data)
        part.replace(path)
        self._add(path)
        return SUCCESS

    def _matches(self, query: Dataset) -> list[tuple[Path, Dataset]]:
        with self._lock:
            kept = list(self._index.values())
        keys = [e for e in query if e.keyword not in {"QueryRetrieveLevel", "SpecificCharacterSet"}]
        return [row for row in kept if all(_matches_key(row[1], e) for e in keys)]

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        level = query.get("QueryRetrieveLevel", "")
        if level not in LEVELS:
            yield UNABLE, None
            return
        seen = set()
        for _, header in self._matches(query):
            unique = tuple(header.get(UNIQUE[x], "") for x in LEVELS[: LEVELS.index(level) + 1])
            if unique in seen:
                continue
            seen.add(unique)
            if event.is_cancelled:
                yield CANCEL, None
                return
            found = Dataset()
            found.QueryRetrieveLevel = level
            found.RetrieveAETitle = self.aet
            for element in query:
                if element.keyword in {"QueryRetrieveLevel", "RetrieveAETitle"}:
                    continue
                if element.tag in header:
                    found[element.tag] = header[element.tag]
                else:
                    found.add_new(element.tag, element.VR, "")
            yield PENDING, found

    def _move(self, event: Event) -> Iterator[object]:
        address = self.destinations.get(event.move_destination)
        if address is None:
            yield None, None
            return
        rows = self._matches(event.identifier)
        pairs = {(h.SOPClassUID, h.file_meta.TransferSyntaxUID) for _, h in rows}
        contexts = [build_context(cls, syntax) for cls, syntax in sorted(pairs)][:128]
        yield (*address, {"contexts": contexts or [build_context(sop.CTImageStorage)]})
        yield from self._suboperations(event, rows)

    def _get(self, event: Event) -> Iterator[object]:
        yield from self._suboperations(event, self._matches(event.identifier))

    def _suboperations(self, event: Event, rows: list[tuple[Path, Dataset]]) -> Iterator[object]:
        yield len(rows)
        for path, _ in rows:
            if event.is_cancelled:
                yield CANCEL, None
                return
            yield PENDING, dcmread(path)


def _matches_key(header: Dataset, key: object) -> bool:
    """PS3.4 C.2.2.2: universal, list of UID, wildcard or single value matching."""
    wanted = key.value
    if wanted in (None, "") or key.VR == "SQ":
        return True
    value = header.get(key.tag)
    found = "" if value is None or value.value is None else value.value
    values = [str(v) for v in found] if isinstance(found, MultiValue) else [str(found)]
    patterns = [str(w) for w in wanted] if isinstance(wanted, MultiValue) else [str(wanted)]
    if key.VR == "UI":
        return any(v in patterns for v in values)
    return any(fnmatch.fnmatchcase(v, p) for v in values for p in patterns)


def _destination(text: str) -> tuple[str, tuple[str, int]]:
    aet, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    return aet, (host, int(port))


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A small Query/Retrieve archive for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--aet", default="ARCHIVE")
    parser.add_argument(
        "--move-dest", type=_destination, action="append", default=[], metavar="AET=HOST:PORT"
    )
    args = parser.parse_args()
    # PS3.5 9: values are kept, not judged; and none of them is logged
    _config.LOG_HANDLER_LEVEL = "none"
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Archive(
        args.dir,
        aet=args.aet,
        host=args.host,
        port=args.port,
        destinations=dict(args.move_dest),
    ) as archive:
        print(f"{args.aet} listens on {args.host}:{archive.port}, pid {os.getpid()}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()

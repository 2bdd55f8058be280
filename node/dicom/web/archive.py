"""A DICOMweb archive as a place to ask and to fetch from: QIDO-RS and WADO-RS.

It stands where :class:`node.dicom.archive.DimseArchive` does. Objects are fetched
one by one and in the transfer syntax in which the archive has them.

SECURITY: what an archive says is passed on or counted, never logged. Only what
was asked for is taken, within the same limits as from any other archive.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING

from node.dicom import reader, status
from node.dicom.base import MAX_LISTED, Listed
from node.dicom.retrieve import FetchError
from node.dicom.scp import StoreRequest
from node.dicom.web.matches import answered, understood
from node.dicom.web.multipart import boundary_of, unframe
from node.dicom.web.search import first, search, uid_of
from node.dicom.web.service import content, troubled
from node.errors import RefusedError, SealnodeError, UnreachableError, UnreadableError
from node.types import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from node.dicom.base import Keys
    from node.dicom.reader import DicomObject
    from node.dicom.retrieve import Take, Wanted
    from node.dicom.web.service import Service

# PS3.18 8.7.3.5.2: the asterisk is "as it is stored"
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
# These say nothing of the one object that was asked for
EVERYWHERE = frozenset({401, 403, 429, 503})
FRAME = 1 << 17  # bytes around the one part of an answer
LISTED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
PENDING = 0xFF00


class WebArchive:
    """Asks and reads back from one destination. Not for several threads."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def fetch(self, wanted: Wanted, folder: Path, take: Take | None = None) -> list[Path]:
        """Return what is wanted as files in a folder, named by their SHA-256.

        :param take: is given each file as it arrives instead.
        :raises FetchError: the archive did not give all.
        :raises UnreachableError: it is not there, or does not let us.
        """
        paths: list[Path] = []
        wrong: list[_WrongError] = []
        trouble: FetchError | None = None
        taken = 0
        for one in self._each(wanted):
            try:
                got = self._one(one, folder)
            except _WrongError as error:
                wrong.append(error)
                continue
            except FetchError as error:
                trouble = error
                continue
            if got is None:
                continue
            taken += 1
            obj, path = got
            if take is None:
                paths.append(path)
            else:
                names = (obj.text("SOPClassUID"), obj.text("SOPInstanceUID"))
                take(path, StoreRequest(*names, obj.transfer_syntax_uid, Peer("", "", "")))
        if wrong and not taken:
            raise FetchError(
                "the archive gave something else",
                code=wrong[0].code,
                refused=[error.code for error in wrong],
                wrong=[error.path for error in wrong if error.path],
            )
        if trouble is not None:
            raise trouble
        return paths

    def holds(self, wanted: Wanted) -> bool:
        """Return whether the archive says by QIDO-RS that it has what is wanted.

        :raises UnreachableError: it does not say.
        """
        return next(self._listed(wanted), None) is not None

    def contents(self, level: str, keys: Keys) -> list[Listed]:
        """Return the instances below what the unique keys of a request name.

        :param level: of the request; the keys of the levels above it are there.
        :raises UnreachableError: the archive does not say.
        """
        studies = keys.get("StudyInstanceUID", ())
        if level == "PATIENT":
            patients = {_tag("PatientID"): "\\".join(keys["PatientID"])}
            found = search(self._service, "STUDY", filters=patients)
            studies = tuple(uid for match in found if (uid := uid_of(match, "StudyInstanceUID")))
        series, instances = keys.get("SeriesInstanceUID", ()), keys.get("SOPInstanceUID", ())
        listed: list[Listed] = []
        for one, other in product(studies, series or ("",)):
            listed += self._below(one, other, instances)
            if len(listed) > MAX_LISTED:
                raise FetchError("more than can be counted", code="too_many")
        return listed

    def query(
        self,
        model: str,  # noqa: ARG002 - the level says enough
        identifier: bytes,
        transfer_syntax_uid: str,
        cancelled: Callable[[], bool],
        *,
        retrieve_aet: str,
    ) -> Iterator[tuple[int, bytes | None]]:
        """Ask what a C-FIND asks; yield (status, identifier) as they come, the final one last.

        :param identifier: and every answer, in ``transfer_syntax_uid``.
        :param retrieve_aet: for Retrieve AE Title.
        :raises UnreachableError: the archive does not answer.
        """
        try:
            asked = understood(reader.read_dataset(identifier, transfer_syntax_uid))
            for uid in (*asked.studies, *asked.series):
                reader.check_uid(uid)
        except UnreadableError as error:
            raise UnreachableError("an identifier is malformed", code=error.code) from None
        patients: set[str] = set()
        for study, series in product(asked.studies or ("",), asked.series or ("",)):
            for match in search(
                self._service,
                "STUDY" if asked.level == "PATIENT" else asked.level,
                study=study,
                series=series,
                filters=asked.filters,
                fields=asked.fields,
            ):
                if cancelled():
                    return
                if asked.level == "PATIENT":  # QIDO-RS knows patients by their studies alone
                    patient = first(match, _tag("PatientID"))
                    if patient in patients:
                        continue
                    patients.add(patient)
                yield PENDING, answered(asked, match, retrieve_aet, transfer_syntax_uid)
        yield status.SUCCESS, None

    def _each(self, wanted: Wanted) -> Iterator[Wanted]:
        """Yield each instance that is wanted."""
        named = wanted.sop_instance_uid and "\\" not in wanted.series_instance_uid
        if named and wanted.series_instance_uid:
            for uid in wanted.sop_instance_uid.split("\\"):
                yield replace(wanted, sop_instance_uid=uid)
            return
        for one in list(self._listed(wanted)):
            yield replace(
                wanted,
                study_instance_uid=one.study_instance_uid,
                series_instance_uid=one.series_instance_uid,
                sop_instance_uid=one.sop_instance_uid,
            )

    def _listed(self, wanted: Wanted) -> Iterator[Listed]:
        instances = tuple(wanted.sop_instance_uid.split("\\")) if wanted.sop_instance_uid else ()
        for series in wanted.series_instance_uid.split("\\"):
            yield from self._below(wanted.study_instance_uid, series, instances)

    def _below(self, study: str, series: str, instances: Sequence[str]) -> Iterator[Listed]:
        try:
            for uid in (study, *([series] if series else []), *instances):
                reader.check_uid(uid)
        except UnreadableError:
            return  # there is nothing of such a name
        filters = {_tag("SOPInstanceUID"): ",".join(instances)} if instances else {}
        fields = [_tag(keyword) for keyword in LISTED]
        for match in search(
            self._service, "IMAGE", study=study, series=series, filters=filters, fields=fields
        ):
            own, where = uid_of(match, "SOPInstanceUID"), uid_of(match, "SeriesInstanceUID")
            if not instances or own in instances:
                yield Listed(study, where or series, own, uid_of(match, "SOPClassUID"))

    def _one(self, wanted: Wanted, folder: Path) -> tuple[DicomObject, Path] | None:
        """Fetch one instance; return None where there is none.

        :raises _WrongError: something else came.
        :raises UnreachableError: nothing of use came.
        """
        part = folder / f"{os.getpid()}-{threading.get_ident()}.part"
        try:
            digest = self._download(wanted, part)
            if not digest:
                return None
            try:
                obj = reader.read(part.read_bytes())
                wanted.check(obj)
            except (UnreadableError, RefusedError) as error:
                raise _WrongError(error.code, part.replace(folder / f"{digest}.wrong")) from None
            return obj, part.replace(folder / f"{digest}.dcm")
        finally:
            part.unlink(missing_ok=True)

    def _download(self, wanted: Wanted, part: Path) -> str:
        """Write what the archive gives for an instance; return its SHA-256, ``""`` for nothing."""
        uids = (wanted.study_instance_uid, wanted.series_instance_uid, wanted.sop_instance_uid)
        try:
            study, series, instance = map(reader.check_uid, uids)
        except UnreadableError:
            return ""  # there is nothing of such a name
        path = f"/studies/{study}/series/{series}/instances/{instance}"
        digest = hashlib.sha256()
        room = wanted.max_size or self._service.limits.max_object
        try:
            with (
                part.open("wb") as file,
                self._service.asked("GET", path, {"Accept": ACCEPT}, most=room + FRAME) as response,
            ):
                if response.status_code in GONE:
                    return ""
                if response.status_code != HTTPStatus.OK:
                    raise _trouble(response.status_code)

                def write(data: bytes) -> None:
                    digest.update(data)
                    if file.tell() + len(data) > room:
                        raise _WrongError("too_large")
                    file.write(data)

                boundary = boundary_of(response.headers.get("Content-Type", ""))
                unframe(content(response), boundary, write)
        except UnreachableError as error:
            if error.code == "too_long":
                raise _WrongError("too_large") from None
            raise
        except UnreadableError as error:
            if error.code == "several":
                raise _WrongError(error.code) from None
            raise FetchError(str(error), code=error.code) from None
        return digest.hexdigest()


class _WrongError(SealnodeError):
    """What came is not what was asked for; ``path`` is its file, where it could be kept."""

    def __init__(self, code: str, path: Path | None = None) -> None:
        super().__init__("the archive gave something else", code=code)
        self.path = path


def _trouble(http: int) -> UnreachableError:
    """Return what it means that an instance is not given."""
    if http in EVERYWHERE:
        return troubled(http)
    return FetchError(f"the archive does not give it (HTTP {http})", code=f"http_{http}")


def _tag(keyword: str) -> str:
    return f"{reader.tag_of(keyword):08X}"

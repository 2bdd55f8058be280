"""QIDO-RS (PS3.18 10.6): what an archive says that it has, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from node.dicom.base import MAX_LISTED
from node.dicom.reader import check_uid, tag_of
from node.dicom.retrieve import FetchError
from node.dicom.web.service import BROKEN, lost, troubled
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from node.dicom.web.service import Service

    Match = dict[str, Any]

PAGE = 1000  # matches asked for at once; an archive may give fewer
UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
NOT_FOUND = 404
NOBODY = "2.25.0"  # a Study Instance UID that nothing has


def search(
    service: Service,
    level: str,
    *,
    study: str = "",
    series: str = "",
    filters: dict[str, str] | None = None,
    fields: Sequence[str] = (),
) -> Iterator[Match]:
    """Yield the matches in the DICOM JSON model (PS3.18 annex F), each once.

    An archive may end a page early without saying so: it is asked until
    nothing new comes.

    :param level: ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``, below ``study`` and ``series``.
    :param filters: values by tag, eight hexadecimal digits; ``fields`` likewise.
    :raises UnreachableError: the archive does not say.
    """
    asked = {
        "limit": PAGE, "fields": list(fields), "search_filters": dict(filters or {}),
        "fuzzymatching": None, "get_remaining": False,
    }  # fmt: skip
    client, unique = service.client, f"{tag_of(UNIQUE[level]):08X}"
    above = [uid for uid in (study, series) if uid]
    seen: set[str] = set()
    for uid in above:
        check_uid(uid)  # it becomes a part of an address
    find = {
        "STUDY": client.search_for_studies,
        "SERIES": client.search_for_series,
        "IMAGE": client.search_for_instances,
    }[level]
    while True:
        fresh = 0
        for match in _page(service, find, above, asked | {"offset": len(seen)}):
            uid = first(match, unique)
            if uid and uid not in seen:
                seen.add(uid)
                fresh += 1
                yield match
        if not fresh or (filters and single(filters.get(unique, ""))):
            return
        if len(seen) > MAX_LISTED:
            raise FetchError("more than can be counted", code="too_many")


def single(uids: str) -> bool:
    """Return whether a filter names one object, which has one match."""
    return bool(uids) and not set(uids) & set(",*?\\")


def first(match: Match, tag: str) -> str:
    """Return the first value of a text attribute; ``""`` if it is absent or no text."""
    element = match.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    found = values[0] if isinstance(values, list) and values else ""
    return found if isinstance(found, str) else ""


def uid_of(match: Match, keyword: str) -> str:
    """Return a UID of a match; ``""`` if it has none.

    :raises FetchError: it is none.
    """
    found = first(match, f"{tag_of(keyword):08X}")
    try:
        return check_uid(found) if found else ""
    except UnreadableError as error:
        raise FetchError("an answer is malformed", code=error.code) from None


def _page(service: Service, find: Any, above: Sequence[str], asked: dict[str, Any]) -> list[Match]:
    try:
        found = find(*above, **asked)
    except requests.HTTPError as error:
        status = 0
        if error.response is not None:
            status = error.response.status_code
            error.response.close()
        if status == NOT_FOUND and above and _answers(service):
            return []  # some say so where there is no such study or series
        raise troubled(status) from None
    except (ValueError, RecursionError):  # of the JSON, which may quote it
        raise FetchError("the archive's answer is no JSON", code="json") from None
    except BROKEN as error:
        raise lost(error) from None
    if not isinstance(found, list) or not all(isinstance(match, dict) for match in found):
        raise FetchError("the archive's answer is no list of matches", code="json")
    return found


def _answers(service: Service) -> bool:
    """Return whether the archive can be asked at all."""
    filters = {f"{tag_of('StudyInstanceUID'):08X}": NOBODY}
    return not list(search(service, "STUDY", filters=filters))

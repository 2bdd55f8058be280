"""What an archive says of an object that it was sent by STOW-RS (PS3.18 10.5.3).

The status of the whole answer does not say that an object is kept: only the
list of what was stored does, and this one must stand in it.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from node.dicom import status
from node.dicom.web.service import troubled
from node.types import Deferred, Delivered, Outcome, Refused

FAILED, STORED, OTHERS = "00081198", "00081199", "0008119A"  # PS3.3 table C.12-20
INSTANCE, REASON, WARNING = "00081155", "00081197", "00081196"
DUPLICATE = 0x0111
# What a resend cannot mend, where the answer does not say more
REFUSALS = {
    HTTPStatus.BAD_REQUEST: "the archive cannot understand it",
    HTTPStatus.CONFLICT: "the archive does not take it",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the archive takes nothing so large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the archive takes no such objects",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the archive does not take it",
}
ANSWERED = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, *REFUSALS})


def outcome(http: int, body: bytes, sop_instance_uid: str) -> Outcome:
    """Return what became of one object.

    :param http: status of the answer.
    :param body: in JSON (PS3.18 annex F), as far as it is.
    :raises UnreachableError: the answer is not about the object.
    """
    if http not in ANSWERED:
        raise troubled(http)
    said = _dataset(body)
    for item in _items(said, FAILED):
        if _value(item, INSTANCE) == sop_instance_uid:
            return _failed(_value(item, REASON), http)
    if http in REFUSALS:
        others = [_value(item, REASON) for item in _items(said, OTHERS)]
        if len(others) == 1:
            return _failed(others[0], http)
        return Refused(f"{REFUSALS[HTTPStatus(http)]} (HTTP {http})")
    for item in _items(said, STORED):
        if _value(item, INSTANCE) == sop_instance_uid:
            warned = _value(item, WARNING)
            return Delivered(warned if isinstance(warned, int) and 0 < warned <= 0xFFFF else 0)  # noqa: PLR2004 - US
    return Deferred(f"the archive does not say that it keeps it (HTTP {http})")


def _failed(reason: object, http: int) -> Outcome:
    """Return what a Failure Reason (0008,1197) means, PS3.18 table I.2-2: the words of C-STORE."""
    if not isinstance(reason, int) or isinstance(reason, bool) or not 0 <= reason <= 0xFFFF:  # noqa: PLR2004 - US
        return Refused(f"the archive does not take it (HTTP {http})")
    found = status.outcome(reason)
    if isinstance(found, Delivered):  # what stands among the failed is not kept
        return Refused(f"status {reason:04X}H: not stored", reason)
    return found


def _dataset(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(said, list) and len(said) == 1:  # some put a list around it
        said = said[0]
    return said if isinstance(said, dict) else {}


def _items(dataset: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _value(item: dict[str, Any], tag: str) -> object:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None

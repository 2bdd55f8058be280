"""Events as audit messages of DICOM: PS3.15 A.5, for an audit record repository.

Each message tells of one event about one object, so of one patient at most.
Codes: PS3.16 CID 400, 401, 402, 403.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from node.audit import line as lines
from node.types import RECEIPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.audit.reading import Told
    from node.types import Event

ACTIVITY = ("110100", "Application Activity")
LOG_USED = ("110101", "Audit Log Used")
BEGIN = ("110102", "Begin Transferring DICOM Instances")
ACCESSED = ("110103", "DICOM Instances Accessed")
TRANSFERRED = ("110104", "DICOM Instances Transferred")
EXPORT = ("110106", "Export")
QUERY = ("110112", "Query")
ALERT = ("110113", "Security Alert")
START = ("110120", "Application Start")
STOP = ("110121", "Application Stop")
NODE_AUTHENTICATION = ("110126", "Node Authentication")
OVERRIDE_STARTED = ("110127", "Emergency Override Started")
OVERRIDE_STOPPED = ("110138", "Emergency Override Stopped")
NETWORK_CONFIGURATION = ("110128", "Network Configuration")
SECURITY_CONFIGURATION = ("110129", "Security Configuration")
RESTRICTED_FUNCTION = ("110132", "Use of Restricted Function")
OBJECT_SECURITY = ("110135", "Object Security Attributes Changed")
APPLICATION = ("110150", "Application")
DESTINATION = ("110152", "Destination Role ID")
SOURCE = ("110153", "Source Role ID")
SUCCESS, MINOR, SERIOUS = "0", "4", "8"  # EventOutcomeIndicator
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
HIDDEN = {"patient", RECEIPT, "objects"}  # facts that stand elsewhere in a message


@dataclass(frozen=True, slots=True)
class _Form:
    """Which message an event becomes.

    :param action: EventActionCode: Create, Read, Update, Delete, Execute.
    """

    code: tuple[str, str]
    action: str
    kind: tuple[str, str] | None = None


FORMS = {
    "node_started": _Form(ACTIVITY, "E", START),
    "node_stopped": _Form(ACTIVITY, "E", STOP),
    "audit_read": _Form(LOG_USED, "R"),
    "entry_sealed": _Form(BEGIN, "E"),
    "relayed_by_rule": _Form(BEGIN, "E"),
    "relayed_unsealed": _Form(BEGIN, "E"),
    "objects_retrieved": _Form(ACCESSED, "R"),
    "instance_accepted": _Form(TRANSFERRED, "C"),
    "instance_refused": _Form(TRANSFERRED, "C"),
    "delivery_sent": _Form(TRANSFERRED, "C"),
    "delivery_parked": _Form(TRANSFERRED, "C"),
    "original_restored": _Form(EXPORT, "R"),
    "record_extracted": _Form(EXPORT, "R"),
    "query_forwarded": _Form(QUERY, "E"),
    "peer_rejected": _Form(ALERT, "E", NODE_AUTHENTICATION),
    "break_glass_opened": _Form(ALERT, "E", OVERRIDE_STARTED),
    "break_glass_ended": _Form(ALERT, "E", OVERRIDE_STOPPED),
    "config_adopted": _Form(ALERT, "E", NETWORK_CONFIGURATION),
    "keys_changed": _Form(ALERT, "E", SECURITY_CONFIGURATION),
    "keys_used": _Form(ALERT, "E", SECURITY_CONFIGURATION),
    "readback_tampered": _Form(ALERT, "E", OBJECT_SECURITY),
    "retrieve_blocked": _Form(ALERT, "E", OBJECT_SECURITY),
    "retrieve_warned": _Form(ALERT, "E", OBJECT_SECURITY),
}
ADMINISTRATIVE = ("entry_", "audit_", "witness_")
"""Beginnings of events that a person or retention causes; they become alerts."""
ROUTINE = {"entry_forgotten"}


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes messages for one node.

    :param aet: of the node.
    :param host: name of the machine.
    :param site: AuditEnterpriseSiteID, or "".
    """

    aet: str
    host: str
    site: str = ""

    def messages(self, told: Told) -> Iterator[bytes]:
        """Yield what an event becomes: nothing, a message, or one for each object that it names."""
        event = told.event
        form = FORMS.get(event.event)
        if form is None and event.event.startswith(ADMINISTRATIVE):
            local = event.actor.startswith("local:") or event.event not in ROUTINE
            form = _Form(ALERT, "E", RESTRICTED_FUNCTION) if local else None
        if form is None or event.event in ROUTINE:
            return
        several = str(event.facts.get("objects", ""))
        for name in several.split(",") if several else (event.object,):
            yield self._message(told, form, name)

    def _message(self, told: Told, form: _Form, name: str) -> bytes:
        event = told.event
        root = ET.Element("AuditMessage")
        outcome = {"success": SUCCESS, "failure": MINOR}.get(event.outcome, SERIOUS)
        head = ET.SubElement(
            root, "EventIdentification", EventActionCode=form.action,
            EventDateTime=lines.timestamp(told.at), EventOutcomeIndicator=outcome,
        )  # fmt: skip
        _code(head, "EventID", form.code)
        if form.kind is not None:
            _code(head, "EventTypeCode", form.kind)
        ET.SubElement(head, "EventOutcomeDescription").text = event.event
        self._participants(root, event)
        source = {"AuditEnterpriseSiteID": self.site} if self.site else {}
        source["AuditSourceID"] = f"{self.aet}@{self.host}"
        where = ET.SubElement(root, "AuditSourceIdentification", source)
        ET.SubElement(where, "AuditSourceTypeCode", {"csd-code": "4"})
        self._objects(root, told, form, name)
        text: bytes = ET.tostring(root, "utf-8")
        return b'<?xml version="1.0" encoding="UTF-8"?>' + text

    def _participants(self, root: ET.Element, event: Event) -> None:
        """Add who did it, who took part, and the node itself."""
        facts = event.facts
        us = {"UserID": self.aet, "AlternativeUserID": f"AETITLES={self.aet}"}
        machine = {"NetworkAccessPointID": self.host, "NetworkAccessPointTypeCode": "1"}
        place = _plain(str(facts.get("address", "")))
        access = {"NetworkAccessPointID": place, "NetworkAccessPointTypeCode": "2"} if place else {}
        match event.event:
            case "instance_accepted" | "instance_refused" | "peer_rejected" | "query_forwarded":
                _who(root, event.actor or "unknown", access, SOURCE, asks=True)
                _who(root, us, machine, DESTINATION)
            case "objects_retrieved" | "retrieve_blocked" | "retrieve_warned":
                _who(root, event.actor or "unknown", {}, DESTINATION, asks=True)
                _who(root, us, machine, SOURCE)
            case "entry_sealed" | "relayed_by_rule" | "relayed_unsealed":
                _who(root, us, machine, SOURCE, asks=True)
                _who(root, f"route {facts.get('route', '')}", {}, DESTINATION)
            case "delivery_sent" | "delivery_parked":
                _who(root, us, machine, SOURCE, asks=True)
                _who(root, f"destination {facts.get('destination', '')}", {}, DESTINATION)
            case "original_restored" | "record_extracted":
                _who(root, event.actor or "unknown", machine, DESTINATION, asks=True)
                _who(root, us, machine, SOURCE)
            case _:
                if event.actor.startswith("local:"):
                    _who(root, event.actor, machine, None, asks=True)
                _who(root, us, machine, APPLICATION)

    def _objects(self, root: ET.Element, told: Told, form: _Form, name: str) -> None:
        """Add the object, its patient, and what else the event says."""
        event = told.event
        if form.code == QUERY:
            model = str(event.facts.get("model", STUDY_ROOT_FIND))
            kind = ("110181", "SOP Class UID", "DCM")
            query = _object(root, model, kind, type_code="2", role="3")
            ET.SubElement(query, "ParticipantObjectQuery").text = ""
            self._details(query, told)
            return
        if form.code == LOG_USED:
            kind = ("12", "URI", "RFC-3881")
            log = _object(root, f"sealnode:{self.aet}/audit", kind, type_code="2", role="13")
            ET.SubElement(log, "ParticipantObjectName").text = "Security Audit Log"
            self._details(log, told)
            return
        if not name and form.code == ACTIVITY:
            return
        if not name:
            kind = ("12", "URI", "RFC-3881")
            subject = _object(root, f"sealnode:{self.aet}", kind, type_code="2", role="13")
            ET.SubElement(subject, "ParticipantObjectName").text = event.event
            self._details(subject, told)
            return
        study = _object(root, name, ("110180", "Study Instance UID", "DCM"), "2", "3")
        ET.SubElement(study, "ParticipantObjectName").text = "keyed pseudonym of the SOP Instance"
        self._details(study, told)
        description = ET.SubElement(study, "ParticipantObjectDescription")
        ET.SubElement(description, "SOPClass", NumberOfInstances="1")
        ET.SubElement(description, "Anonymized").text = "true"
        patient = _object(root, name, ("2", "Patient Number", "RFC-3881"), "1", "1")
        ET.SubElement(patient, "ParticipantObjectName").text = "sealed for the audit officer"
        if sealed := str(event.facts.get("patient", "")):
            _detail(patient, "sealed", sealed)

    def _details(self, parent: ET.Element, told: Told) -> None:
        _detail(parent, "seq", str(told.seq))
        for key, value in sorted(told.event.facts.items()):
            if key not in HIDDEN and value != "":
                _detail(parent, key, str(value))


def _code(parent: ET.Element, name: str, code: tuple[str, str], system: str = "DCM") -> None:
    ET.SubElement(
        parent, name, {"csd-code": code[0], "codeSystemName": system, "originalText": code[1]}
    )


def _who(
    root: ET.Element,
    user: str | dict[str, str],
    access: dict[str, str],
    role: tuple[str, str] | None,
    *,
    asks: bool = False,
) -> None:
    named = user if isinstance(user, dict) else {"UserID": _plain(user)}
    found = ET.SubElement(
        root, "ActiveParticipant", named | access | {"UserIsRequestor": "true" if asks else "false"}
    )
    if role is not None:
        _code(found, "RoleIDCode", role)


def _object(
    root: ET.Element, name: str, kind: tuple[str, str, str], type_code: str, role: str
) -> ET.Element:
    found = ET.SubElement(
        root, "ParticipantObjectIdentification", ParticipantObjectID=_plain(name),
        ParticipantObjectTypeCode=type_code, ParticipantObjectTypeCodeRole=role,
    )  # fmt: skip
    _code(found, "ParticipantObjectIDTypeCode", kind[:2], kind[2])
    return found


def _detail(parent: ET.Element, key: str, value: str) -> None:
    text = base64.b64encode(value.encode("utf-8", "replace")).decode("ascii")
    ET.SubElement(parent, "ParticipantObjectDetail", type=key, value=text)


def _plain(text: str) -> str:
    """Leave out what XML 1.0 cannot hold; peers choose their own names."""
    return "".join(c if c.isprintable() else "?" for c in text)

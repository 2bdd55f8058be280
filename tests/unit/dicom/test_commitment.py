"""Storage Commitment on the wire, against stock pynetdicom in each role."""

from __future__ import annotations

from dataclasses import replace

import pytest
from committing import Modality, Pacs, Said
from network import MemoryReceiver, requestor, serving
from pydicom.dataset import Dataset

from node.dicom.commitment import CommitmentScp, CommitmentScu, Report, addresses_of, deliver
from node.dicom.requestor import NoContextError
from node.errors import SpoolFullError, UnreachableError

WANTED = (("1.2.840.10008.5.1.4.1.1.2", "1.2.3"), ("1.2.840.10008.5.1.4.1.1.4", "1.2.4"))
REPORT = Report("9.9", WANTED)


class Memory:
    """Keeps what it is told."""

    def __init__(self):
        self.requests, self.reports = [], []
        self.raises = None

    def requested(self, peer, transaction_uid, references):
        self._raise()
        self.requests.append((peer.source, transaction_uid, references))
        return 0x0000

    def reported(self, peer, report):
        self._raise()
        self.reports.append((peer.destination, report))

    def _raise(self):
        if self.raises is not None:
            raise self.raises


class Listed(MemoryReceiver):
    """Knows DEMO as a source, PACS as a destination, BOTH as both, and nobody else."""

    def admit(self, peer, names, login):
        known = {"DEMO": ("ct1", ""), "PACS": ("", "pacs"), "BOTH": ("ct1", "pacs")}
        source, destination = known.get(peer.calling_aet, ("", ""))
        return super().admit(replace(peer, source=source, destination=destination), names, login)


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def server(memory):
    def services(peer):
        return [CommitmentScp(memory, peer, asks=bool(peer.source))]

    with serving(Listed(), services=services) as server:
        yield server


@pytest.mark.parametrize("reply", ["same", "none"])
def test_a_pacs_is_asked_and_may_answer_on_the_same_association(reply):
    taken = []
    with Pacs(reply=reply) as pacs:
        scu = CommitmentScu(requestor(pacs.port, aet="PACS"), wait=1.0 if reply == "same" else 0.3)
        assert scu.ask("9.9", WANTED, taken.append) == 0x0000
        assert pacs.heard == [Said("9.9", 0, list(WANTED))]
        assert pacs.answered == ([0x0000] if reply == "same" else [])
    assert taken == ([REPORT] if reply == "same" else [])


def test_without_a_wait_the_association_ends_at_once():
    with Pacs(reply="none") as pacs:
        scu = CommitmentScu(requestor(pacs.port, aet="PACS"), wait=0.0)
        assert scu.ask("9.9", WANTED, print) == 0x0000


def test_a_pacs_that_refuses_says_why():
    with Pacs() as pacs:
        pacs.answer = 0x0213
        scu = CommitmentScu(requestor(pacs.port, aet="PACS"), wait=5.0)
        assert scu.ask("9.9", WANTED, print) == 0x0213
    with Pacs(offers=False) as pacs, pytest.raises(NoContextError):
        CommitmentScu(requestor(pacs.port, aet="PACS"), wait=1.0).ask("9.9", WANTED, print)


def test_a_report_that_cannot_be_kept_is_not_answered_with_success():
    def full(_):
        raise SpoolFullError("no room")

    with Pacs(reply="same") as pacs:
        scu = CommitmentScu(requestor(pacs.port, aet="PACS"), wait=2.0)
        assert scu.ask("9.9", WANTED, full) == 0x0000
    assert pacs.answered == [0x0213]


@pytest.mark.parametrize("role", [True, False])
def test_a_pacs_reports_on_an_association_of_its_own(memory, server, role):
    said = Said("9.9", 2, [WANTED[0]], {"1.2.4": 0x0112})
    assert Pacs().report(said, role=role, port=server.port) == 0x0000
    [(destination, report)] = memory.reports
    assert destination == "pacs"
    assert report == Report("9.9", (WANTED[0],), (("1.2", "1.2.4", 0x0112),))


def test_who_owes_no_report_is_told_so(memory, server):
    said = Said("9.9", 1, list(WANTED))
    assert Pacs().report(said, aet="DEMO", role=False, port=server.port) == 0x0124
    assert Pacs().report(replace(said, event_type=3), port=server.port) == 0x0113
    memory.raises = SpoolFullError("no room")
    assert Pacs().report(said, port=server.port) == 0x0213
    assert memory.reports == []


def test_a_source_asks(memory, server):
    assert Modality().ask(server.port, "7.7", list(WANTED)) == 0x0000
    assert Modality("BOTH").ask(server.port, "7.8", list(WANTED[:1])) == 0x0000
    assert memory.requests == [("ct1", "7.7", WANTED), ("ct1", "7.8", WANTED[:1])]


def test_a_request_that_says_nothing_is_refused(memory, server):
    nothing, nameless = Dataset(), Dataset()
    nothing.TransactionUID = "7.7"
    nameless.ReferencedSOPSequence = [Dataset()]
    nameless.ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2"
    nameless.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2"
    asks = [
        ({"information": nothing}, 0x0115),
        ({"information": nameless}, 0x0115),
        ({"action": 2}, 0x0123),
        ({"instance": "1.2.3"}, 0x0112),
    ]
    for odd, status in asks:
        assert Modality().ask(server.port, "7.7", list(WANTED), **odd) == status, odd
    memory.raises = SpoolFullError("no room")
    assert Modality().ask(server.port, "7.7", list(WANTED)) == 0x0213
    assert Modality("PACS").ask(server.port, "7.7", list(WANTED)) == 0x0124
    assert memory.requests == []


@pytest.mark.parametrize("role", [True, False])
def test_a_report_is_delivered_in_whatever_role_the_modality_allows(role):
    with Modality(role=role) as modality:
        peer = requestor(modality.port, aet="DEMO")
        assert deliver(peer, REPORT) == 0x0000
        failed = Report("9.9", WANTED[:1], ((*WANTED[1], 0x0110),))
        assert deliver(peer, failed) == 0x0000
        modality.answer = 0x0110
        assert deliver(peer, Report("9.9", (), ((*WANTED[1], 0x0110),))) == 0x0110
    assert modality.asked_to_be_scp == [True] * 3
    assert modality.heard == [
        Said("9.9", 1, list(WANTED)),
        Said("9.9", 2, [WANTED[0]], {"1.2.4": 0x0110}),
        Said("9.9", 2, [], {"1.2.4": 0x0110}),
    ]


def test_a_modality_that_takes_no_reports_is_told_apart_from_one_that_is_away():
    with Modality(offers=False) as modality, pytest.raises(NoContextError):
        deliver(requestor(modality.port, aet="DEMO"), REPORT)
    with pytest.raises(UnreachableError):
        deliver(requestor(modality.port, aet="DEMO"), REPORT)


def test_addresses_are_looked_up_by_name():
    assert "127.0.0.1" in addresses_of("localhost")
    assert addresses_of("127.0.0.1") == ("127.0.0.1",)
    assert addresses_of("no-such-host.invalid") == ()

"""Storage Commitment through a whole node: a modality that asks, a PACS that answers."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest
from archive import Archive
from committing import Modality, Pacs, Said
from modality import Answered, images, store
from running import RunningNode, free_ports, listening, wait_for

from node import wiring
from node.types import DeliveryState, EntryState

pytestmark = pytest.mark.slow


def configured(
    node: RunningNode,
    *,
    host_port: int,
    destination: str,
    commitment: bool = True,
) -> None:
    """Let the source ask, and the destination be asked."""
    file = node.config / "node.toml"
    text = file.read_text()
    text = text.replace(
        "[source.demo]\n", f'[source.demo]\nhost = "127.0.0.1"\nport = {host_port}\n', 1
    )
    wanted = 'commitment = true\ncommitment_after = "0s"\n' if commitment else ""
    options = f"{wanted}{destination}"
    text = text.replace("[destination.pacs-main]\n", f"[destination.pacs-main]\n{options}", 1)
    file.write_text(text)


@contextmanager
def site(tmp_path, *, reply, wait="1s", within="1h", failpoint=""):
    """A modality, a node and a PACS."""
    with ExitStack() as stack:
        modality = stack.enter_context(Modality())
        pacs = stack.enter_context(Pacs(reply=reply))
        node = RunningNode(tmp_path / "node", pacs=pacs.port)
        destination = f'commitment_wait = "{wait}"\ncommitment_within = "{within}"\n'
        configured(node, host_port=modality.port, destination=destination)
        pacs.node_port = node.port
        stack.callback(node.stop)
        node.start(failpoint)
        yield modality, node, pacs


def pairs(sent):
    return [(one.sop_class_uid, one.sop_instance_uid) for one in sent]


@pytest.mark.parametrize("reply", ["same", "new"])
def test_a_modality_hears_that_the_pacs_has_committed(tmp_path, reply):
    with site(tmp_path, reply=reply) as (modality, node, pacs):
        sent = images(3)
        assert store(node.port, *sent) == [Answered(0)] * 3
        assert modality.ask(node.port, "7.7", pairs(sent)) == 0x0000
        wait_for(lambda: modality.heard, why=f"the modality to hear; see {node.log}")
        assert modality.heard == [Said("7.7", 1, sorted(pairs(sent), key=lambda p: p[1]))]
        assert pacs.answered
        assert set(pacs.answered) == {0x0000}
        for entry in node.entries():
            delivery = node.deliveries(entry.id)["pacs-main"]
            assert delivery.committed_at is not None
        shown = node.nodectl("queue", "show", 1).stdout
        assert "COMMITTED" in shown
        assert "T" in shown.splitlines()[-1]
        (status,) = node.rows("status")
        assert status["commitment"] == []
        assert modality.ask(node.port, "7.8", [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]) == 0
        wait_for(lambda: len(modality.heard) == 2)
        assert modality.heard[1].failed == {"1.2.3": 0x0112}


def test_what_the_pacs_lost_is_sent_again_and_then_committed(tmp_path):
    with site(tmp_path, reply="new", wait="0s") as (modality, node, pacs):
        sent = images(2)
        lost = sent[0].sop_instance_uid

        def word(asked):
            failed = {lost: 0x0112} if pacs.stored.count(lost) == 1 else {}
            kept = [pair for pair in asked.committed if pair[1] not in failed]
            return Said(asked.transaction_uid, 2 if failed else 1, kept, failed)

        pacs.word = word
        store(node.port, *sent)
        modality.ask(node.port, "7.7", pairs(sent))
        wait_for(lambda: modality.heard, why=f"the modality to hear; see {node.log}")
        assert modality.heard[0].failed == {}
        assert pacs.stored.count(lost) == 2


def test_forged_and_wrong_reports_change_nothing_and_silence_is_asked_again(tmp_path):
    with site(tmp_path, reply="none", wait="0s", within="2s") as (_, node, pacs):
        (sent,) = images(1)
        uid = sent.sop_instance_uid
        store(node.port, sent)
        wait_for(lambda: pacs.heard)
        wrong = Said("2.25.123", 1, pairs([sent]))
        assert pacs.report(wrong) == 0x0000
        assert pacs.report(wrong, aet="STRANGER") is None
        assert pacs.report(wrong, aet="DEMO", role=False) == 0x0124
        wait_for(lambda: len(pacs.heard) > 1, why="the PACS to be asked again")
        assert node.deliveries(1)["pacs-main"].committed_at is None
        assert node.events("commitment_report_unmatched")
        last = pacs.heard[-1]
        assert last.transaction_uid != pacs.heard[0].transaction_uid
        assert pacs.report(Said(last.transaction_uid, 1, pairs([sent]))) == 0x0000
        wait_for(lambda: node.deliveries(1)["pacs-main"].committed_at)
        assert node.entry(uid).state is EntryState.DONE
        assert not [line for line in node.log.read_text().splitlines() if uid in line]


def test_requests_and_reports_survive_kill_9(tmp_path):
    with site(tmp_path, reply="none", wait="0s") as (modality, node, pacs):
        sent = images(2)
        store(node.port, *sent)
        modality.ask(node.port, "7.7", pairs(sent))
        wait_for(lambda: sum(len(said.committed) for said in pacs.heard) == 2)
        node.kill_all()
        wait_for(lambda: not listening(node.port), why="the killed to let the port go")
        node.start()
        for said in pacs.heard:
            assert pacs.report(Said(said.transaction_uid, 1, said.committed)) == 0x0000
        wait_for(lambda: modality.heard, why=f"the modality to hear; see {node.log}")
        assert modality.heard[0].failed == {}
        assert len(pacs.stored) == 2


@pytest.mark.parametrize("place", ["commitment.asking", "commitment.ruled", "commitment.reported"])
def test_killed_at_the_worst_moment_it_all_comes_true_in_the_end(tmp_path, place):
    with site(tmp_path, reply="new", wait="0s", failpoint=place) as (modality, node, _):
        (sent,) = images(1)
        store(node.port, sent)
        modality.ask(node.port, "7.7", pairs([sent]))
        wait_for(lambda: node.events("stage_died"), why=f"it to die; see {node.log}")
        node.kill_all()
        if place == "commitment.asking":
            ledger = wiring.ledger(node.settings)  # patience, without waiting for it
            try:
                delivery = ledger.get(1)[1][0]
                assert delivery.asked == 1
                assert delivery.commit_at is not None
                ledger._commit.run(lambda db: db.execute("UPDATE delivery SET commit_at = 1"))
            finally:
                ledger.close()
        node.start()
        wait_for(lambda: modality.heard, why=f"the modality to hear; see {node.log}")
        assert {said.transaction_uid for said in modality.heard} == {"7.7"}
        assert not any(said.failed for said in modality.heard)
        assert node.deliveries(1)["pacs-main"].state is DeliveryState.SENT


def test_a_modality_that_is_away_hears_later(tmp_path):
    (port,) = free_ports(1)
    with ExitStack() as stack:
        pacs = stack.enter_context(Pacs(reply="same"))
        node = RunningNode(tmp_path / "node", pacs=pacs.port)
        configured(node, host_port=port, destination="")
        stack.enter_context(node)
        (sent,) = images(1)
        store(node.port, sent)
        assert Modality().ask(node.port, "7.7", pairs([sent])) == 0x0000
        wait_for(lambda: node.events("commitment_answer_deferred"))
        (status,) = node.rows("status")
        assert [row["source"] for row in status["commitment"]] == ["demo"]
        with Modality(port=port) as modality:
            wait_for(lambda: modality.heard)
            assert modality.heard == [Said("7.7", 1, pairs([sent]))]


def test_without_commitment_a_modality_hears_when_the_objects_were_read_back(tmp_path):
    with ExitStack() as stack:
        modality = stack.enter_context(Modality())
        archive = stack.enter_context(Archive(tmp_path / "pacs", aet="PACS"))
        node = RunningNode(tmp_path / "node", pacs=archive.port)
        readback = 'readback = "1%"\nreadback_after = "30d"\n'
        configured(node, host_port=modality.port, destination=readback, commitment=False)
        stack.enter_context(node)
        sent = images(2)
        store(node.port, *sent)
        assert modality.ask(node.port, "7.7", pairs(sent)) == 0x0000
        wait_for(lambda: modality.heard, why=f"the modality to hear; see {node.log}")
        assert modality.heard == [Said("7.7", 1, pairs(sent))]
        found = [node.deliveries(entry.id)["pacs-main"].state for entry in node.entries()]
        assert found == [DeliveryState.VERIFIED] * 2

"""Which loops a configuration asks for."""

from __future__ import annotations

import threading
import time

from node import wiring
from node.cli.stages import committing
from node.config.load import load
from node.types import Action, Decision, DeliveryState, Event, Instance, Route


def loops(directory):
    workers = committing(load(directory), threading.Event())
    for worker in workers:
        worker._step.__self__.ledger.close()
    return [worker.name for worker in workers]


def edited(directory, before, after):
    file = directory / "node.toml"
    file.write_text(file.read_text().replace(before, after, 1))


def test_commitment_runs_where_it_is_wanted_and_lets_go_of_what_no_longer_is(tmp_path, nodectl):
    directory = tmp_path / "site"
    assert nodectl("init", directory).status == 0
    assert loops(directory) == []
    place = "[destination.pacs-main]\n"
    edited(directory, place, f"{place}commitment = true\n")
    edited(directory, "[source.demo]\n", '[source.demo]\nhost = "ct1"\n')
    assert loops(directory) == ["commitment-pacs-main", "commitment"]

    ledger = wiring.ledger(load(directory))
    decided = Decision(Route("ct", {}, Action.SEAL, ("pacs-main",)), Action.SEAL, ())
    ledger.accept(Instance("1.1", "1.2", "1.3", "1.4", "1.5", "a" * 64, 9), decided, Event("a"))
    [claim] = ledger.claim_entries("p", limit=1, lease=60)
    uids = {"sop_class_uid": "1.1", "sop_instance_uid": "1.2", "transfer_syntax_uid": "1.5"}
    ledger.ready(claim, "b" * 64, **uids, event=Event("sealed"))
    [claim] = ledger.claim_deliveries("f", "pacs-main", limit=1, lease=60)
    ledger.settle(claim, DeliveryState.SENT, "", Event("sent"), commit_in=60.0)

    loops(directory)
    assert ledger.finished(before=time.time() + 1, limit=1) == []
    edited(directory, "commitment = true\n", "")
    loops(directory)
    assert [entry.id for entry in ledger.finished(before=time.time() + 1, limit=1)] == [1]
    last = ledger.outbox(limit=99)[-1][2]
    assert (last.event, last.facts) == (
        "commitment_forgone",
        {"destination": "pacs-main", "count": 1},
    )
    ledger.close()

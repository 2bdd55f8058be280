"""What was accepted and never arrived is found, and nothing else."""

from __future__ import annotations

from node.audit.gaps import gaps
from node.audit.reading import read
from node.types import Event


def accepted(entry, to="pacs", kind="new"):
    return Event("instance_accepted", facts={"entry": entry, "to": to, "kind": kind, "route": "ct"})


def about(name, entry, **facts):
    return Event(name, facts={"entry": entry} | facts)


def found(written, *told):
    return {
        gap.entry: (gap.state, gap.missing, gap.reason)
        for gap in gaps(read(written(len(told), names=told)))
    }


def test_what_arrived_everywhere_or_was_discarded_leaves_no_gap(written):
    assert not found(
        written,
        accepted(1), about("entry_sealed", 1), about("delivery_sent", 1, destination="pacs"),
        accepted(2), about("entry_held", 2, reason="held_by_rule"), about("entry_discarded", 2),
        accepted(1, kind="duplicate"),
    )  # fmt: skip


def test_what_has_not_arrived_is_named_with_where_it_is_missing(written):
    assert found(
        written,
        accepted(1, "pacs,vna"), about("delivery_sent", 1, destination="pacs"),
        accepted(2), about("entry_parked", 2, reason="original_lost"),
        accepted(3, ""), about("entry_held", 3, reason="no_route"),
        accepted(4), about("entry_held", 4, reason="x"), about("entry_released", 4, to="vna"),
        accepted(5, kind="conflict"),
    ) == {
        1: ("waiting", ("vna",), ""),
        2: ("parked", ("pacs",), "original_lost"),
        3: ("held", (), "no_route"),
        4: ("waiting", ("vna",), ""),
        5: ("parked", ("pacs",), ""),
    }  # fmt: skip


def test_a_clock_that_was_set_back_is_shown(written):
    folder = written(2, 1)
    path = sorted(folder.glob("*.jsonl"))[1]
    path.write_bytes(path.read_bytes().replace(b'"ts":"2026-01-03', b'"ts":"2026-01-01'))
    [gap] = gaps(read(folder))
    assert (gap.seq, gap.state) == (3, "clock")

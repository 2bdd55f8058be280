"""What differs between two configurations is told value by value."""

from __future__ import annotations

from node.cli.actor import latest
from node.config.changes import LONGEST, changes
from node.config.load import load

NODE = """
[source.ct1]
aet = "CT1"
addresses = ["10.0.1.0/24"]
[destination.pacs]
aet = "PACS"
host = "pacs"
port = 104
"""
ROUTE = '[[route]]\nname = "{}"\nmatch = {{ Modality = ["CT"] }}\naction = "seal"\nto = ["pacs"]\n'


CT = ROUTE.format("ct")


def config(folder, node=NODE, routes=CT):
    (folder / "routes.d").mkdir(exist_ok=True)
    (folder / "node.toml").write_text(node)
    (folder / "routes.d" / "10.toml").write_text(routes)
    return load(folder)


def test_nothing_differs_from_itself(tmp_path):
    facts = changes(config(tmp_path), config(tmp_path))
    assert facts == {"order": "same", "diff": ""} | dict.fromkeys(
        ("sources", "workstations", "destinations", "hospitals", "tls", "routes"), ""
    )


def test_each_value_is_told_with_what_it_was(tmp_path):
    before = config(tmp_path)
    node = NODE.replace("10.0.1.0/24", "10.0.0.0/8") + '[audit]\nretention = "9d"\n'
    facts = changes(before, config(tmp_path, node, ROUTE.format("ct") + ROUTE.format("mr")))
    assert facts["sources"] == "ct1"
    assert facts["routes"] == "mr"
    assert facts["order"] == "changed"
    assert 'sources.ct1.addresses ["10.0.1.0/24"] -> ["10.0.0.0/8"]' in facts["diff"]
    assert '+routes.mr.to ["pacs"]' in facts["diff"]
    assert "audit.retention 189388800.0 -> 777600.0" in facts["diff"]


def test_what_is_told_has_a_bound(tmp_path):
    before = config(tmp_path)
    many = "".join(ROUTE.format(f"r{number}") for number in range(100))
    assert len(changes(before, config(tmp_path, routes=many))["diff"]) == LONGEST + 3


def test_the_file_written_last_is_named_with_its_owner(tmp_path):
    config(tmp_path)
    first = latest(tmp_path)
    assert first["file"] == "routes.d/10.toml"
    assert first["owner"] == tmp_path.owner()
    (tmp_path / "node.toml").write_text(NODE + "\n")
    assert latest(tmp_path)["config"] != first["config"]

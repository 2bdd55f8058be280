"""Real archives are qualified: with the robust mark, and one that compresses with loss."""

from __future__ import annotations

import peers
import pytest
from running import RunningNode, free_ports

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUTES = """
[[route]]
name = "all"
match = { source = ["demo"] }
action = "seal"
to = ["pacs-main"]
robust = "id"
"""


@pytest.mark.parametrize("archive", [peers.orthanc, peers.dcmqrscp])
def test_a_real_archive_passes_with_every_layer(archive, tmp_path):
    (port,) = free_ports(1)
    node = RunningNode(tmp_path, pacs=port, routes=ROUTES)
    with archive(tmp_path / "pacs", port=port, fetch_port=node.fetch_port):
        [row] = node.rows("qualify", "pacs-main")
    assert row["result"] == "passed"
    cases = row["cases"]
    assert {case["verdict"] for case in cases if case["result"] == "passed"} == {"INTACT"}
    assert {"pixels", "header"} <= {case["carrier"] for case in cases}
    assert "survives" in {case["robust"] for case in cases}
    assert "lost" not in {case["robust"] for case in cases}

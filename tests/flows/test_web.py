"""Objects and shares sent to archives on the web, and gathered from them."""

from __future__ import annotations

import peers
import pytest
from network import sample
from running import RunningNode, wait_for

from node.types import DeliveryState

web = pytest.importorskip("web", reason="the extra 'web' is not installed", exc_type=ImportError)

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUTES = """
[[route]]
name = "all"
match = {{ source = ["demo"] }}
action = "seal"
shares = {{ k = 2, n = 3, to = ["cloud-0", "cloud-1", "cloud-2"] }}

[destination.cloud-0]
url = "{0}"

[destination.cloud-1]
url = "{1}"

[destination.cloud-2]
url = "{2}"
"""


def test_shares_go_to_clouds_and_any_two_give_the_object_back(tmp_path):
    peers.needed("storescu")
    with web.WebPacs() as one, web.WebPacs() as two, web.WebPacs() as three:
        urls = [pacs.url for pacs in (one, two, three)]
        with RunningNode(tmp_path, pacs=1, routes=ROUTES.format(*urls)) as node:
            assert all(peers.storescu(node.port, [sample()]).values())

            def delivered() -> bool:
                found = [d for e in node.entries() for d in node.deliveries(e.id).values()]
                return [d.state for d in found] == [DeliveryState.SENT] * 3

            wait_for(delivered, why=f"three shares to be sent; see {node.log}")
            (entry,) = node.entries()
            three.objects.clear()
            (found,) = node.rows(
                "verify", "--from", "cloud-0", "--study", entry.instance.study_instance_uid
            )
            assert found["verdict"] == "INTACT"
        secret = b"CompressedSamples^CT1"
        assert len({data for pacs in (one, two) for data in pacs.objects.values()}) == 2
        assert not any(secret in data for pacs in (one, two) for data in pacs.objects.values())

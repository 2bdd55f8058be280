"""What the witness remembers of an object after read-back has judged it."""

from __future__ import annotations

import pytest

from node.retrieval.witness import _delivered
from node.types import Delivery, DeliveryState


@pytest.mark.parametrize(
    ("state", "reason", "lost", "delivered"),
    [
        (DeliveryState.SENT, "", 0, True),
        (DeliveryState.VERIFIED, "", 0, True),
        (DeliveryState.PARKED, "tampered", 0, True),
        (DeliveryState.PARKED, "unmarked", 0, True),
        (DeliveryState.PARKED, "missing", 3, True),
        (DeliveryState.PENDING, "missing", 1, True),
        (DeliveryState.PARKED, "status A900H: data set does not match SOP class", 0, False),
        (DeliveryState.PENDING, "", 0, False),
    ],
)
def test_what_read_back_parked_was_delivered_all_the_same(state, reason, lost, delivered):
    row = Delivery(1, 1, "pacs", state, "ab", "1.2", "1.3", "1.4", reason=reason, lost=lost)
    assert _delivered(row) is delivered

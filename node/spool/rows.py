"""Rows of the SQLite ledger to and from the nouns that the node speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.spool.states import attributes_of, attributes_text
from node.types import Action, Delivery, DeliveryState, EntryState, Instance, Peer, SpoolEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]


def instance_values(instance: Instance) -> Row:
    """Return the columns of an instance."""
    return {
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "series_instance_uid": instance.series_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "blob": instance.blob,
        "size": instance.size,
        "attributes": attributes_text(instance.attributes),
        "calling_aet": instance.peer.calling_aet,
        "called_aet": instance.peer.called_aet,
        "address": instance.peer.address,
        "source": instance.peer.source,
        "received_at": instance.received_at,
    }


def entry_of(row: Mapping[str, Any]) -> SpoolEntry:
    """Read a row of ``entry``."""
    instance = Instance(
        sop_class_uid=row["sop_class_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        blob=row["blob"],
        size=row["size"],
        attributes=attributes_of(row["attributes"]),
        peer=Peer(row["calling_aet"], row["called_aet"], row["address"], row["source"]),
        received_at=row["received_at"],
    )
    return SpoolEntry(
        id=row["id"],
        instance=instance,
        state=EntryState(row["state"]),
        route=row["route"],
        action=Action(row["action"]),
        priority=row["priority"],
        sealed=row["sealed"],
        attempts=row["attempts"],
        not_before=row["not_before"],
        reason=row["reason"],
        threshold=row["threshold"],
    )


def delivery_of(row: Mapping[str, Any]) -> Delivery:
    """Read a row of ``delivery`` joined with the sealed object of its entry.

    SECURITY: a share never stands for the whole, not even while there is none.
    """
    whole = ("sealed", "sealed_class_uid", "sealed_instance_uid", "sealed_syntax_uid")
    part = ("blob", "class_uid", "instance_uid", "syntax_uid")
    blob, class_uid, instance_uid, syntax_uid = (row[c] for c in (part if row["share"] else whole))
    return Delivery(
        id=row["id"],
        entry=row["entry"],
        destination=row["destination"],
        state=DeliveryState(row["state"]),
        blob=blob,
        sop_class_uid=class_uid,
        sop_instance_uid=instance_uid,
        transfer_syntax_uid=syntax_uid,
        priority=row["priority"],
        attempts=row["attempts"],
        not_before=row["not_before"],
        created_at=row["since"],
        reason=row["reason"],
        readback_at=row["readback_at"],
        lost=row["lost"],
        commit_at=row["commit_at"],
        asked=row["asked"],
        committed_at=row["committed_at"],
        share=row["share"],
    )

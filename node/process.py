"""Stage 2: claim an entry, have it sealed and proved, commit; or set it aside with the reason.

SECURITY: holds the sealing key and what it takes to prove; needs no network.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from node.errors import DoesNotFitError, ProofError, UnreadableError, UnsealableError
from node.failpoint import reach
from node.sealing.copies import bitmap_of
from node.sealing.order import Order
from node.types import RECEIPT, Action, EntryState, Event, Part, Unsealable
from node.worker import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.operating.breakglass import Opening
    from node.seal import Marker
    from node.sealing.order import Marked
    from node.sealing.pseudonyms import Pseudonyms
    from node.sealing.receipts import Clerk
    from node.sealing.sharing import Shared, Sharer
    from node.sealing.signatures import Signatory
    from node.spool.base import BlobStore, EntryClaim, Ledger
    from node.types import Attachment, Delivery, Route

    Facts = dict[str, str | int | float]

CLAIMS = 4  # entries on one lease

log = structlog.get_logger()


class Processor:
    """The stage: takes RECEIVED entries and makes them READY, HELD or PARKED.

    :param route_of: the route of a name as configured now, or None.
    :param logo_of: the packed logo of a route.
    :param robust_of: what the robust mark of a route says; empty for none.
    :param pseudonyms_of: what the objects of a route say instead of who they
        are about; None where they keep that.
    :param pseudonym: what stands for a UID in events.
    :param delay: seconds until the next attempt after so many.
    :param ring: wakes the stage that forwards.
    :param opening: the break-glass of a route that lets pass what was received then.
    :param worker: names this process in leases.
    :param sharer: gives what divides objects; None where no route does.
    :param attachments_of: what is to be sealed with an object of a route.
    :param signatory_of: what signs the objects of a route; None for none.
    :param clerk: issues receipts; None where there is no key for that.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        blobs: BlobStore,
        marker: Marker,
        route_of: Callable[[str], Route | None],
        logo_of: Callable[[Route], bytes],
        robust_of: Callable[[Route], bytes],
        pseudonyms_of: Callable[[Route], Pseudonyms | None],
        pseudonym: Callable[[str], str],
        delay: Callable[[int], float | None],
        ring: Callable[[], None],
        worker: str,
        lease: float,
        sharer: Callable[[], Sharer] | None = None,
        opening: Callable[[str, float], Opening | None] = lambda *_: None,
        clerk: Clerk | None = None,
        signatory_of: Callable[[Route], Signatory | None] = lambda _route: None,
        attachments_of: Callable[[Route, bytes], tuple[Attachment, ...] | None] = lambda *_: None,
    ) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._marker = marker
        self._route_of = route_of
        self._logo_of = logo_of
        self._robust_of = robust_of
        self._pseudonyms_of = pseudonyms_of
        self._pseudonym = pseudonym
        self._delay = delay
        self._ring = ring
        self._worker = worker
        self._lease = lease
        self._sharer = sharer
        self._opening = opening
        self._clerk = clerk
        self._signatory_of = signatory_of
        self._attachments_of = attachments_of

    def step(self) -> int:
        """Work on what is due and return how many entries that were."""
        claims = self._ledger.claim_entries(self._worker, limit=CLAIMS, lease=self._lease)
        for claim in claims:
            guard(
                self._ledger,
                claim,
                self._work,
                delay=self._delay,
                describe=lambda name, reason, claim=claim: self._event(  # type: ignore[misc]
                    claim, name, outcome="failure", reason=reason
                ),
            )
        if claims:
            self._ring()
        return len(claims)

    def _work(self, claim: EntryClaim) -> None:
        entry = claim.entry
        reach("process.claimed")
        if entry.action is Action.RELAY:
            self._relay(claim, "relayed_by_rule", "")
            return
        if entry.action is not Action.SEAL:
            self._set_aside(claim, EntryState.HELD, "held_by_rule")
            return
        route = self._route_of(entry.route)
        if route is None:  # it may have hidden the patient: nobody can tell any more
            self._set_aside(claim, EntryState.HELD, "route_gone")
            return
        opening = self._opening(entry.route, entry.instance.received_at)
        if opening and route.identity == "keep":
            self._relay(claim, "passed_unsealed", opening.reason)
            return
        try:
            data = self._blobs.read(entry.instance.blob)
        except KeyError:
            self._set_aside(claim, EntryState.PARKED, "blob_missing")
            return
        logo = self._logo_of(route)
        order = Order(
            received_at=entry.instance.received_at,
            logo=logo,
            lossy=route.lossy,
            robust=self._robust_of(route),
            bitmap=bitmap_of(route, logo),
            pseudonyms=self._pseudonyms_of(route),
            recovery=route.recovery,
            visible=route.visible,
            evidence=self._clerk is not None,
            signatory=self._signatory_of(route),
            attachments=self._attachments_of(route, data),
        )
        try:
            self._send_on(claim, self._marker.mark(data, order))
        except (UnsealableError, DoesNotFitError) as error:
            self._unsealable(claim, data, order, route.unsealable, error.code)
        except UnreadableError as error:
            self._set_aside(claim, EntryState.PARKED, error.code)

    def _unsealable(
        self, claim: EntryClaim, data: bytes, order: Order, rule: Unsealable, code: str
    ) -> None:
        if rule is Unsealable.RELAY and order.pseudonyms is None:
            self._relay(claim, "relayed_unsealed", code)
        elif rule is Unsealable.HEADER:
            try:
                made = self._marker.mark(data, replace(order, carrier="header"))
            except UnsealableError as error:
                self._set_aside(claim, EntryState.HELD, error.code)
            else:
                self._send_on(claim, made, code)
        elif rule is Unsealable.REFUSE:
            # It was answered 0x0000 already, so that it cannot be refused any more.
            self._set_aside(claim, EntryState.PARKED, code)
        else:
            self._set_aside(claim, EntryState.HELD, code)

    def _send_on(self, claim: EntryClaim, made: Marked, reason: str = "") -> None:
        reach("process.sealed")
        shared = claim.entry.threshold > 0
        deliveries = self._ledger.get(claim.entry.id)[1] if shared else []
        shares = self._divide(claim, made, len(deliveries))
        with ExitStack() as stack:
            # Attachments may be others when it would be made again.
            blob = self._put(stack, made.data, durable=bool(made.attachments))
            parts = [
                self._part(claim, one, self._put(stack, one.data), deliveries) for one in shares
            ]
            reach("process.put")
            facts: Facts = {
                "carrier": made.carrier,
                "key_id": made.key_id,
                "payload_bytes": made.payload_bytes,
                "robust": int(made.robust),
                "recovery_bytes": made.recovery_bytes,
                "bitmap": int(made.bitmap),
                "margin": int(made.margin),
            }
            if made.quality:
                facts |= {
                    "max_change": made.quality.max_change,
                    "psnr": made.quality.psnr_stored,
                    "psnr_data": made.quality.psnr_data,
                    "ssim": made.quality.ssim,
                }
            if made.attachments is not None:
                facts["attachments"] = made.attachments
            if made.signatures:
                facts["signatures"] = "; ".join(str(one) for one in made.signatures)
            if self._clerk:
                facts[RECEIPT] = self._clerk.issue(claim.entry, made)
            event = self._event(claim, "entry_sealed", reason=reason, more=facts)
            self._ledger.ready(
                claim,
                blob,
                sop_class_uid=made.sop_class_uid,
                sop_instance_uid=made.sop_instance_uid,
                transfer_syntax_uid=made.transfer_syntax_uid,
                event=event,
                parts=parts,
            )
        reach("process.ready")
        log.info(
            "entry_sealed", entry=claim.entry.id, object=event.object, reason=reason,
            shares=len(parts),
        )  # fmt: skip

    def _put(self, stack: ExitStack, data: bytes, *, durable: bool = False) -> str:
        """Write a blob that the row, written before the stack ends, will name.

        :param durable: it could not be made again identically.
        """
        incoming = stack.enter_context(self._blobs.put())
        incoming.write(data)
        return incoming.commit(durable=durable)

    def _divide(self, claim: EntryClaim, made: Marked, count: int) -> list[Shared]:
        """Return the shares of an object that is sent as such; none where it is sent whole.

        :raises ProofError: it must be shared, and cannot be.
        """
        entry = claim.entry
        if not entry.threshold:
            return []
        if self._sharer is None:
            raise ProofError("nothing here divides objects", code="no_sharer")
        return self._sharer().share(made.data, entry.instance, entry.threshold, count)

    def _part(self, claim: EntryClaim, made: Shared, blob: str, deliveries: list[Delivery]) -> Part:
        (destination,) = (d.destination for d in deliveries if d.share == made.number)
        facts: Facts = {
            "entry": claim.entry.id,
            "destination": destination,
            "share": f"{made.number}/{len(deliveries)}",
            "threshold": claim.entry.threshold,
            "set": made.set_id.hex(),
        }
        return Part(
            made.number,
            blob,
            made.sop_class_uid,
            made.sop_instance_uid,
            made.transfer_syntax_uid,
            Event(
                "share_made",
                object=self._pseudonym(made.sop_instance_uid),
                actor="process",
                facts=facts,
            ),
        )

    def _relay(self, claim: EntryClaim, name: str, reason: str) -> None:
        """Let the object pass as it came, because a person wrote so.

        :raises ProofError: it may leave in shares only.
        """
        if claim.entry.threshold:
            raise ProofError("an object that is shared must not leave whole", code="shares_only")
        instance = claim.entry.instance
        self._ledger.ready(
            claim,
            instance.blob,
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            event=self._event(claim, name, reason=reason),
        )
        log.warning(name, entry=claim.entry.id, reason=reason)

    def _set_aside(self, claim: EntryClaim, state: EntryState, reason: str) -> None:
        event = self._event(claim, f"entry_{state.value}", outcome="failure", reason=reason)
        reach("process.setting_aside")
        self._ledger.set_aside(claim, state, reason, event)
        reach("process.set_aside")
        log.warning(event.event, entry=claim.entry.id, reason=reason)

    def _event(
        self,
        claim: EntryClaim,
        name: str,
        *,
        outcome: str = "success",
        reason: str = "",
        more: Facts | None = None,
    ) -> Event:
        entry = claim.entry
        facts: Facts = {"entry": entry.id, "route": entry.route, "reason": reason}
        return Event(
            name,
            object=self._pseudonym(entry.instance.sop_instance_uid),
            actor="process",
            outcome=outcome,
            facts=facts | (more or {}),
        )

"""Asking for an association: with a peer, for contexts, within the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.transport import AddressInformation

from node.dicom import status
from node.dicom.limits import MIN_PDU
from node.dicom.reader import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from node.dicom.upper import Synchronous, silence
from node.dicom.wire import Wire
from node.errors import SealnodeError, UnreachableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation as Role
    from pynetdicom.presentation import PresentationContext

    from node.dicom.limits import Limits
    from node.types import Destination, Outcome

ACCEPTED = 0  # result of an A-ASSOCIATE-AC, PS3.8 Table 9-18


class PeerRejectedError(SealnodeError):
    """The peer answered with an A-ASSOCIATE-RJ; ``outcome`` says what that means."""

    code = "association_rejected"

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(getattr(outcome, "reason", ""))
        self.outcome = outcome


class NoContextError(SealnodeError):
    """The peer accepted the association but none of the contexts."""

    code = "no_context"


class Requestor:
    """Makes associations with one peer.

    :param aet: our AE title.
    :param tls: client context, or None for plain TCP.
    :param response: seconds that the peer may take to answer a message.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        aet: str,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        response: float = 30.0,
    ) -> None:
        silence()
        self.destination = destination
        self.limits = limits
        self._tls = (tls, destination.host) if tls is not None else None
        self._ae = AE(aet)
        self._ae.dimse_timeout = response
        self._ae.implementation_class_uid = UID(IMPLEMENTATION_UID)
        self._ae.implementation_version_name = IMPLEMENTATION_NAME

    def associate(
        self, contexts: Sequence[PresentationContext], roles: Sequence[Role] = ()
    ) -> Synchronous:
        """Return an established association.

        :param contexts: at most 128; they get their identifiers here.
        :param roles: asks to be the SCP of some classes, as C-GET needs.
        :raises UnreachableError: nobody is there, or nobody answers.
        :raises PeerRejectedError: the peer does not want it.
        :raises NoContextError: the peer wants none of the contexts.
        """
        there = self.destination
        try:
            address = AddressInformation.from_addr_port(there.host, there.port)
        except OSError as error:
            raise UnreachableError("the destination's name is unknown", code="name") from error
        assoc = Synchronous(self._ae, MODE_REQUESTOR, self.limits)
        wire = Wire(assoc, self.limits, address=address, tls=self._tls)
        assoc.set_socket(wire)
        assoc.acceptor.ae_title = there.aet
        assoc.acceptor.address_info = address
        assoc.requestor.address_info = address  # nominal: nothing is bound
        assoc.requestor.ae_title = self._ae.ae_title
        assoc.requestor.maximum_length = self.limits.max_pdu
        assoc.requestor.implementation_class_uid = self._ae.implementation_class_uid
        assoc.requestor.implementation_version_name = self._ae.implementation_version_name
        for role in roles:
            assoc.requestor.add_negotiation_item(role)
        for number, context in enumerate(contexts):
            context.context_id = 2 * number + 1
        assoc.requestor.requested_contexts = list(contexts)
        assoc.acse.negotiate_association()
        if not assoc.is_established:
            wire.close()
            raise _failure(assoc, wire)
        if 0 < assoc.dimse.maximum_pdu_size < MIN_PDU:
            abort(assoc)
            raise UnreachableError("the destination takes only tiny PDUs", code="max_pdu")
        return assoc


def _failure(assoc: Synchronous, wire: Wire) -> SealnodeError:
    answer = assoc.acceptor.primitive
    if answer is None or (answer.result == ACCEPTED and not _results(answer)):
        if wire.error is not None:
            return UnreachableError(str(wire.error), code=wire.error.code)
        return UnreachableError("the destination does not answer the request", code="no_answer")
    if answer.result == ACCEPTED:
        return NoContextError("the destination accepts none of the presentation contexts")
    numbers = (answer.result or 0, answer.result_source or 0, answer.diagnostic or 0)
    return PeerRejectedError(status.rejected(*numbers))


def _results(answer: A_ASSOCIATE) -> list[PresentationContext]:
    return answer.presentation_context_definition_results_list


def release(assoc: Synchronous) -> None:
    """End an association in order, as far as the peer lets us."""
    if assoc.is_established:
        assoc.release()
    assoc.upper.wire.close()


def abort(assoc: Synchronous) -> None:
    """End an association at once; what the peer still sends is of no interest."""
    if assoc.is_established:
        assoc.abort()
    assoc.upper.wire.close()

"""Storage SCP: C-STORE requests streamed to a receiver, and answered (PS3.4 Annex B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from node.dicom import command as commands
from node.dicom import status
from node.dicom.reader import check_uid
from node.errors import SealnodeError, UnreadableError
from node.failpoint import reach

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

    from node.dicom.status import Answer
    from node.dicom.upper import Synchronous
    from node.types import Login, Peer


class RejectedError(SealnodeError):
    """An association is not wanted; the peer gets an A-ASSOCIATE-RJ."""

    def __init__(self, rejection: status.Rejection) -> None:
        super().__init__(f"association rejected: {rejection.code}", code=rejection.code)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE command says; the UIDs have the syntax of PS3.5 9.1."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    peer: Peer


class Reception(Protocol):
    """One object being received."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the data set; the view is valid only during the call.

        :raises SealnodeError: the object cannot be taken; the rest is not offered.
        """
        ...

    def finish(self) -> Answer:
        """Take responsibility for the object and say so; the data set is complete.

        :raises SealnodeError: it cannot be taken.
        """
        ...

    def abandon(self) -> None:
        """Undo: the rest will not come, or an error was raised. Called at most once."""
        ...


class Receiver(Protocol):
    """Who decides about peers and objects."""

    def admit(self, peer: Peer, names: tuple[str, ...], login: Login | None) -> Peer:
        """Return the peer with its source's name.

        :param names: what the peer's verified certificate names; ``()`` without one.
        :param login: whom it says that it is, if it does.
        :raises RejectedError: it is not wanted, or not now.
        """
        ...

    def begin(self, request: StoreRequest) -> Reception:
        """Start to receive an object.

        :raises SealnodeError: it is not wanted, or not now.
        """
        ...


class StoreScp:
    """The C-STORE service of one association.

    :ivar stored: how many were answered with success.
    """

    def __init__(self, assoc: Synchronous, receiver: Receiver, peer: Peer) -> None:
        self._assoc = assoc
        self._receiver = receiver
        self._peer = peer
        self.stored = 0

    def begin(self, context: PresentationContext, command: commands.Command) -> Storing:
        """Start with one request."""
        return Storing(self, context, command)

    def open(self, context: PresentationContext, command: commands.Command) -> Reception:
        """Check a command and start its reception.

        :raises SealnodeError: the command asks for what it must not.
        """
        if not (_is_uid(command.sop_class_uid) and _is_uid(command.sop_instance_uid)):
            raise _refusal("a UID of the command is malformed", "uid", status.INVALID_INSTANCE)
        if command.sop_class_uid != context.abstract_syntax:
            raise _refusal(
                "another class than the context's", "sop_class", status.CLASS_NOT_SUPPORTED
            )
        if not command.has_data:
            raise UnreadableError("a C-STORE without a data set", code="no_data_set")
        return self._receiver.begin(
            StoreRequest(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=str(context.transfer_syntax[0]),
                peer=self._peer,
            )
        )

    def respond(self, context_id: int, command: commands.Command, answer: Answer) -> None:
        """Send the C-STORE-RSP."""
        self.stored += answer.status == status.SUCCESS
        response = commands.c_store_rsp(command, answer.status, answer.comment)
        room = self._assoc.dimse.maximum_pdu_size
        self._assoc.upper.wire.send_all(commands.pdus(context_id, response, room, command=True))


class Storing:
    """One C-STORE request; whatever goes wrong is answered after its last fragment."""

    def __init__(
        self, scp: StoreScp, context: PresentationContext, command: commands.Command
    ) -> None:
        self._scp = scp
        self._context_id = context.context_id or 0
        self._command = command
        self._reception: Reception | None = None
        self._refusal: Answer | None = None
        try:
            self._reception = scp.open(context, command)
        except SealnodeError as error:
            self._refusal = status.answer(error)

    def write(self, data: memoryview) -> None:
        """Hand the next bytes on; after a refusal they are dropped."""
        if self._reception is not None:
            try:
                self._reception.write(data)
            except SealnodeError as error:
                self._refuse(error)

    def end(self) -> None:
        """Answer the request."""
        answer = self._refusal
        if self._reception is not None:
            try:
                answer = self._reception.finish()
            except SealnodeError as error:
                self._refuse(error)
                answer = self._refusal
        assert answer is not None
        reach("scp.answering")
        self._scp.respond(self._context_id, self._command, answer)
        reach("scp.answered")

    def abandon(self) -> None:
        """Undo what was received."""
        if self._reception is not None:
            self._reception.abandon()
            self._reception = None

    def _refuse(self, error: SealnodeError) -> None:
        self.abandon()
        self._refusal = status.answer(error)


def _is_uid(text: str) -> bool:
    try:
        check_uid(text)
    except UnreadableError:
        return False
    return True


def _refusal(message: str, code: str, value: int) -> UnreadableError:
    error = UnreadableError(message, code=code)
    error.status = value
    return error

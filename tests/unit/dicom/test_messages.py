"""Messages out of fragments."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from network import CT, EXPLICIT_LE, fragment
from pynetdicom.presentation import build_context

from node.dicom import command
from node.dicom.limits import Limits
from node.dicom.messages import Messages


class Service:
    """A store service that writes down what it is given."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def begin(self, context, request):
        self.seen.append(("begin", context.context_id, request.sop_instance_uid))
        return self

    def write(self, data):
        self.seen.append(bytes(data))

    def end(self):
        self.seen.append("end")

    def abandon(self):
        self.seen.append("abandon")


def make(**limits: int) -> tuple[Messages, Service]:
    context = build_context(CT, EXPLICIT_LE)
    context.context_id = 3
    messages = Messages(SimpleNamespace(_accepted_cx={3: context}), Limits(**limits))
    messages.store = Service()
    return messages, messages.store


REQUEST = command.c_store_rq(1, CT, "1.2.3", 0)


def feed(messages: Messages, *fragments: bytes) -> None:
    for part in fragments:
        messages.receive(memoryview(part))


def test_a_data_set_is_handed_on_fragment_by_fragment():
    messages, service = make()
    feed(
        messages,
        fragment(3, REQUEST, command=True, last=True),
        fragment(3, b"one", command=False, last=False)
        + fragment(3, b"two", command=False, last=True),
    )
    assert service.seen == [("begin", 3, "1.2.3"), b"one", b"two", "end"]
    assert not messages.busy


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(1, 20), min_size=1))
def test_fragmentation_changes_nothing(data, sizes):
    messages, service = make()
    stream, at, turn = [], 0, 0
    while at < len(REQUEST):
        size = sizes[turn % len(sizes)]
        last = at + size >= len(REQUEST)
        stream.append(fragment(3, REQUEST[at : at + size], command=True, last=last))
        at, turn = at + size, turn + 1
    at = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        stream.append(fragment(3, data[at : at + size], command=False, last=at + size >= len(data)))
        at, turn = at + size, turn + 1
    feed(messages, *stream)
    assert b"".join(x for x in service.seen if isinstance(x, bytes)) == data
    assert service.seen[-1] == "end"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([fragment(5, REQUEST, command=True, last=True)], "context"),
        ([fragment(3, b"data", command=False, last=False)], "order"),
        ([fragment(3, REQUEST, command=True, last=True)] * 2, "order"),
        ([b""], "fragment"),
        ([b"\0\0\0\1\3"], "fragment"),
        ([b"\0\0\0\0"], "fragment"),
        ([fragment(3, REQUEST, command=True, last=True)[:-1]], "fragment"),
        ([b"\xff\xff\xff\xff\3\3" + REQUEST], "fragment"),
        ([fragment(3, b"", command=True, last=True)], "command"),
        ([fragment(3, b"junk" * 9, command=True, last=True)], "command"),
        ([fragment(3, bytes(20000), command=True, last=False)], "command"),
    ],
)
def test_what_breaks_the_protocol_is_a_violation(parts, code):
    messages, service = make()
    with pytest.raises(command.ViolationError) as error:
        feed(messages, *parts)
    assert error.value.code == code
    assert "end" not in service.seen


def test_an_endless_object_is_cut_at_the_limit_and_undone():
    messages, service = make(max_object=1000)
    feed(messages, fragment(3, REQUEST, command=True, last=True))
    endless = [fragment(3, bytes(100), command=False, last=False)] * 100
    with pytest.raises(command.ViolationError) as error:
        feed(messages, *endless)
    assert error.value.code == "too_large"
    messages.abandon()
    assert service.seen[-1] == "abandon"


def test_a_message_that_trickles_in_has_a_deadline_that_grows_with_its_bytes():
    messages, _ = make()
    feed(messages, fragment(3, REQUEST, command=True, last=True))
    before = messages.deadline
    feed(messages, fragment(3, bytes(8192 * 5), command=False, last=False))
    assert 4.9 < messages.deadline - before < 5.2


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes_are_taken_or_a_violation(bodies):
    messages, _ = make()
    messages.responses = None
    for body in bodies:
        try:
            messages.receive(memoryview(body))
        except command.ViolationError:
            return

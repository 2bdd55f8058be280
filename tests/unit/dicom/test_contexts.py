"""Presentation contexts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.dicom import contexts
from node.dicom.reader import EXPLICIT_LE, IMPLICIT_LE

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"


def test_every_storage_class_and_verification_are_accepted():
    wanted = {*contexts.STORAGE_CLASSES, contexts.VERIFICATION}
    found = contexts.accepted(wanted, unknown_classes=False)
    assert {cx.abstract_syntax for cx in found} == wanted
    assert len(wanted) > 150


def test_a_private_class_is_accepted_only_by_the_switch():
    private = "1.3.12.2.1107.5.9.1"  # Siemens CSA Non-Image Storage
    assert contexts.accepted([private], unknown_classes=False) == []
    assert contexts.accepted([private], unknown_classes=True)[0].abstract_syntax == private


def test_a_query_is_never_taken_for_an_unknown_storage_class():
    assert contexts.accepted([FIND], unknown_classes=True) == []


def test_every_lossless_syntax_that_the_codecs_know_is_accepted():
    syntaxes = contexts.accepted([CT], unknown_classes=False)[0].transfer_syntax
    for tail in ("", ".1", ".2", ".1.99", ".5", ".4.57", ".4.70", ".4.80", ".4.90", ".4.201"):
        assert "1.2.840.10008.1.2" + tail in syntaxes


def test_each_pair_of_a_batch_gets_a_context_of_its_own_and_native_fallbacks():
    found = contexts.batch([(CT, JPEG_LS), (CT, JPEG_LS), (MR, EXPLICIT_LE)])
    pairs = [(cx.abstract_syntax, cx.transfer_syntax) for cx in found]
    assert pairs == [
        (CT, [JPEG_LS]),
        (MR, [EXPLICIT_LE]),
        (CT, [EXPLICIT_LE]),
        (CT, [IMPLICIT_LE]),
        (MR, [IMPLICIT_LE]),
    ]


PAIRS = st.lists(
    st.tuples(
        st.sampled_from(sorted(contexts.STORAGE_CLASSES)),
        st.sampled_from(contexts.TRANSFER_SYNTAXES),
    ),
    max_size=400,
)


@given(PAIRS)
def test_a_batch_never_proposes_more_contexts_than_an_association_may_have(pairs):
    assert len(contexts.batch(pairs)) <= contexts.MAX_CONTEXTS


@given(PAIRS)
def test_a_batch_proposes_the_first_pairs_whatever_does_not_fit(pairs):
    proposed = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in contexts.batch(pairs)}
    first = list(dict.fromkeys(pairs))[: contexts.MAX_CONTEXTS]
    assert set(first) <= proposed

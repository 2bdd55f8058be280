"""Laws of routing that hold for any routes and any object."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from node.config.check import _covers
from node.routing import decide, matches_text
from node.types import Action, Instance, Peer, Route

WORDS = st.text("ab", min_size=1, max_size=3)
PATTERNS = st.text("ab*?", min_size=1, max_size=4)
KEYS = st.sampled_from(["source", "calling_aet", "Modality", "ImageType"])
MATCHES = st.dictionaries(KEYS, st.lists(PATTERNS, min_size=1, max_size=3).map(tuple), max_size=3)
ROUTES = st.lists(
    st.builds(
        Route, name=WORDS, match=MATCHES, action=st.sampled_from(Action), to=st.just(("pacs",))
    ),
    max_size=6,
)
INSTANCES = st.builds(
    lambda source, aet, attributes: Instance(
        "1", "2", "3", "4", "5", "", 0, attributes, Peer(aet, "N", "::1", source)
    ),
    WORDS,
    WORDS,
    st.dictionaries(
        st.sampled_from(["Modality", "ImageType"]),
        st.one_of(WORDS, st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
    ),
)


@given(ROUTES, INSTANCES)
def test_what_was_decided_is_the_first_match_and_the_last_of_the_trace(routes, instance):
    decision = decide(routes, instance)

    if decision.route is None:
        assert decision.action is Action.HOLD
        assert len(decision.trace) == len(routes)
        assert not any(tried.matched for tried in decision.trace)
    else:
        assert decision.action is decision.route.action
        assert [tried.matched for tried in decision.trace][:-1] == [False] * (
            len(decision.trace) - 1
        )
        assert decision.trace[-1].matched
        assert routes[len(decision.trace) - 1] is decision.route


@given(ROUTES, INSTANCES)
def test_routes_after_the_first_match_change_nothing(routes, instance):
    decision = decide(routes, instance)

    assert decide(routes[: len(decision.trace)], instance) == decision


@given(PATTERNS, st.text("ab", max_size=8))
def test_patterns_mean_what_a_shell_means(pattern, value):
    assert matches_text(pattern, value) == fnmatch.fnmatchcase(value, pattern)


@given(MATCHES, MATCHES, INSTANCES)
def test_a_route_said_to_be_never_reached_is_never_reached(early, late, instance):
    first = Route("first", early, Action.HOLD)
    second = Route("second", late, Action.SEAL, ("pacs",))

    if _covers(first, second):
        assert decide([first, second], instance).route is not second

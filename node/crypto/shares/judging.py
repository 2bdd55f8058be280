"""Which of the shares at hand are what they say, and which set they make together.

Source: docs/formats/share-v1.md, section 7.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from node.crypto.shares import shamir
from node.crypto.shares.keys import SetKeys
from node.crypto.shares.share import parse
from node.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from node.crypto.shares.share import About, Buffer, Share


class State(Enum):
    """What is true of one share among those given."""

    GOOD = "good"  #: it is as it was made
    UNPROVEN = "unproven"  #: its header is; fewer than k shares cannot judge its body
    DAMAGED = "damaged"  #: it is not as it was made, or was made up
    STRANGER = "stranger"  #: it belongs to another set
    UNTRUSTED = "untrusted"  #: no key that is trusted signed it
    REPEATED = "repeated"  #: another share given has its number, and is as good
    UNREADABLE = "unreadable"  #: it is no share


@dataclass(frozen=True, slots=True)
class Finding:
    """One share that was given, in the order in which they were given.

    :param index: its number, from 1; 0 if it is unreadable.
    :param about: what it says of its set; None if it is unreadable.
    """

    state: State
    reason: str
    index: int = 0
    about: About | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What is true of the shares given.

    :param about: the set that most of them belong to; None without one.
    :param enough: whether at least k good ones of it are there.
    """

    findings: tuple[Finding, ...]
    about: About | None
    enough: bool


class Judged:
    """Shares sorted by what is true of them.

    :ivar good: those of one set, by index.
    :ivar keys: of that set, if k of its headers are true.
    """

    def __init__(self) -> None:
        self.findings: dict[int, Finding] = {}
        self.good: dict[int, Share] = {}
        self.about: About | None = None
        self.keys: SetKeys | None = None

    def note(self, at: int, share: Share, state: State, reason: str) -> None:
        """Say what is true of the share that was given at a place."""
        self.findings[at] = Finding(state, reason, share.index, share.about)

    def report(self) -> Report:
        """Return it all, in the order in which the shares were given."""
        enough = self.about is not None and len(self.good) >= self.about.k
        findings = tuple(self.findings[at] for at in sorted(self.findings))
        return Report(findings, self.about, enough)


def judge(shares: Sequence[Buffer], trusted: Collection[bytes]) -> Judged:
    """Sort shares; see :func:`node.crypto.shares.scheme.combine` for the rules.

    :raises UsageError: they are enough for two objects.
    """
    judged = Judged()
    known: dict[tuple[bytes, bytes, bytes], bool] = {}
    sets: dict[tuple[bytes, bytes], dict[int, Share]] = defaultdict(dict)
    for at, data in enumerate(shares):
        try:
            share = parse(data)
        except UnreadableError as error:
            judged.findings[at] = Finding(State.UNREADABLE, str(error))
            continue
        if not share.rooted:
            judged.note(at, share, State.DAMAGED, "its header is not the one that was made")
        elif not _signed(share, known):
            what = "its signature is not of the key that it names"
            judged.note(at, share, State.DAMAGED, what)
        elif trusted and share.about.signer not in trusted:
            what = "another key signed it" if share.about.signed else "nobody signed it"
            judged.note(at, share, State.UNTRUSTED, what)
        else:
            sets[share.about.pack(), share.root][at] = share
    members = _largest(sets)
    for group in sets.values():
        for at, share in group.items():
            if group is not members:
                judged.note(at, share, State.STRANGER, "it belongs to another set")
    if members:
        _judge_bodies(judged, members)
    return judged


def _signed(share: Share, known: dict[tuple[bytes, bytes, bytes], bool]) -> bool:
    """Return whether a share is signed as it says, checking each signature once."""
    key = (share.about.pack(), share.root, share.signature)
    if key not in known:
        known[key] = share.signed
    return known[key]


def _judge_bodies(judged: Judged, members: Mapping[int, Share]) -> None:
    judged.about = about = next(iter(members.values())).about
    distinct = {share.index: share for share in members.values()}
    if len(distinct) >= about.k:
        chosen = list(distinct)[: about.k]
        secret = shamir.join({index: distinct[index].key_share for index in chosen})
        judged.keys = SetKeys(secret.tobytes(), about)
    for at, share in members.items():
        if judged.keys is None:
            state, reason = State.UNPROVEN, "too few shares are here to judge its data"
        elif not judged.keys.fits(share):
            state, reason = State.DAMAGED, "its data are not those that were made"
        elif share.index in judged.good:
            state, reason = State.REPEATED, f"share {share.index} is given twice"
        else:
            state, reason = State.GOOD, ""
            judged.good[share.index] = share
        judged.note(at, share, state, reason)


def _largest(sets: Mapping[tuple[bytes, bytes], Mapping[int, Share]]) -> Mapping[int, Share]:
    """Return the shares of the set that has most; none if there is no set.

    :raises UsageError: two sets have enough.
    """
    ranked = sorted(sets.values(), key=_completeness, reverse=True)
    if len(ranked) > 1 and all(_completeness(group) >= 0 for group in ranked[:2]):
        raise UsageError(
            "the shares are enough for two objects", hint="give those of one set at a time"
        )
    return ranked[0] if ranked else {}


def _completeness(group: Mapping[int, Share]) -> int:
    """Return how many shares a set has beyond the k that it needs."""
    return len({share.index for share in group.values()}) - next(iter(group.values())).about.k

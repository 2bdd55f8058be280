"""Splitting an object into shares, and combining them though some lie.

``computational`` (Krawczyk 1993, "Secret sharing made short"): AES-256-GCM
closes the object, the ciphertext is dispersed, the key shared. ``perfect``:
the object itself is shared. In both a set has one secret of 32 random bytes
from which all keys come. Source: docs/formats/share-v1.md, sections 4 to 7.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from node.crypto.shares import dispersal, shamir, signer, tree
from node.crypto.shares.judging import Report, State, judge
from node.crypto.shares.keys import MARGIN, SetKeys, Stream
from node.crypto.shares.share import (
    COMMITMENT_BYTES,
    KEY_BYTES,
    MAX_OBJECT,
    SET_ID_BYTES,
    About,
    Mode,
    Share,
    check_numbers,
    leaf,
)
from node.errors import DamagedError, UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from node.crypto.shares.share import Buffer

    Random = Callable[[int], bytes]

_UNSIGNED = bytes(signer.PUBLIC_BYTES)
_NO_COMMITMENT = bytes(COMMITMENT_BYTES)


@dataclass(frozen=True, slots=True)
class Combined:
    """An object that came back, and what became of each share."""

    data: memoryview
    report: Report


def split(
    data: Buffer,
    k: int,
    n: int,
    *,
    mode: Mode = Mode.COMPUTATIONAL,
    by: signer.Signer | None = None,
    bind: bool = True,
    set_id: bytes = b"",
    random: Random = os.urandom,
) -> list[memoryview]:
    """Return the n shares of an object, any k of which give it back, as bytes to read.

    :param by: signs the set; without, whoever reads can tell damage from
        truth, but not who made the set.
    :param bind: commit to the object, so that not even k keepers together can
        pass off another one. It costs a SHA-256 of the object; what proves
        itself, as sealed objects do, needs it not.
    :param set_id: 16 bytes that no other set has; random ones where none are given.
    :param random: so many unpredictable bytes; the same ones give the same shares.
    :raises UsageError: k and n make no sense.
    :raises UnreadableError: the object is longer than 1 GiB.
    """
    if flaw := check_numbers(k, n):
        raise UsageError(flaw)
    if len(data) > MAX_OBJECT:
        raise UnreadableError("an object of more than 1 GiB cannot be shared")
    public = by.public if by else _UNSIGNED
    set_id = set_id or random(SET_ID_BYTES)
    draft = About(mode, k, n, set_id, len(data), public, _NO_COMMITMENT)
    secret = random(KEY_BYTES)
    owns = np.empty((n, KEY_BYTES), np.uint8)
    shamir.split(secret, k, list(owns), random)
    keys = SetKeys(secret, draft)
    rooms = _rooms(draft)
    bodies = [room[draft.head_bytes(i) : -MARGIN] for i, room in enumerate(rooms, 1)]
    if mode is Mode.COMPUTATIONAL:
        wide = [room.data[draft.head_bytes(i) :] for i, room in enumerate(rooms[:k], 1)]
        keys.close(data, wide)
        dispersal.disperse(bodies[:k], bodies[k:])
        held = _cut(draft, [body.data for body in bodies[:k]])[0]
    else:
        held = [memoryview(data)]
        shamir.split(data, k, bodies, Stream(random(KEY_BYTES)).draw)
    tags = [keys.tag(index, body.data) for index, body in enumerate(bodies, 1)]
    about = replace(draft, commitment=keys.commit(held)) if bind else draft
    leaves = [
        leaf(about, i, own.tobytes(), tag)
        for i, (own, tag) in enumerate(zip(owns, tags, strict=True), 1)
    ]
    root = tree.root(leaves)
    signature = by.sign(about.pack(), root) if by else b""
    for i, room in enumerate(rooms):
        share = Share(
            about, i + 1, owns[i].tobytes(), tags[i], tree.path(leaves, i), root, signature, b""
        )
        head = share.pack_head()
        room[: len(head)] = np.frombuffer(head, np.uint8)
    return [room.data[:-MARGIN].toreadonly() for room in rooms]


def combine(
    shares: Sequence[Buffer],
    *,
    trusted: Collection[bytes] = (),
) -> Combined:
    """Return the object of which k good shares are among those given, and a finding for each.

    :param trusted: public keys; if there are any, only sets that one of them
        signed count.
    :raises UnreadableError: too few shares are given, or none is one.
    :raises DamagedError: too few of those given are good, or what they give
        is not what was shared.
    :raises UsageError: they are enough for two objects.
    """
    judged = judge(shares, trusted)
    report = judged.report()
    if not report.enough or report.about is None or judged.keys is None:
        raise _too_few(report)
    about, keys = report.about, judged.keys
    chosen = dict(sorted(judged.good.items())[: about.k])
    if about.mode is Mode.COMPUTATIONAL:
        chunks = dispersal.gather({i - 1: share.body for i, share in chosen.items()}, about.k)
        held, padding = _cut(about, chunks)
        data = keys.open(held)
    else:
        joined = shamir.join({i: share.body for i, share in chosen.items()}).data
        held, padding = _cut(about, [joined])
        data = held[0].toreadonly()
    bound = not about.bound or hmac.compare_digest(keys.commit(held), about.commitment)
    if data is None or any(map(any, padding)) or not bound:
        raise DamagedError(
            "the shares fit together, but do not give the object that was shared",
            hint="whoever made them, or k of those who keep them, made them up",
        )
    return Combined(data, report)


def check(shares: Sequence[Buffer], *, trusted: Collection[bytes] = ()) -> Report:
    """Return what is true of each share, as far as those given can tell.

    The bodies are judged if at least k of a set are given.

    :raises UsageError: they are enough for two objects.
    """
    return judge(shares, trusted).report()


def _too_few(report: Report) -> UnreadableError | DamagedError:
    bad = {State.DAMAGED, State.UNTRUSTED}
    count = sum(1 for one in report.findings if one.state in {State.GOOD, State.UNPROVEN})
    if report.about is None and not any(one.state in bad for one in report.findings):
        return UnreadableError("none of the files is a share", code="no_share")
    needed = f"{report.about.k} are needed" if report.about else "none can be used"
    message = f"too few good shares: {count} of {len(report.findings)} given; {needed}"
    if any(one.state in bad for one in report.findings):
        return DamagedError(message, hint="'nodectl shares check' names those that are not")
    return UnreadableError(message, code="too_few")


def _rooms(about: About) -> list[NDArray[np.uint8]]:
    """Return an array for each share, each overlapping the next by ``MARGIN`` bytes.

    They are one piece of memory: pieces that come and go are given back to the
    system and fetched again for each object, which costs more than the arithmetic.
    """
    sizes = [about.head_bytes(i) + about.body_bytes for i in range(1, about.n + 1)]
    whole = np.empty(sum(sizes) + MARGIN, np.uint8)
    ends = list(accumulate(sizes))
    return [whole[end - size : end + MARGIN] for size, end in zip(sizes, ends, strict=True)]


def _cut(about: About, parts: Sequence[Buffer]) -> tuple[list[memoryview], list[memoryview]]:
    """Return what the bodies hold together, and the padding behind it, both in pieces."""
    held: list[memoryview] = []
    padding: list[memoryview] = []
    left = about.dispersed
    for part in parts:
        view = memoryview(part)
        held.append(view[:left])
        padding.append(view[left:])
        left = max(left - len(view), 0)
    return held, padding

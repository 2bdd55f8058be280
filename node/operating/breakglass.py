"""Break-glass: for a named reason and a limited time a route lets images pass unsealed.

What is open stands in one small file, written as a whole, that every process
reads anew for each object; so that nothing has to be told to anyone, and a
node that was killed goes on with what is true. An opening counts only while
the route allows it, for what was received during it, and never longer than
the operator's limit, whatever the file says.

SECURITY: fails closed: what cannot be read is not open.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from node.errors import RefusedError, UnreadableError, UsageError
from node.types import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from node.spool.base import Ledger
    from node.types import Route

MAX_REASON = 200  # characters
MAX_FILE = 1 << 20  # bytes

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Opening:
    """One route that lets images pass, from ``since`` to before ``until`` (epoch seconds).

    :param actor: who opened it.
    :param ended_by: who ended it before its time, or ``""``.
    """

    route: str
    reason: str
    actor: str
    since: float
    until: float
    ended_by: str = ""


class BreakGlass:
    """What is open, for every process of a node.

    :param path: the file; it need not exist.
    :param routes: as configured now, by name.
    :param longest: seconds that an opening may last; 0 forbids all.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        routes: Mapping[str, Route],
        longest: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._routes = routes
        self._longest = longest
        self._clock = clock

    def opening(self, route: str, received_at: float) -> Opening | None:
        """Return what lets an object of a route pass that was received then; None seals it."""
        for one in self.open():
            if one.route == route and one.since <= received_at:
                return one
        return None

    def open(self) -> list[Opening]:
        """Return what is open now; nothing where that cannot be read."""
        now = self._clock()
        try:
            found = self._read()
        except UnreadableError as error:
            log.error("break_glass_unreadable", code=error.code)  # noqa: TRY400 no traceback
            return []
        return [
            one
            for one in found
            if one.since <= now < min(one.until, one.since + self._longest)
            and (route := self._routes.get(one.route)) is not None
            and route.break_glass
        ]

    def begin(self, route: str, reason: str, seconds: float, actor: str, ledger: Ledger) -> Opening:
        """Let a route's images pass from now on; audited before the first can.

        :raises RefusedError: the configuration does not allow it, or not for so long.
        :raises UsageError: there is no good reason, or it is open already.
        """
        self._allow(route, seconds)
        if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
            raise UsageError(f"the reason must have 1 to {MAX_REASON} printable characters")
        with self._locked():
            now = self._clock()
            others = [one for one in self._read() if one.route != route]
            if len(others) < len(self._read()):
                raise UsageError(
                    f"break-glass of route {route} is open already", hint="--end ends it"
                )
            made = Opening(route, reason.strip(), actor, now, now + seconds)
            facts: dict[str, str | int | float] = {
                "route": route,
                "reason": made.reason,
                "seconds": seconds,
            }
            ledger.record(Event("break_glass_opened", actor=actor, facts=facts))
            self._write([*others, made])
        log.warning("break_glass_opened", route=route, reason=made.reason, seconds=seconds)
        return made

    def end(self, route: str, actor: str, ledger: Ledger) -> None:
        """Let nothing pass any more.

        :raises UsageError: it is not open.
        """
        with self._locked():
            found = self._read()
            if route not in {one.route for one in found}:
                raise UsageError(f"break-glass of route {route} is not open")
            now = self._clock()
            self._write(
                [
                    replace(one, until=min(now, one.until), ended_by=actor)
                    if one.route == route
                    else one
                    for one in found
                ]
            )
        self.settle(ledger)

    def settle(self, ledger: Ledger) -> int:
        """Audit what has ended, by itself or by a person, and strike it off; return how many.

        A crash in between has it audited twice.
        """
        if not self._path.exists():
            return 0
        with self._locked():
            now = self._clock()
            try:
                found = self._read()
            except UnreadableError:  # nothing is open then, and whoever opens or ends is told
                return 0
            over = [one for one in found if not one.since <= now < one.until]
            for one in over:
                facts: dict[str, str | int | float] = {
                    "route": one.route,
                    "reason": one.reason,
                    "cause": "ended" if one.ended_by else "expired",
                    "seconds": round(one.until - one.since),
                }
                ledger.record(Event("break_glass_ended", actor=one.ended_by or "reap", facts=facts))
                log.warning("break_glass_ended", route=one.route, cause=facts["cause"])
            if over:
                self._write([one for one in found if one not in over])
        return len(over)

    def _allow(self, route: str, seconds: float) -> None:
        known = self._routes.get(route)
        if known is None:
            raise UsageError(f"there is no route {route}")
        if not self._longest:
            raise RefusedError(
                "break-glass is forbidden on this node", hint='[node] break_glass_max = "4h" allows'
            )
        if not known.break_glass:
            raise RefusedError(
                f"route {route} allows no break-glass", hint="break_glass = true in the route does"
            )
        if not 0 < seconds <= self._longest:
            raise RefusedError(f"break-glass may last {self._longest:.0f} s at most on this node")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other process write meanwhile."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        handle = os.open(self._path.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> list[Opening]:
        """Return what the file says.

        :raises UnreadableError: it is not ours, or somebody else's.
        """
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(handle, "rb") as file:
                document = json.loads(file.read(MAX_FILE))
            return [_opening(one) for one in document["open"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise UnreadableError(
                "what is open cannot be read; nothing passes unsealed",
                hint=f"look who wrote {self._path.name} in the state folder, then remove it",
                code="break_glass",
            ) from error

    def _write(self, openings: list[Opening]) -> None:
        fresh = self._path.with_suffix(".new")
        data = json.dumps({"open": [asdict(one) for one in openings]}).encode("ascii")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _opening(fields: dict[str, Any]) -> Opening:
    made = Opening(**fields)
    texts = (made.route, made.reason, made.actor, made.ended_by)
    if not all(isinstance(text, str) for text in texts) or not made.since < made.until + 1:
        raise ValueError("no opening")
    return made

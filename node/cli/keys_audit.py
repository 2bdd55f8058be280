"""What a key command did is told to the audit log: who, which command, what is other now."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from node.cli.actor import local_user
from node.cli.arguments import configured
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, SealnodeError
from node.types import Event

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from node.cli.output import Out

READING = {"list", "show", "mark", "recipients list"}
ELSEWHERE = {"recipients new", "recipients unlock"}  # write to a folder that a person names


@contextmanager
def audited(
    args: argparse.Namespace, out: Out, command: str = ""
) -> Iterator[dict[str, str | int | float]]:
    """Tell the audit log what a key command changes, or that it failed.

    Gives the facts of the event, to which the command may add.

    Where no configuration is named there is no log to tell.

    :param command: what it is called there; as the command line has it unless given.

    :raises SpoolFullError: the log cannot be told; then nothing is changed.
    """
    command = command or f"{args.command} {getattr(args, 'change', '')}".strip()
    facts: dict[str, str | int | float] = {"command": command}
    if command in READING:
        yield facts
        return
    if args.config is None:
        yield facts
        if command not in ELSEWHERE:
            out.note("no audit log was told: no configuration is named")
        return
    from node import wiring

    config = configured(args)
    directory = getattr(args, "keys", None) or config.node.keys
    ledger = wiring.ledger(config)
    outcome = "failure"
    before = _state(directory)
    try:
        yield facts
        outcome = "success"
    except SealnodeError as error:
        facts["code"] = error.code
        raise
    finally:
        after = _state(directory)
        diff = [f"-{one}" for one in sorted(before - after)]
        diff += [f"+{one}" for one in sorted(after - before)]
        facts["diff"] = "; ".join(diff)
        name = "keys_changed" if diff else "keys_used"
        ledger.record(Event(name, actor=local_user(), outcome=outcome, facts=facts))
        ledger.close()


def _state(directory: Path) -> set[str]:
    """Return the current key, the recipients and every capsule as words; no secret."""
    keys = DirectoryKeys(directory)
    found = set()
    try:
        found |= {f"recipient {one.name} {one.id}" for one in keys.recipients()}
        found |= {f"receipt key {one.id}" for one in keys.receipt_keys()}
        for capsule in keys.capsules():
            found |= {f"epoch {capsule.epoch} {capsule.id}"}
            found |= {f"epoch {capsule.epoch} for {slot.name}" for slot in capsule.slots}
        found |= {f"epoch {one.number} {one.words}" for one in keys.endings()}
        found.add(f"current {keys.epoch().key.key_id.hex()}")
    except ConfigError:
        found.add("unreadable")
    return found

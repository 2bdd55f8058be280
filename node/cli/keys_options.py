"""What the commands of ``nodectl keys`` have in common: which folder, which suites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.crypto import fips, recipient
from node.crypto.document import format_time
from node.crypto.keyring import DirectoryKeys
from node.crypto.suites import SUITES
from node.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from node.cli.arguments import Parser
    from node.crypto.capsule import Capsule
    from node.crypto.token import Token


def add_suite(parser: Parser) -> None:
    """Add ``--suite``."""
    parser.add_argument(
        "--suite",
        metavar="SUITE",
        choices=tuple(SUITES),
        help=f"one of {', '.join(SUITES)} (default: {recipient.DEFAULT_SUITE}; "
        f"with profile fips: {fips.DEFAULT_SUITE})",
    )


def directory_of(args: argparse.Namespace) -> Path:
    """Return the key folder that is asked for."""
    return args.keys or configured(args).node.keys


def keys_of(args: argparse.Namespace) -> DirectoryKeys:
    """Return the keys that are asked for: as configured, or those in the folder given."""
    from node import wiring

    if args.keys is not None:
        return DirectoryKeys(args.keys)
    return wiring.keys(configured(args))


def token(args: argparse.Namespace) -> Token | None:
    """Return the token that is configured, if one is."""
    from node import wiring

    return None if args.config is None else wiring.token(configured(args))


def approved(args: argparse.Namespace) -> bool:
    """Return whether the configuration allows only what NIST approves."""
    return args.config is not None and configured(args).keys.profile == "fips"


def suite_of(args: argparse.Namespace) -> str:
    """Return the suite that is asked for, or the default.

    :raises UsageError: the profile does not allow it.
    """
    default = fips.DEFAULT_SUITE if approved(args) else recipient.DEFAULT_SUITE
    suite: str = args.suite or default
    allow(args, suite)
    return suite


def allow(args: argparse.Namespace, suite: str) -> None:
    """Let a suite pass that the profile allows.

    :raises UsageError: it does not.
    """
    if approved(args) and not fips.allows(suite):
        raise UsageError(
            f"keys.profile fips does not allow {suite}",
            hint=f"choose {', '.join(fips.APPROVED)}",
        )


def created(made: Capsule, directory: Path) -> dict[str, Any]:
    """Return what is told of a new epoch."""
    return {
        "epoch": made.epoch,
        "key_id": made.id,
        "created": format_time(made.created),
        "directory": directory,
        "result": "made",
    }

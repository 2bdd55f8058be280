"""``nodectl check``: whether the configuration is right and does what its tests say."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from node import wiring
from node.cli.arguments import directory_of
from node.config.check import failures, unreachable, warnings
from node.config.load import load
from node.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config

NAME = "check"
HELP = "report every mistake in the configuration, run its tests"
EPILOG = """
Every mistake is shown at once as "file: key: what is wrong". Warnings name
what is allowed and would surprise. Unless --offline is given, each enabled
destination is asked for a C-ECHO; one that does not answer is a warning.
A certificate that expires within 30 days is one, too.

With --disk the storage under the spool is looked at: what it is, how it is
mounted, whether its cache is flushed, how long a write takes to be safe. What
cannot keep an acknowledged object through a power cut is a warning.

EXAMPLES
  nodectl --config /etc/sealnode check
  nodectl --config /etc/sealnode check --offline --deny-warnings
  nodectl --config /etc/sealnode check --disk

EXIT STATUS
  0   no mistakes, every test holds
  3   mistakes, a test that fails, or warnings with --deny-warnings
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument(
        "--offline", action="store_true", help="ask no destination whether it answers"
    )
    parser.add_argument(
        "--disk", action="store_true", help="see whether the storage of the spool can be believed"
    )
    parser.add_argument(
        "--deny-warnings", action="store_true", help="exit 3 where there are warnings, too"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """Report mistakes, warnings and tests; return the exit status."""
    directory = directory_of(args)
    try:
        config = load(directory)
    except ConfigError as error:
        if out.json:
            _answer(out, list(error.mistakes), [], 0)
        out.error(error)
        return error.exit_code
    mistakes, warned = failures(config), warnings(config)
    for found, more in _outside(config, args, out):
        mistakes += found
        warned += more
    for line in warned:
        out.warning(line)
    if mistakes:
        out.complain(*mistakes, hint="'nodectl explain' shows each rule tried and why")
    denied = bool(warned) and args.deny_warnings
    if denied and not mistakes:
        out.complain("there are warnings, and --deny-warnings is given")
    if out.json or not (mistakes or denied):
        _answer(out, mistakes, warned, len(config.tests), config, denied=denied)
    return ConfigError.exit_code if mistakes or denied else 0


def _outside(
    config: Config, args: argparse.Namespace, out: Out
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (mistakes, warnings) about what the configuration names: files, peers, the disk."""
    if config.keys.profile == "fips":
        yield _about_keys(config, out)
    if args.disk:
        yield [], _about_disk(config, out)
    try:
        wiring.check_certificates(config)
        wiring.check_web(config)
    except ConfigError as error:
        yield list(error.mistakes), []
        return
    yield [], _expiring(config)
    if not args.offline:
        yield [], unreachable(config, wiring.echo(config))
        yield [], _unqualified(config)


def _about_keys(config: Config, out: Out) -> tuple[list[str], list[str]]:
    """Say which keys do not fit the profile, and what runs beneath."""
    from node.crypto import fips

    active = "has its FIPS provider active" if fips.provider() else "has no FIPS provider active"
    out.note(f'keys.profile: "fips": FIPS-minded, not validated; the OpenSSL in use {active}')
    try:
        wiring.check_keys(config)
        return [], fips.legacy(wiring.keys(config))
    except ConfigError as error:
        return list(error.mistakes), []


def _unqualified(config: Config) -> list[str]:
    """Say which destinations may treat sealed objects in a way that nobody has looked at."""
    register, found = wiring.register(config), []
    for peer in config.destinations.values():
        waits = "; its deliveries wait" if not register.admits(peer) else ""
        known = register.get(peer)
        if known is None:
            found.append(f"destination.{peer.name}: was never qualified{waits}")
        elif known.result != "passed" and not known.accepted:
            found.append(f"destination.{peer.name}: did not qualify{waits}")
    return found


def _answer(
    out: Out,
    mistakes: list[str],
    warned: list[str],
    tests: int,
    config: Config | None = None,
    *,
    denied: bool = False,
) -> None:
    counts = ""
    if config is not None:
        counts = (
            f"no mistakes: {_count(len(config.sources), 'source')}, "
            f"{_count(len(config.destinations), 'destination')}, "
            f"{_count(len(config.routes), 'route')}, {_count(tests, 'test')} passed"
        )
    facts = {
        "result": "mistakes" if mistakes else "warnings" if denied else "good",
        "mistakes": mistakes,
        "warnings": warned,
        "tests": tests,
    }
    out.answer(facts, counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _expiring(config: Config) -> list[str]:
    lines = []
    for name, at in wiring.expiries(config):
        days = math.floor((at - time.time()) / 86400)
        if days < wiring.EXPIRES_SOON:
            state = f"expires in {days} days" if days >= 0 else "has expired"
            lines.append(f"{name}: a certificate {state}")
    return lines


def _about_disk(config: Config, out: Out) -> list[str]:
    try:
        found = wiring.storage(config)
    except OSError as error:
        return [f"node.state: cannot be written to: {error.strerror}"]
    cache = f", device cache {found.cache}" if found.cache else ""
    out.note(
        f"node.state: {found.kind}{cache}; a write of 4 KiB is safe after "
        f"{found.sync * 1e3:.2f} ms (slowest of 64: {found.slowest * 1e3:.2f} ms)"
    )
    return [f"node.state: {problem}" for problem in found.problems]

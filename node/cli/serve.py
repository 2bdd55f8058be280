"""``nodectl serve``: the node, or one stage of it."""

from __future__ import annotations

import importlib
import json
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from node.cli.arguments import configured, directory_of
from node.cli.family import REHEARSAL, Family
from node.config.check import approve
from node.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config

NAME = "serve"
HELP = "run the node, or one stage of it"
EPILOG = """
Without a stage, each runs in a process of its own under this one, which starts
one that dies again. SIGTERM or Ctrl-C ends all of them after the work at hand;
SIGHUP reads the configuration again: a bad one never replaces a good one.
Logs are JSON lines on standard error.

EXAMPLES
  nodectl --config /etc/sealnode serve
  nodectl --config /etc/sealnode serve receive --port 104

EXIT STATUS
  0   it was told to stop
  3   the configuration has mistakes
  75  the port cannot be had
"""
STAGES = ("all", "receive", "process", "forward", "verify", "reap")
SHARED = (
    "node.cli.stages", "node.receive", "node.forward", "node.reap", "node.accounts.keeping",
    "node.dicom.server", "node.dicom.scu", "node.dicom.codecs", "node.spool.sqlite",
)  # fmt: skip
"""What most stages load, each in its own time: loaded before they part, it is in memory once."""

OF_PROCESS = ("node.process", "node.seal", "node.verify", "node.sealing.receipts")


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument(
        "stage", metavar="STAGE", nargs="?", default="all", choices=STAGES,
        help="all (default), receive, process, forward, verify or reap",
    )  # fmt: skip
    parser.add_argument("--port", metavar="N", type=int, help="listen on this port instead")


def run(args: argparse.Namespace, out: Out) -> int:
    """Serve until told to stop."""
    from node import log as logging
    from node import wiring

    config = configured(args)
    logging.configure(args.stage, level=config.node.log_level)
    if args.stage != "all":
        return _be(args, args.stage, supervised=False)
    approve(config)
    _apart(lambda: wiring.check_keys(config))
    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    out.note(
        f"nodectl: {config.node.aet} on {config.node.host} port {args.port or config.node.port}; "
        f"state in {config.node.state}; Ctrl-C stops it"
    )
    for name in SHARED:
        importlib.import_module(name)
    child = _family(config).run()
    if child is None:
        return 0
    if child.stage == REHEARSAL:
        _rehearse()
        return 0
    os.environ[wiring.SLOT] = str(child.slot)
    logging.configure(child.stage, level=config.node.log_level)
    return _be(args, child.stage, supervised=True)


def _apart(check: Callable[[], None]) -> None:
    """Check in a process of its own, so that this one, of which all are made, holds no key.

    :raises ConfigError: as the check does.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            check()
            os.write(theirs, b"[[], null]")
        except ConfigError as error:
            os.write(theirs, json.dumps([error.mistakes, error.hint]).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = pipe.read()
    with suppress(ChildProcessError):  # where somebody told the system to forget children
        os.waitpid(pid, 0)
    if not told:
        check()  # for the error that it was; the node does not start
        return
    mistakes, hint = json.loads(told)
    if mistakes:
        raise ConfigError(mistakes, hint=hint)


def _be(args: argparse.Namespace, stage: str, *, supervised: bool) -> int:
    from node.cli import stages

    def adjust(found: Config) -> Config:
        return replace(found, node=replace(found.node, port=args.port)) if args.port else found

    stages.run(stage, directory_of(args), adjust, supervised=supervised)
    return 0


def _family(config: Config) -> Family:
    judges = config.workstations or any(d.readback for d in config.destinations.values())
    return Family(
        {
            "receive": config.node.receivers,
            "forward": 1,
            "verify": 1,
            "reap": 1,
            "process": config.node.processors or os.cpu_count() or 1,
        },
        rehearsed={"process", "verify"} if judges else {"process"},
        rehearse=_rehearse,
    )


def _rehearse() -> None:
    from node.mark.rehearsal import rehearse

    for name in OF_PROCESS:
        importlib.import_module(name)
    rehearse()

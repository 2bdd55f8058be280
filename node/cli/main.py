"""``nodectl``: find the verb, run it, and turn what goes wrong into words and an exit code."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, cast

import node
from node.cli.arguments import AskedError, Parser, section
from node.cli.output import Out
from node.config.values import nearest
from node.errors import SealnodeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

VERBS = (
    "serve", "init", "check", "explain", "status", "echo",
    "seal", "inspect", "verify", "extract", "restore",
    "queue", "trace", "receipt", "reconcile", "breakglass", "qualify", "attachments",
    "keys", "shares", "audit",
)  # fmt: skip
"""In the order of the help; each is a module ``node.cli.<verb>``, imported when used."""

INTERRUPTED = 130  # 128 + SIGINT, as a shell says it
BROKEN_PIPE = 141  # 128 + SIGPIPE
UNREADABLE = 4
TRY_LATER = 75
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
ABOUT = "A DICOM store-and-forward node that seals the patient into the picture."
CODES = """
EXIT STATUS
  0   good
  1   a bug, or a proof that failed
  2   the command line makes no sense
  3   the configuration has mistakes
  4   input that cannot be read
  10  tampered
  11  unmarked
  12  not our key
  13  does not fit
  14  cannot be sealed without loss, or refused by a route
  20  the audit log is broken
  21  something that was acknowledged is not accounted for
  75  try later
  130 interrupted

Each verb's help has its examples: nodectl VERB --help
"""


class Verb(Protocol):
    """What a verb's module holds."""

    NAME: str
    HELP: str
    EPILOG: str

    def add_arguments(self, parser: Parser) -> None:
        """Add the verb's own arguments."""
        ...

    def run(self, args: argparse.Namespace, out: Out) -> int:
        """Do it and return the exit status."""
        ...


def main() -> int:
    """Run the console script; return its exit status."""
    sys.excepthook = partial(tell_of_bug, sys.stderr, bool(os.environ.get("SEALNODE_DEBUG")))
    try:
        return run(sys.argv[1:], os.environ, sys.stdout, sys.stderr)
    except BrokenPipeError:
        # The reader is gone; keep the interpreter from flushing to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def run(argv: Sequence[str], environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> int:
    """Run one command line and return its exit status; bugs are raised as they are."""
    out = Out(stdout, stderr)
    try:
        verb, args = parse(argv, environ)
        out.json = args.json
        status = verb.run(args, out)
        stdout.flush()
    except AskedError as asked:
        stdout.write(str(asked))
        return 0
    except KeyboardInterrupt:
        out.complain("interrupted")
        return INTERRUPTED
    except SealnodeError as error:
        out.error(error)
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        out.complain(_reason(error))
        return TRY_LATER if error.errno in NO_ROOM else UNREADABLE
    return status


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[Verb, argparse.Namespace]:
    """Return the verb of a command line and its arguments.

    :raises UsageError: it makes no sense.
    :raises AskedError: it asks for help or the version.
    """
    before, after = _split(argv)
    args = argparse.Namespace(config=None, json=False)
    TopParser().parse_args(before, namespace=args)
    if not after:
        raise UsageError("no verb is given", hint="see 'nodectl --help'")
    name = after[0]
    if name not in VERBS:
        raise UsageError(
            f'there is no verb "{name}"{nearest(name, VERBS)}', hint="see 'nodectl --help'"
        )
    verb = verb_named(name)
    parser_of(verb).parse_args(after[1:], namespace=args)
    if args.config is None and environ.get("SEALNODE_CONFIG"):
        args.config = Path(environ["SEALNODE_CONFIG"])
    return verb, args


def verb_named(name: str) -> Verb:
    """Import a verb's module."""
    return cast("Verb", importlib.import_module(f"node.cli.{name}"))


def parser_of(verb: Verb) -> Parser:
    """Return the parser of a verb's own words."""
    parser = Parser(f"nodectl {verb.NAME}", description=verb.HELP, text=verb.EPILOG)
    verb.add_arguments(parser)
    return parser


class TopParser(Parser):
    """The parser of what stands before the verb."""

    def __init__(self) -> None:
        super().__init__("nodectl", description=ABOUT, text=CODES)
        self.add_version(f"nodectl {node.__version__}")

    def format_usage(self) -> str:
        """Return one line: the command with its arguments."""
        return "usage: nodectl [OPTION]... VERB ...\n"

    def format_help(self) -> str:
        """Return the whole help, the verbs with it."""
        verbs = section("VERBS", [(name, verb_named(name).HELP) for name in VERBS])
        return super().format_help().replace("OPTIONS\n", f"{verbs}\nOPTIONS\n", 1)


def tell_of_bug(
    stderr: TextIO,
    debug: bool,  # noqa: FBT001 - the hook gives positions only
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    """Say that there is a bug without quoting values, which may be a patient's.

    :param debug: print the traceback, values and all.
    """
    if debug:
        traceback.print_exception(kind, error, trace, file=stderr)
    Out(stderr, stderr).complain(
        f"internal: {kind.__name__}",
        hint="this is a bug: please report what SEALNODE_DEBUG=1 shows, without patient data",
    )


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part a command line before its verb."""
    skip = False
    for index, word in enumerate(argv):
        if skip or word.startswith("-"):
            skip = word == "--config" and not skip
            continue
        return list(argv[:index]), list(argv[index:])
    return list(argv), []


def _reason(error: OSError) -> str:
    what = (error.strerror or type(error).__name__).lower()
    return f"{error.filename}: {what}" if error.filename is not None else what


if __name__ == "__main__":
    sys.exit(main())

"""The objects that a command line names: files, folders, or what a PACS holds."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node import proxy
from node.config.values import nearest
from node.errors import UnreachableError, UnreadableError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config
    from node.retrieval.gather import Gatherer
    from node.types import Destination


@dataclass(frozen=True, slots=True)
class Named:
    """One file to work on.

    :param path: where it lies.
    :param relative: its path below the folder that was named, or its name.
    """

    path: Path
    relative: Path


def add_source(parser: Parser) -> None:
    """Add what names objects: files and folders, or a destination to fetch from."""
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*", help="files or folders")
    parser.add_argument(
        "--from",
        metavar="DEST",
        dest="destination",
        default="",
        help="fetch the objects from this destination instead (C-GET, else C-MOVE; WADO-RS)",
    )
    parser.add_argument("--study", metavar="UID", default="", help="with --from: the study")
    parser.add_argument("--series", metavar="UID", default="", help="with --from: only this series")
    parser.add_argument("--sop", metavar="UID", default="", help="with --from: only this instance")


@contextmanager
def sources(args: argparse.Namespace, config: Config, out: Out) -> Iterator[list[Named]]:
    """Give the objects that the command line names; fetched ones live until the block ends.

    :raises UsageError: it names none, or names them in two ways.
    Shares of them are gathered from all destinations of the routes with shares that
    name the one given, and put together.

    :raises UnreachableError: the destination does not give them, or too few
        shares of one are good; the latter when the block has ended.
    """
    if not args.destination:
        yield named(args.files)
        return
    if args.files or not args.study:
        raise UsageError("--from needs --study and no files")
    if args.destination not in config.destinations:
        close = nearest(args.destination, config.destinations)
        raise UsageError(f'there is no destination "{args.destination}"{close}')
    destination = config.destinations[args.destination]
    with tempfile.TemporaryDirectory(prefix="sealnode-") as folder:
        found, late = _retrieved(args, config, destination, Path(folder), out)
        if not found and not late:
            hint = "some archives find an instance only if --series is given"
            out.complain(
                f"{args.destination} has no such object",
                hint=hint if args.sop and not args.series else "",
            )
        yield found
        if late:
            raise late[0]


def _retrieved(
    args: argparse.Namespace, config: Config, destination: Destination, folder: Path, out: Out
) -> tuple[list[Named], list[UnreachableError]]:
    """Return what came back, whole or in shares, and why something did not."""
    from node import wiring

    found: list[Named] = []
    late: list[UnreachableError] = []
    gatherer = proxy.gatherer(config, destination)
    try:
        fetched = wiring.fetch(
            config, destination, folder, study=args.study, series=args.series, sop=args.sop
        )
        found += [Named(path, Path(path.name)) for path in sorted(fetched)]
    except UnreachableError as error:
        if gatherer is None:
            raise
        if not gatherer.alone:  # else the other keepers stand in for it
            late.append(error)
    if gatherer is not None:
        for gathered in _gathered(args, gatherer, folder, out):
            if isinstance(gathered, Named):
                found.append(gathered)
            else:
                late.append(gathered)
    return found, late


def _gathered(
    args: argparse.Namespace, gatherer: Gatherer, folder: Path, out: Out
) -> Iterator[Named | UnreachableError]:
    """Yield objects that were put together of shares, or why one could not be."""
    from node.retrieval.gather import report

    keys = {
        "StudyInstanceUID": args.study,
        "SeriesInstanceUID": args.series,
        "SOPInstanceUID": args.sop,
    }
    level = "IMAGE" if args.sop else "SERIES" if args.series else "STUDY"
    kept = gatherer.contents(level, {key: (uid,) for key, uid in keys.items() if uid})
    for destination, reason in gatherer.troubles.items():
        out.warning(f"{destination}: {reason}")
    for gathered in gatherer.gather(kept, folder):
        why = report(gathered, lambda blame: out.warning(f"share {blame.number} at {blame}"))
        if gathered.path is None:
            yield UnreachableError(
                f"an object cannot be put together: {why}",
                hint="try again when the destinations that are named are well",
                code="too_few",
            )
            continue
        yield Named(gathered.path, Path(gathered.path.name))


def named(paths: list[Path]) -> list[Named]:
    """Return the files below the paths, folders in the order of their names.

    :raises UsageError: no path is given.
    :raises UnreadableError: one is not there.
    """
    if not paths:
        raise UsageError("no file is named")
    found: list[Named] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file())
            found += [Named(p, p.relative_to(path)) for p in below]
        elif path.exists():
            found.append(Named(path, Path(path.name)))
        else:
            raise UnreadableError(f"{path}: no such file or folder")
    return found


class Target:
    """Where results go: ``-o OUT`` is a file for one input file, else a folder."""

    def __init__(self, out: Path, inputs: list[Path]) -> None:
        self._out = out
        self._folder = out.is_dir() or len(inputs) != 1 or inputs[0].is_dir()

    def place(self, named: Named, suffix: str = "") -> Path:
        """Return the path for one result; folders are made as needed.

        :raises UsageError: the result would overwrite its input.
        """
        path = self._out / named.relative if self._folder else self._out
        if suffix:
            path = path.with_name(path.name + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.samefile(named.path):
            raise UsageError(f"{path} would overwrite its input")
        return path


class Score:
    """The exit status of work on several objects: that of the first that was not good."""

    def __init__(self) -> None:
        self.status = 0

    def count(self, status: int) -> None:
        """Take one object's status in."""
        self.status = self.status or status

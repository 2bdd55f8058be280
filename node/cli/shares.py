"""``nodectl shares``: divide a file into shares, put them together, say what is true of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.arguments import configured
from node.cli.share_answers import COLUMNS, made, place, tell
from node.errors import DamagedError, UnreadableError, UsageError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.crypto.shares.judging import Finding, Report

NAME = "shares"
HELP = "divide a file into shares, some of which give it back"
EPILOG = """
Any k of the n shares give the file back; fewer do not. SCHEME is one of

  computational   any file; n shares together are n/k times as long as it. Who
                  has fewer than k learns its length and nothing else, unless
                  they break AES-256.
  perfect         any file; each share is as long as it. Who has fewer than k
                  learns its length and nothing else: every content is as likely
                  as before.
  visual          a picture, 2 of 2: two prints, laid over each other, show it.
                  Who has one learns its size and nothing else. Grey becomes
                  dots.
  keymatrix       a picture, n of n. NOT SECRET: who has one sees one in n of
                  its pixels in clear, and mostly what it shows. For comparison
                  only.

With --keys or --config the shares are signed with share.key, and only shares
that share.pub vouches for are combined. Shares that nobody signed prove nothing
about who made them.

EXAMPLES
  nodectl --config /etc/sealnode shares split a.dcm -k 2 -n 3 -o out/ --dicom
  nodectl --config /etc/sealnode shares check out/*
  nodectl --config /etc/sealnode shares combine out/*1of3* out/*3of3* -o b.dcm
  nodectl shares split logo.png -k 2 -n 2 -o prints/ --scheme visual

EXIT STATUS
  0   done; shares that could not be used are named
  2   the command line makes no sense
  3   a key is not as it should be
  4   no share, or too few of them
  10  shares are damaged or made up; for combine: so that too few are left
"""
SCHEMES = ("computational", "perfect", "visual", "keymatrix")
_GOOD = {"good", "unproven", "repeated"}


def add_arguments(parser: Parser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    split = commands.add_parser("split", description="divide a file into n shares")
    split.add_argument("file", metavar="FILE", type=Path, help="what to divide")
    split.add_argument("-k", metavar="K", type=int, required=True, help="shares that suffice")
    split.add_argument("-n", metavar="N", type=int, required=True, help="shares to make")
    split.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder for the shares"
    )
    split.add_argument(
        "--scheme",
        metavar="SCHEME",
        choices=SCHEMES,
        default=SCHEMES[0],
        help=f"one of {', '.join(SCHEMES)} (default: {SCHEMES[0]})",
    )
    split.add_argument(
        "--dicom", action="store_true", help="write each share as a DICOM object, for archives"
    )
    combine = commands.add_parser("combine", description="put shares together")
    combine.add_argument("files", metavar="FILE", type=Path, nargs="+", help="shares of one file")
    combine.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file to write"
    )
    check = commands.add_parser("check", description="say of each share whether it is good")
    check.add_argument("files", metavar="FILE", type=Path, nargs="+", help="shares")
    for command in (split, combine, check):
        command.add_argument(
            "--keys", metavar="DIR", type=Path, help="the key folder (default: as configured)"
        )
    for command in (combine, check):
        command.add_argument(
            "--signer", metavar="FILE", type=Path, action="append", default=[],
            help="trust shares that this share.pub vouches for, too",
        )  # fmt: skip


def run(args: argparse.Namespace, out: Out) -> int:
    """Run one of the commands."""
    from node.cli import picture_shares

    if args.command == "split":
        visual = args.scheme in {"visual", "keymatrix"}
        return (picture_shares.split_picture if visual else _split)(args, out)
    visual = picture_shares.are_pictures(args.files)
    if args.command == "check":
        return (picture_shares.check_pictures if visual else _check)(args, out)
    if any(args.output.exists() and args.output.samefile(path) for path in args.files):
        raise UsageError(f"{args.output} would overwrite a share")
    return (picture_shares.combine_pictures if visual else _combine)(args, out)


def _split(args: argparse.Namespace, out: Out) -> int:
    from node.crypto.shares import scheme, share
    from node.dicom import share_object

    keys = _keys(args)
    by = keys.share_signer() if keys else None
    mode = share.Mode[args.scheme.upper()]
    parts = scheme.split(args.file.read_bytes(), args.k, args.n, mode=mode, by=by)
    args.output.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(parts, 1):
        path = place(args, index, ".dcm" if args.dicom else ".share")
        set_id = share.parse(data).about.set_id
        called = share_object.names(set_id, index)
        path.write_bytes(share_object.wrap(data, called, time.time()) if args.dicom else data)
        facts = {**made(args, path, index, set_id.hex()[:16]), "signed": by is not None}
        out.answer(facts, f"{path}: share {index} of {args.n}, {path.stat().st_size} bytes")
    tell(out, args.scheme)
    if by is None:
        out.note("nobody signed them: with --keys or --config they prove who made them")
    return 0


def _combine(args: argparse.Namespace, out: Out) -> int:
    from node.crypto.shares import scheme

    trusted = _trusted(args)
    done = scheme.combine(_read(args.files), trusted=trusted)
    args.output.write_bytes(done.data)
    bad = [
        (path, found)
        for path, found in zip(args.files, done.report.findings, strict=True)
        if found.state.value not in _GOOD
    ]
    for path, found in bad:
        out.warning(f"{path}: {found.state.value}: {found.reason}; left out")
    if not trusted:
        out.note("nobody vouches for who made the shares: see --signer")
    about = done.report.about
    facts = {
        "file": args.output,
        "result": "combined",
        "reason": "",
        "bytes": len(done.data),
        "scheme": about.mode.name.lower() if about else "",
        "set": about.set_id.hex()[:16] if about else "",
        "signer": about.signer.hex() if about and about.signed else "",
        "left_out": [str(path) for path, _ in bad],
    }
    used = sum(1 for one in done.report.findings if one.state.value == "good")
    out.answer(facts, f"{args.output}: {len(done.data)} bytes from {used} good shares")
    return 0


def _check(args: argparse.Namespace, out: Out) -> int:
    from node.crypto.shares import scheme

    report = scheme.check(_read(args.files), trusted=_trusted(args))
    rows = [_row(path, one) for path, one in zip(args.files, report.findings, strict=True)]
    out.table(rows, COLUMNS)
    _conclude(report, out)
    if report.about:
        tell(out, report.about.mode.name.lower())
    states = [one.state.value for one in report.findings]
    if all(state == "unreadable" for state in states):
        return UnreadableError.exit_code
    return 0 if set(states) <= _GOOD else DamagedError.exit_code


def _keys(args: argparse.Namespace) -> Any:
    """Return the keys that the command line names; None if it names none."""
    from node.crypto.keyring import DirectoryKeys

    if args.keys:
        return DirectoryKeys(args.keys)
    return DirectoryKeys(configured(args).node.keys) if args.config else None


def _trusted(args: argparse.Namespace) -> list[bytes]:
    from node.crypto import keyfile
    from node.crypto.shares import signer

    keys = _keys(args)
    own = [keys.share_public()] if keys else []
    return own + [signer.parse_public(keyfile.read(one, keyfile.PUBLIC)) for one in args.signer]


def _read(paths: list[Path]) -> list[bytes]:
    """Return the shares in files, unwrapped from DICOM objects where they are in such."""
    from node.dicom import share_object

    found = []
    for path in paths:
        data = path.read_bytes()
        if data[128:132] == b"DICM":
            try:
                data = share_object.unwrap(data)
            except UnreadableError:
                data = b""  # is judged as no share, like any other file that is none
        found.append(data)
    return found


def _row(path: Path, found: Finding) -> dict[str, Any]:
    about = found.about
    facts: dict[str, Any] = {"file": path, "state": found.state.value, "reason": found.reason}
    if about is None:
        return {**facts, "share": "", "set": ""}
    return {
        **facts,
        "share": f"{found.index}/{about.n}",
        "needed": about.k,
        "set": about.set_id.hex()[:16],
        "scheme": about.mode.name.lower(),
        "signer": about.signer.hex() if about.signed else "",
    }


def _conclude(report: Report, out: Out) -> None:
    if report.about and not report.enough:
        count = sum(1 for one in report.findings if one.state.value in {"good", "unproven"})
        out.note(f"{report.about.k} good shares are needed, {count} are here")

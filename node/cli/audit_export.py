"""``nodectl audit export``: the events of a period, for other programs and other places."""

from __future__ import annotations

import csv
import io
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.cli.audit_reports import moment, record
from node.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from node.audit.reading import Told
    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config

FORMATS = ("jsonl", "csv", "xml")
COLUMNS = ("seq", "ts", "event", "actor", "object", "outcome", "facts")


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    export = commands.add_parser(
        "export", description="write the events of a period; patients stay encrypted in them"
    )
    export.add_argument("--since", metavar="TIME", default="", help="from this day or time on")
    export.add_argument("--until", metavar="TIME", default="", help="up to this day or time")
    export.add_argument(
        "--format", choices=FORMATS, default="jsonl",
        help="jsonl: as they stand in the log; csv; xml: DICOM audit messages (PS3.15 A.5)",
    )  # fmt: skip
    export.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the file to write; new"
    )


def run_export(args: argparse.Namespace, out: Out) -> int:
    """Write the events, and tell the log that they were."""
    config = configured(args)
    since, until = moment(args.since), moment(args.until, end=True)
    write = {"jsonl": _lines, "csv": _rows, "xml": _messages}[args.format]
    first = last = count = 0
    try:
        file = args.output.open("xb")
    except OSError as error:
        raise UsageError(f"{args.output}: {error.strerror}") from error
    with file:
        for number, data in write(config, since, until):
            first, last = first or number, number
            count += 1
            file.write(data)
    record(config, args, count)
    facts = {"result": "exported", "events": count, "first": first, "last": last}
    period = f", {first} to {last}; 'nodectl audit prove SEQ' proves each" if count else ""
    out.answer(facts, f"{count} written{period}")
    return 0


def _told(config: Config, since: float, until: float) -> Iterator[tuple[bytes, Told]]:
    from node import wiring
    from node.audit.line import timestamp
    from node.audit.reading import lines, parse

    day = timestamp(since)[:10] if since else ""
    for line in lines(wiring.audit_folder(config), since=day):
        told = parse(line)
        if since <= told.at <= until:
            yield line, told


def _lines(config: Config, since: float, until: float) -> Iterator[tuple[int, bytes]]:
    for line, told in _told(config, since, until):
        yield told.seq, line


def _rows(config: Config, since: float, until: float) -> Iterator[tuple[int, bytes]]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for line, told in _told(config, since, until):
        fields = json.loads(line)
        fields["facts"] = json.dumps(fields["facts"], sort_keys=True)
        # a cell that a spreadsheet would take for a formula is made text
        cells = [str(fields[column]) for column in COLUMNS]
        writer.writerow(["'" + cell if cell[:1] in set("=+-@\t\r") else cell for cell in cells])
        yield told.seq, text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _messages(config: Config, since: float, until: float) -> Iterator[tuple[int, bytes]]:
    from node.audit.messages import Writer

    writer = Writer(config.node.aet, socket.gethostname(), config.syslog.site)
    for _, told in _told(config, since, until):
        for message in writer.messages(told):
            yield told.seq, message + b"\n"


RUN = {"export": run_export}

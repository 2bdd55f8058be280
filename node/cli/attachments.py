"""``nodectl attachments``: fill the drop folder from a FHIR server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from node.cli.arguments import configured
from node.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    import argparse

    from node.cli.arguments import Parser
    from node.cli.output import Out

NAME = "attachments"
HELP = "fetch what a FHIR server has for orders into the drop folder"
EPILOG = """
fetch reads Accession Numbers from standard input, one a line, asks the FHIR
server of [attachments] for each, and writes what it has into the drop folder,
where the node finds it when the images come. Run it before they do: for the
orders of the worklist, say, by a timer. Numbers are answered by their line,
since they may tell of patients.

EXAMPLES
  nodectl --config /etc/sealnode attachments fetch < numbers.txt

EXIT STATUS
  0   the server was asked for each
  2   there is nobody to ask
  75  the server did not answer for some of them
"""


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("fetch", description="ask for the numbers on standard input")


def run(args: argparse.Namespace, out: Out) -> int:
    """Ask for each number, and say how much there was."""
    from node import wiring
    from node.sealing.fhir import put

    config = configured(args)
    folder, server = config.attachments.folder, wiring.fhir(config)
    if folder is None or server is None:
        raise UsageError("[attachments] names no folder, or no fhir server to ask")
    status = 0
    for number, line in enumerate(sys.stdin, start=1):
        accession = line.strip()
        if not accession:
            continue
        try:
            found = server.find(accession)
        except UnreachableError as error:
            status = error.exit_code
            facts = {"line": number, "result": "not fetched", "reason": str(error)}
            out.answer(facts, f"line {number}: not fetched: {error}")
            continue
        for resource in found:
            put(folder, resource)
        facts = {"line": number, "result": "fetched", "resources": len(found)}
        out.answer(facts, f"line {number}: {len(found)} resources")
    return status

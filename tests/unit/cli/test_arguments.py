"""The parser's own layout: the same on every Python."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from node.cli.arguments import AskedError, Parser, configured, directory_of, section
from node.errors import UsageError

HELP = """\
usage: nodectl mark [OPTION]... FILE... [OUT]

mark files

ARGUMENTS
  FILE                  files to mark
  OUT                   where to

OPTIONS
  -n, --count N         how many (100 % of them by default)
  --a-rather-long-option-name VALUE
                        explained below its name, since the name leaves no room
                        for it
  --config DIR          configuration directory (default: $SEALNODE_CONFIG)
  --json                answer in JSON, one object a line
  -h, --help            print this and exit

EXAMPLES
  nodectl mark x
"""


@pytest.fixture
def parser():
    made = Parser("nodectl mark", description="mark files", text="\nEXAMPLES\n  nodectl mark x\n")
    made.add_argument("files", metavar="FILE", nargs="+", help="files to mark")
    made.add_argument("out", metavar="OUT", nargs="?", help="where to")
    made.add_argument("-n", "--count", metavar="N", help="how many (100 %% of them by default)")
    made.add_argument(
        "--a-rather-long-option-name",
        metavar="VALUE",
        help="explained below its name, since the name leaves no room for it",
    )
    return made


def test_help_has_one_layout(parser):
    assert parser.format_help() == HELP


def test_help_is_the_answer_of_a_command_line_that_asks_for_it(parser):
    with pytest.raises(AskedError) as asked:
        parser.parse_args(["--help"])

    assert str(asked.value) == HELP


def test_commands_of_a_verb_are_listed_and_have_help_of_their_own():
    parser = Parser("nodectl queue", description="look")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ls", description="list entries")

    assert "usage: nodectl queue [OPTION]... COMMAND ...\n" in parser.format_help()
    assert "COMMANDS\n  ls                    list entries\n" in parser.format_help()
    with pytest.raises(AskedError, match=r"usage: nodectl queue ls \[OPTION\]\.\.\.\n"):
        parser.parse_args(["ls", "-h"])


def test_options_may_stand_before_or_after_a_command_of_a_verb():
    parser = Parser("nodectl queue")
    parser.add_subparsers(dest="command").add_parser("ls")

    for words in (["--json", "--config", "x", "ls"], ["ls", "--json", "--config", "x"]):
        args = parser.parse_args(words)
        assert (args.json, args.config) == (True, Path("x"))


def test_no_configuration_is_no_guess():
    with pytest.raises(UsageError, match="no configuration is named"):
        directory_of(argparse.Namespace(config=None))


def test_the_configuration_that_is_named_is_loaded(directory):
    assert configured(argparse.Namespace(config=directory)).directory == directory


def test_a_section_wraps_at_eighty_columns():
    shown = section("TITLE", [("name", "word " * 30), ("bare", "")])

    assert max(len(line) for line in shown.splitlines()) <= 80
    assert shown.endswith("\n  bare\n")

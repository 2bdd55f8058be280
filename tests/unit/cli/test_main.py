"""The frame: verbs are found, and whatever goes wrong becomes words and an exit code."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import node
from node import errors
from node.cli import main

ROOT = Path(__file__).resolve().parents[3]


def verb_that(run):
    return SimpleNamespace(
        NAME="check", HELP="a verb", EPILOG="", add_arguments=lambda _parser: None, run=run
    )


@pytest.fixture
def pretend(monkeypatch):
    """Make every verb do something else."""

    def pretend(run):
        monkeypatch.setattr(main, "verb_named", lambda _name: verb_that(run))

    return pretend


def raising(error):
    def run(_args, _out):
        raise error

    return run


@pytest.mark.parametrize(
    "error",
    [
        errors.SealnodeError("it failed"),
        errors.UsageError("it failed"),
        errors.ConfigError(["it failed"]),
        errors.UnreadableError("it failed"),
        errors.TamperedError("it failed"),
        errors.UnmarkedError("it failed"),
        errors.NotOurKeyError("it failed"),
        errors.DoesNotFitError("it failed"),
        errors.UnsealableError("it failed"),
        errors.AuditError("it failed"),
        errors.UnreachableError("it failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_exits_with_the_code_of_its_class(nodectl, pretend, error):
    pretend(raising(error))

    ended = nodectl("check")

    assert ended.status == error.exit_code
    assert ended.stderr == "nodectl: error: it failed\n"
    assert ended.stdout == ""
    assert f"\n  {error.exit_code} " in main.CODES


def test_a_hint_follows_its_error(nodectl, pretend):
    pretend(raising(errors.UsageError("it failed", hint="try this")))

    assert nodectl("check").stderr == "nodectl: error: it failed\nnodectl: hint: try this\n"


def test_every_mistake_of_a_configuration_has_its_line(nodectl, pretend):
    pretend(raising(errors.ConfigError(["a: b", "c: d"])))

    assert nodectl("check").stderr == "nodectl: error: a: b\nnodectl: error: c: d\n"


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (errno.EACCES, 4, "x.dcm: permission denied"),
        (errno.ENOENT, 4, "x.dcm: no such file or directory"),
        (errno.ENOSPC, 75, "x.dcm: no space left on device"),
    ],
)
def test_what_the_system_refuses_has_a_code_and_no_traceback(
    nodectl, pretend, number, status, said
):
    pretend(raising(OSError(number, os.strerror(number), "x.dcm")))

    ended = nodectl("check")

    assert ended.status == status
    assert ended.stderr == f"nodectl: error: {said}\n"


def test_an_interrupt_exits_130(nodectl, pretend):
    pretend(raising(KeyboardInterrupt()))

    assert nodectl("check").status == 130


def test_a_bug_is_no_error_of_the_user(nodectl, pretend):
    pretend(raising(ZeroDivisionError("PATIENT^NAME")))

    with pytest.raises(ZeroDivisionError):
        nodectl("check")


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_is_told_without_the_values_unless_they_are_asked_for(debug):
    stderr = io.StringIO()

    main.tell_of_bug(stderr, debug, ZeroDivisionError, ZeroDivisionError("PATIENT^NAME"), None)

    said = stderr.getvalue()
    assert "nodectl: error: internal: ZeroDivisionError\n" in said
    assert "nodectl: hint: this is a bug" in said
    assert ("PATIENT^NAME" in said) is debug


def test_a_bug_exits_1_without_a_traceback():
    code = (
        "import sys; from node.cli import main; main.run = lambda *_: 1 // 0; sys.exit(main.main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == "nodectl: error: internal: ZeroDivisionError"
    assert "Traceback" not in ended.stderr


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m node.cli.main --help | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.stderr == ""
    assert ended.stdout.strip() in {"141", "0"}  # 0 where the pipe took it all in time


@pytest.mark.parametrize(
    "argv", [["--json", "check"], ["check", "--json"], ["--json", "check", "--json"]]
)
def test_json_may_stand_before_or_after_the_verb(nodectl, pretend, argv):
    pretend(lambda _args, out: out.answer({"a": 1}) or 0)

    assert json.loads(nodectl(*argv).stdout) == {"a": 1}


@pytest.mark.parametrize(
    ("argv", "environ", "expected"),
    [
        (["--config", "x", "check"], {}, "x"),
        (["--config=x", "check"], {}, "x"),
        (["check", "--config", "x"], {"SEALNODE_CONFIG": "y"}, "x"),
        (["--config", "z", "check", "--config", "x"], {}, "x"),
        (["--config", "check", "check"], {}, "check"),
        (["check"], {"SEALNODE_CONFIG": "y"}, "y"),
        (["check"], {"SEALNODE_CONFIG": ""}, "None"),
        (["check"], {}, "None"),
    ],
)
def test_the_configuration_is_named_by_option_or_environment(
    nodectl, pretend, argv, environ, expected
):
    pretend(lambda args, out: out.answer({}, str(args.config)) or 0)

    assert nodectl(*argv, environ=environ).stdout == f"{expected}\n"


@pytest.mark.parametrize(
    ("argv", "said", "hint"),
    [
        ([], "no verb is given", "nodectl --help"),
        (["chek"], 'there is no verb "chek" (did you mean "check"?)', "nodectl --help"),
        (["--jsn", "check"], "unrecognized arguments: --jsn", "nodectl --help"),
        (["check", "--bogus"], "unrecognized arguments: --bogus", "nodectl check --help"),
        (["check", "--off"], "unrecognized arguments: --off", "nodectl check --help"),
        (["explain"], "the following arguments are required: FILE", "nodectl explain --help"),
        (["--config"], "argument --config: expected one argument", "nodectl --help"),
        (["status"], "no configuration is named", None),
    ],
)
def test_a_command_line_without_sense_exits_2_with_a_hint(nodectl, argv, said, hint):
    ended = nodectl(*argv)

    assert ended.status == 2
    assert ended.stderr.splitlines()[0] == f"nodectl: error: {said}"
    assert ended.stderr.splitlines()[1].startswith("nodectl: hint: ")
    if hint:
        assert ended.stderr.splitlines()[1] == f"nodectl: hint: see '{hint}'"


def test_the_version_is_told(nodectl):
    assert nodectl("--version").stdout == f"nodectl {node.__version__}\n"


@pytest.mark.parametrize("name", main.VERBS)
def test_every_verb_has_a_help_with_examples_and_exit_status(nodectl, name):
    ended = nodectl(name, "--help")

    assert ended.status == 0
    assert ended.stdout.startswith(f"usage: nodectl {name} [OPTION]...")
    assert "\nEXAMPLES\n  nodectl " in ended.stdout
    assert "\nEXIT STATUS\n  0 " in ended.stdout
    assert max(len(line) for line in ended.stdout.splitlines()) <= 80
    assert ended.stderr == ""


@pytest.mark.parametrize("name", main.VERBS)
def test_every_exit_code_in_a_help_is_one_of_the_contract(name):
    known = re.findall(r"^  (\d+) ", main.CODES, re.MULTILINE)
    status = main.verb_named(name).EPILOG.partition("EXIT STATUS")[2]

    assert set(re.findall(r"^  (\d+) ", status, re.MULTILINE)) <= set(known)


def test_the_help_names_every_verb(nodectl):
    shown = nodectl("--help").stdout

    for name in main.VERBS:
        assert f"\n  {name} " in shown


def test_help_starts_without_the_heavy_libraries():
    heavy = {"numpy", "pydicom", "pynetdicom", "PIL", "apsw"}
    code = (
        "import io, sys; from node.cli.main import run; "
        "run(['--help'], {}, io.StringIO(), sys.stderr); print(*sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert not heavy & set(ended.stdout.split())

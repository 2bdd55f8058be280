"""Answers for people and for scripts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from node.cli.output import Out, duration, printable, size
from node.types import Action, Tried


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


def test_an_answer_is_one_json_object_on_one_line(streams):
    out = Out(*streams, json=True)

    facts = {
        "path": Path("a/b"),
        "action": Action.SEAL,
        "tried": [Tried("r", matched=True, reason="x\ny")],
    }
    out.answer(facts, "for people")

    assert streams[0].getvalue().count("\n") == 1
    assert json.loads(streams[0].getvalue()) == {
        "path": "a/b",
        "action": "seal",
        "tried": [{"route": "r", "matched": True, "reason": "x\ny"}],
    }


def test_what_has_no_json_form_is_a_bug(streams):
    with pytest.raises(TypeError):
        Out(*streams, json=True).answer({"bytes": b"x"})


def test_an_answer_is_text_for_people(streams):
    Out(*streams).answer({"a": 1}, "one\ntwo")

    assert streams[0].getvalue() == "one\ntwo\n"


def test_an_answer_without_text_shows_its_facts_aligned(streams):
    Out(*streams).answer({"a": 1, "longer": ["x", "y"], "b": True, "n": None, "e": Action.HOLD})

    assert streams[0].getvalue() == (
        "a:      1\nlonger: x, y\nb:      yes\nn:      \ne:      hold\n"
    )


ROWS = [{"name": "a", "count": 10, "more": 1}, {"name": "longer", "count": 2}]
COLUMNS = {"name": "NAME", "count": "COUNT"}


def test_a_table_is_aligned_text_where_there_is_no_terminal(streams):
    Out(*streams).table(ROWS, COLUMNS)

    assert streams[0].getvalue() == "NAME    COUNT\na       10\nlonger  2\n"


def test_a_table_in_json_is_one_whole_row_a_line(streams):
    Out(*streams, json=True).table(ROWS, COLUMNS)

    assert [json.loads(line) for line in streams[0].getvalue().splitlines()] == ROWS


def test_a_terminal_gets_a_drawn_table_and_no_markup_of_peers():
    stdout = Terminal()

    Out(stdout, io.StringIO()).table([{"name": "[red]x[/]", "count": 1}], COLUMNS)

    assert "[red]x[/]" in stdout.getvalue()
    assert "─" in stdout.getvalue()


def test_control_characters_never_reach_a_terminal(streams):
    out = Out(*streams)
    out.answer({}, "a\x1b[31mb")
    out.table([{"name": "c\rd"}], {"name": "NAME"})
    out.complain("e\x07f", hint="\u202eg\udc80")

    assert streams[0].getvalue() == "a\\x1b[31mb\nNAME\nc\\rd\n"
    assert streams[1].getvalue() == ("nodectl: error: e\\x07f\nnodectl: hint: \\u202eg\\udc80\n")


def test_plain_text_is_shown_as_it_is():
    assert printable("Müller 放射線 a b") == "Müller 放射線 a b"


def test_progress_draws_nothing_where_nobody_looks(streams):
    with Out(*streams).progress(10, "sealing") as step:
        step()

    assert streams[0].getvalue() == streams[1].getvalue() == ""


def test_progress_draws_on_a_terminal_of_errors_only():
    stdout, stderr = io.StringIO(), Terminal()

    with Out(stdout, stderr).progress(10, "sealing") as step:
        step()

    assert "sealing" in stderr.getvalue()
    assert stdout.getvalue() == ""


def test_notes_and_warnings_stay_out_of_the_answer(streams):
    out = Out(*streams)
    out.note("a note")
    out.warning("a warning")

    assert streams[0].getvalue() == ""
    assert streams[1].getvalue() == "a note\nnodectl: warning: a warning\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (90061, "1 d 1 h"), (86400, "1 d")],
)
def test_a_time_span_is_said_in_two_units_at_most(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 60, "1048576.0 TiB")]
)
def test_a_size_has_a_unit(count, said):
    assert size(count) == said

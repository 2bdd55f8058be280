"""Sessions at the command line, word for word.

Each file is a session: lines that begin with ``$`` are commands, ``exit N``
ends one that failed, the rest is what was written to both outputs. The
folder ``site`` is fresh for each session. Run this file to write the sessions
anew; read the difference before you keep it.
"""

from __future__ import annotations

import io
import os
import shlex
import tempfile
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from node.cli.main import run

HERE = Path(__file__).parent
SESSIONS = sorted(path.name for path in HERE.glob("*.txt"))
FILES = {"$CT": "CT_small.dcm", "$REPORT": "reportsi.dcm"}


def play(session: str) -> str:
    """Return a session as it goes today, in the current folder."""
    lines = []
    for line in session.splitlines():
        if not line.startswith("$ "):
            continue
        lines.append(line)
        program, *words = shlex.split(line[2:])
        assert program == "nodectl"
        written = io.StringIO()
        argv = [get_testdata_file(FILES[word]) if word in FILES else word for word in words]
        status = run(argv, {"SEALNODE_CONFIG": "site"}, written, written)
        lines += [text.replace(str(Path.cwd()), "") for text in written.getvalue().splitlines()]
        if status:
            lines.append(f"exit {status}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_goes_word_for_word(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert play((HERE / name).read_text()) == (HERE / name).read_text()


if __name__ == "__main__":
    for name in SESSIONS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            (HERE / name).write_text(play((HERE / name).read_text()))

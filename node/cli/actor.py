"""Who sits at the command line, for the audit log."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

LOGIN = Path("/proc/self/loginuid")  # proc_pid_loginuid(5): who logged in, kept through su and sudo
NOBODY = 0xFFFFFFFF


def local_user() -> str:
    """Return ``local:NAME``, or ``local:NAME/AS`` where NAME logged in and acts as AS."""
    acting = _name(os.geteuid())
    login = acting
    with suppress(OSError, ValueError):
        number = int(LOGIN.read_text(encoding="ascii"))
        login = acting if number == NOBODY else _name(number)
    return f"local:{login}" if login == acting else f"local:{login}/{acting}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

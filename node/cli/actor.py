"""Who sits at the command line, for the audit log."""

from __future__ import annotations

import hashlib
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


def latest(directory: Path) -> dict[str, str | int | float]:
    """Return which file of a configuration was written last and who owns it, and a digest of all.

    Whoever lets a node read its configuration again need not be who wrote it.
    """
    paths = sorted([directory / "node.toml", *(directory / "routes.d").glob("*.toml")])
    digest = hashlib.sha256()
    newest, owner = (0, ""), ""
    for path in paths:
        with suppress(OSError):
            name, status = str(path.relative_to(directory)), path.stat()
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
            if (status.st_mtime_ns, name) > newest:
                newest, owner = (status.st_mtime_ns, name), _name(status.st_uid)
    return {"file": newest[1], "owner": owner, "config": digest.hexdigest()[:16]}


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

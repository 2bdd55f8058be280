"""What all commands of ``nodectl shares`` say of the shares that they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from node.cli.output import Out

LEARNS = {
    "computational": "fewer than k shares tell the object's length and nothing else,"
    " unless AES-256 is broken",
    "perfect": "fewer than k shares tell the object's length and nothing else",
    "visual": "one picture tells the size of the image and nothing else",
    "keymatrix": "NOT SECRET: one picture shows one in n of the pixels in clear,"
    " and mostly what the image shows",
}
"""What someone learns who has one share."""
COLUMNS = {"file": "FILE", "share": "SHARE", "set": "SET", "state": "STATE", "reason": "REASON"}


def place(args: argparse.Namespace, index: int, suffix: str) -> Path:
    """Return where a share is written."""
    return Path(args.output) / f"{args.file.name}.{index}of{args.n}{suffix}"


def made(args: argparse.Namespace, path: Path, index: int, set_id: str) -> dict[str, Any]:
    """Return what is said of a share that was written."""
    return {
        "file": path,
        "result": "split",
        "reason": "",
        "scheme": args.scheme,
        "share": f"{index}/{args.n}",
        "needed": args.k,
        "set": set_id,
        "learns": LEARNS[args.scheme],
    }


def tell(out: Out, name: str) -> None:
    """Say what someone learns who has one share."""
    text = LEARNS[name]
    (out.warning if name == "keymatrix" else out.note)(text)

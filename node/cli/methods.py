"""Classical methods on the command line: seal with one, and read what one wrote."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from node.cli.objects import Score
from node.errors import SealnodeError, UnreadableError
from node.mark.classical import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.cli.arguments import Parser
    from node.cli.objects import Named, Target
    from node.cli.output import Out
    from node.config.config import Config
    from node.dicom.pixels import Codec
    from node.sealing.classical import Found


FINE = "fine"
"""What the reversible mark that changes least is called on the command line."""


def add_embedder(parser: Parser, purpose: str, names: Sequence[str] = NAMES) -> None:
    """Add ``--embedder``."""
    parser.add_argument("--embedder", metavar="NAME", choices=names, default="", help=purpose)


def seal(
    files: list[Named],
    target: Target,
    config: Config,
    out: Out,
    *,
    name: str,
    cargo: bytes | None,
    lossy: str,
) -> int:
    """Mark each file by a method and say what became of it; return the exit status."""
    from node import wiring
    from node.sealing.classical import WARNING

    score = Score()
    out.warning(f"{name} is {WARNING}")
    keys = wiring.keys(config)
    sealer, prover = keys.sealer(), keys.prover()
    with wiring.codec() as codec, out.progress(len(files), "marking") as step:
        method = wiring.classical(name, codec)
        for file in files:
            place = target.place(file)
            facts: dict[str, Any] = {"file": file.path, "embedder": name}
            try:
                made = method.mark(
                    file.path.read_bytes(),
                    cargo,
                    sealer=sealer,
                    prover=prover,
                    at=time.time(),
                    lossy=lossy,
                )
            except SealnodeError as error:
                score.count(error.exit_code)
                facts |= {"result": "not sealed", "code": error.code, "reason": str(error)}
                text = f"{file.path}: not sealed: {error}"
                out.answer(facts, f"{text}\n  {error.hint}" if error.hint else text)
            else:
                place.write_bytes(made.data)
                facts |= {
                    "result": "sealed",
                    "reason": "",
                    "output": place,
                    "reversible": False,
                    "sop_instance_uid": made.sop_instance_uid,
                    "key_id": made.key_id,
                    "payload_bytes": made.payload_bytes,
                    "psnr": made.quality.psnr_stored,
                    "psnr_data": made.quality.psnr_data,
                    "max_change": made.quality.max_change,
                    "ssim": made.quality.ssim,
                }
                out.answer(
                    facts,
                    f"{file.path}: sealed by {name}, not reversible, {made.payload_bytes} bytes, "
                    f"{made.quality.psnr_stored:.1f} dB, ±{made.quality.max_change}",
                )
            step()
    return score.status


def read(file: Named, name: str, config: Config, codec: Codec) -> tuple[str, Found] | None:
    """Return what a classical method wrote into a file, and which; None if none did.

    :param name: the method; if empty, the one that the object names, if any.
    """
    from node import wiring
    from node.dicom import derived, reader

    data = file.path.read_bytes()
    if not name:
        try:
            name = derived.method_of(reader.read(data))
        except UnreadableError:
            return None
        if name not in NAMES:
            return None
    return name, wiring.classical(name, codec).read(data, wiring.keys(config).opener())


def findings(file: Named, name: str, found: Found) -> dict[str, Any]:
    """Return a verdict and its evidence as facts."""
    verdict = found.verdict
    return {
        "file": file.path,
        "verdict": verdict.kind,
        "reason": verdict.reason,
        "embedder": name,
        "reversible": False,
        "carrier": verdict.carrier,
        "key_id": verdict.key_id,
        "payload_bytes": verdict.payload_bytes,
        "recoverable": False,
    }

"""A configuration that is right, to be spoilt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.cli.init import draw_logo

if TYPE_CHECKING:
    from pathlib import Path

NODE = """
[node]
aet = "SEALNODE"

[source.ct1]
aet = "CT1"
addresses = ["10.0.1.0/24"]

[destination.pacs-main]
aet = "PACS1"
host = "pacs"
port = 104
"""
ROUTES = """
[[route]]
name = "ct"
match = { source = "ct1", Modality = ["CT", "PT"] }
action = "seal"
logo = "logo.png"
to = "pacs-main"

[[test]]
given = { source = "ct1", Modality = "CT" }
expect = { route = "ct", action = "seal", to = "pacs-main" }
"""


def write(directory: Path, node: str = NODE, routes: str = ROUTES, **more: str) -> Path:
    """Write a configuration with further files of routes.d, and return its directory."""
    (directory / "routes.d").mkdir(exist_ok=True)
    (directory / "logo.png").write_bytes(draw_logo())
    (directory / "node.toml").write_text(node)
    (directory / "routes.d" / "10-ct.toml").write_text(routes)
    for name, text in more.items():
        (directory / "routes.d" / f"{name}.toml").write_text(text)
    return directory

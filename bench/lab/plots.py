"""Small plots of what bench/mark.py measured, as SVG."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

STYLE = {"svg.fonttype": "none", "svg.hashsalt": "sealnode", "font.size": 8}
"""Text stays text, and the same results give the same file."""

MARKERS = "o^svDxP"


def draw(report: dict[str, Any], folder: Path) -> list[str]:
    """Draw what is there; return a line for each file, or the one that says what is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return ["no plots: matplotlib is not installed (pip install sealnode[bench])"]
    drawn = []
    for part, plot in (("published", _published), ("robust", _robust)):
        if report.get(part, {}).get("images"):
            path = folder / f"mark-{part}.svg"
            plot(report[part], path)
            drawn.append(f"drawn: {path}")
    return drawn


def _published(found: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - an extra that may be absent

    mpl.use("Agg")
    with mpl.rc_context(STYLE):
        from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

        figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
        names = [one["image"] for one in found["images"]]
        for index, axis in enumerate(axes):
            for method, marker in zip(found["methods"], MARKERS, strict=False):
                values = [one["rows"][index]["psnr"][method] for one in found["images"]]
                axis.plot(
                    names,
                    [float("nan") if value is None else value for value in values],
                    marker,
                    label=method,
                    markersize=4,
                )
            axis.set_title(f"{found['images'][0]['rows'][index]['bits']:,} bits, net")
            axis.tick_params("x", rotation=60)
            axis.set_ylim(bottom=40)
            axis.grid(visible=True, linewidth=0.3)
        axes[0].set_ylabel("PSNR, dB")
        axes[1].legend(fontsize=6)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _robust(found: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - an extra that may be absent

    mpl.use("Agg")
    with mpl.rc_context(STYLE):
        from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

        rows = found["attacks"]
        attacks = list(dict.fromkeys(row["attack"] for row in rows))
        methods = sorted(
            {row["method"] for row in rows}, key=lambda name: (name != "robust-1", name)
        )
        share = {(row["attack"], row["method"]): row["read"] / row["count"] for row in rows}
        table = [
            [share.get((attack, method), float("nan")) for attack in attacks] for method in methods
        ]
        figure, axis = plt.subplots(figsize=(7, 2.4))
        axis.pcolormesh(table, cmap="RdYlGn", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        axis.invert_yaxis()
        axis.set_xticks([n + 0.5 for n in range(len(attacks))], attacks, rotation=70, ha="right")
        axis.set_yticks([n + 0.5 for n in range(len(methods))], methods)
        axis.set_title("copies whose 160 bits were read without an error: red none, green all")
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)

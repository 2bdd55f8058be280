"""docs/benchmarks.md, made of what lies in bench/results."""

from __future__ import annotations

import json
import statistics
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HEAD = """\
# Benchmarks

Made by `scripts/docs` from `bench/results/*.json`: measure again instead of editing this. Every
section says on what machine, when and by which command. PSNR is 10 log10(peak² / MSE). Where a
goal was set, it stands beside what was reached, reached or not.
"""

WIDTH = 118
BUSY = "**Measured while other work kept the machine busy: take times as orders of magnitude.**"
OURS = "tiles-1, one tile"
FINE = "tiles-2, one tile"
STUDY = "CT 512x512, 12 bits"
"""A slice of the PT-CT study beside the project; goals are of slices like this."""

PSNR_GOALS = {(STUDY, 1024, FINE): 90, (STUDY, 4096, FINE): 83, (STUDY, 1024, "tiles-1"): 83}
SPEED_GOALS = {("CT 512x512, 14 bits", "embed"): 1.0, ("CT 512x512, 14 bits", "extract"): 0.8,
               ("DX 2560x4096, 14 bits (made of a CR)", "embed"): 20.0,
               ("DX 2560x4096, 14 bits (made of a CR)", "extract"): 15.0}  # fmt: skip
"""Milliseconds, with 1 KB on one core."""


def benchmarks(results: Path) -> str:
    """Return the page; a section without results says how to get them."""
    sections = {
        "node": ("The node beside Orthanc", node),
        "idle": ("What a node takes at rest", idle),
        "retrieve": ("Retrieving through the node", retrieve),
        "mark": ("The mark", mark),
        "shares": ("Shares", shares),
        "spool": ("The spool and the audit log", spool),
        "classical": ("Classical methods", classical),
    }
    parts = [HEAD]
    for name, (title, section) in sections.items():
        file = results / f"{name}.json"
        text = section(json.loads(file.read_text())) if file.is_file() else _unmeasured(name)
        parts.append(f"## {title}\n\n{text}")
    return "\n".join(parts)


def mark(report: dict[str, Any]) -> str:
    """Return the tables of bench/mark.py."""
    sections = {
        "published": ("What the reversible mark changes: public 8-bit pictures", published),
        "medical": ("What the reversible mark changes: medical images", medical),
        "robust": ("What the robust mark survives", robust),
        "alarms": ("How often the robust mark is found by chance", alarms),
        "tamper": ("Edits told", tamper),
        "speed": ("Time", speed),
    }
    parts = []
    for name, (title, section) in sections.items():
        text = section(report[name]) if name in report else _unmeasured(f"mark --parts {name}")
        parts.append(f"### {title}\n\n{text}")
    return "\n".join(parts)


def published(found: dict[str, Any]) -> str:
    """Return PSNR beside the baselines."""
    methods = found["methods"]
    rows = []
    for one in found["images"]:
        for row in one["rows"]:
            psnr, goal = row["psnr"], row["goal"]
            best = max(value for value in psnr.values() if value is not None)
            cells = [_decibels(psnr[method], best) for method in methods]
            rows.append([one["image"], f"{row['bits']:,}", *cells, goal or ""])
    text = (
        "PSNR in dB at a net payload: everything that a reader needs is in the picture, and "
        "payload and picture came back bit for bit in every run. The best is bold. `tiles-1` is "
        "what the node sends: tiles that prove themselves, of which a part may be lost; *one tile* "
        "is a mark without that, as the literature measures; `tiles-2` is the finer one, `nodectl "
        "seal --embedder fine`. Baselines, in "
        "`bench/baselines`: rhombus prediction with sorting (Sachnev 2009), histogram shift (Ni "
        "2006), a compressed bit plane (Fridrich 2001). "
    )
    ours = FINE if FINE in methods else OURS
    goals = [
        (row["psnr"][ours], row["goal"])
        for one in found["images"]
        for row in one["rows"]
        if row["goal"]
    ]
    reached = sum(value is not None and value >= goal for value, goal in goals)
    rhombus = [
        row["psnr"][ours] - row["psnr"]["Sachnev 2009"]
        for one in found["images"]
        for row in one["rows"]
        if row["psnr"][ours] and row["psnr"]["Sachnev 2009"]
    ]
    if rhombus:
        text += (
            f"{ours} against Sachnev 2009: {statistics.median(rhombus):+.1f} dB in the median, "
            f"{min(rhombus):+.1f} to {max(rhombus):+.1f}. "
        )
    if goals:
        least = min(value - goal for value, goal in goals if value is not None)
        text += f"Goals reached: {reached} of {len(goals)}; furthest from one: {least:+.1f} dB."
    drawn = "\n![PSNR by picture and method](../bench/results/mark-published.svg)\n"
    head = ["picture", "bits", *methods, "goal"]
    return _about(found) + _prose(text) + _table(head, rows) + drawn


def medical(found: dict[str, Any]) -> str:
    """Return what payloads cost medical images."""
    rows = []
    methods = [
        name for name in ("tiles-1", OURS, FINE) if name in found["images"][0]["rows"][0]["found"]
    ]
    for one in found["images"]:
        for row in one["rows"]:
            cells: list[object] = []
            for method in methods:
                seen = row["found"].get(method)
                goal = PSNR_GOALS.get((one["image"], row["bytes"], method))
                said = f" (goal {goal})" if goal else ""
                cells += (
                    [f"{seen['psnr']:.1f} / {seen['psnr_data']:.1f}{said}",
                     f"±{seen['max_change']}", seen["tiles"]]
                    if seen
                    else ["does not fit" if method in row["found"] else "", "", ""]
                )  # fmt: skip
            rows.append([one["image"], f"{row['bytes']:,}", *cells])
    text = (
        "PSNR in dB against the range of the bits stored / against the image's own range, and the "
        "largest change of any sample. The first flatters deep images. Images of more than 2 "
        "million samples are never marked as one tile, but as few large ones."
    )
    columns = [cell for method in methods for cell in (method, "change", "tiles")]
    head = ["image", "payload, bytes", *columns]
    return _about(found) + _prose(text) + _table(head, rows)


def robust(found: dict[str, Any]) -> str:
    """Return what the robust marks survive."""
    methods = list(dict.fromkeys(row["method"] for row in found["attacks"]))
    images: dict[str, dict[str, Any]] = {}
    for one in found["images"]:
        images.setdefault(one["image"], {})[one["method"]] = one
    costs = [[name, *(_cost(by.get(method)) for method in methods)] for name, by in images.items()]
    by = {(row["attack"], row["method"]): row for row in found["attacks"]}
    rows = []
    for attack in dict.fromkeys(row["attack"] for row in found["attacks"]):
        cells = [_survived(by.get((attack, method))) for method in methods]
        rows.append([attack, *cells, _missed(by.get((attack, "robust-1")))])
    ours = [row for row in found["attacks"] if row["method"] == "robust-1"]
    exact = [one for one in found["images"] if one["method"] == "robust-1" and one["exact"]]
    text = (
        f"160 bits in each picture, {found['messages']} message(s), {found['seeds']} seed(s) of "
        "each attack; the same pictures, payloads, attacks and seeds for all. *Named*: the "
        "hospital is known (for packages: the payload that was looked for, with at most 42 of 160 "
        "bits wrong, by chance one picture in 10⁹). *Read*: every bit is right. Packages are told "
        "the size that the picture had before an attack changed it; ours is told nothing. "
        "invisible-watermark marks colour, of which a grey picture keeps nothing: here its coders "
        "get the brightness."
    )
    after = (
        f"Ours was taken out again exactly in {len(exact)} of {len(images)} pictures; packages "
        f"cannot. Over all attacks ours was named in {_sum(ours, 'named')} and read in "
        f"{_sum(ours, 'read')}"
    )
    return (
        _about(found)
        + _prose(text)
        + "PSNR of the displayed picture, dB:\n\n"
        + _table(["picture", *methods], costs)
        + "\nNamed / read, of the copies of each attack; the 95 % Wilson interval of *read*:\n\n"
        + _table(["attack", *methods, "ours did not name"], rows)
        + "\n"
        + _prose(after + ".")
        + "![copies read, by attack and method](../bench/results/mark-robust.svg)\n"
    )


def alarms(found: dict[str, Any]) -> str:
    """Return how far chance gets where nobody wrote what is looked for."""
    tail, words = found["in_place_tail"], found["in_place"]
    text = (
        "Goal: a picture is named wrongly at most once in 10⁶, all places that are tried and all "
        f"words that are looked for included (`node/mark/chance.py`). {words:,} random words were "
        "scored in place, in pictures without a mark and in pictures that a stranger marked. Their "
        f"spread is at most {found['in_place_rms']}, 1 being that of chance; 3, 4 and 5 were "
        f"reached by {tail[0]:,}, {tail[1]:,} and {tail[2]:,} (of normal deviates "
        f"{words * 2.7e-3:,.0f}, {words * 6.33e-5:,.0f} and {words * 5.73e-7:,.1f}), the most was "
        f"{found['in_place_max']}; at least {found['in_place_enough']} is needed."
    )
    if "searched" in found:
        text += (
            f" {found['searched']} whole searches of {found['searched_pictures']} pictures without "
            f"a mark, each for another random word, found {found['peaks']} places that stand out "
            f"by {found['peaks_from']} or more, the best by {found['searched_max']}. "
            "Half the squares beyond that "
            f"have a mean of {found['peaks_scale']} (at most {found['peaks_scale_95']}, 95 %, by "
            "drawing again), normal deviates about 1. So one word in one search reaches the "
            f"{found['searched_enough']} that is needed with a chance of "
            f"{found['searched_chance']:.1g}, at most {found['searched_chance_95']:.1g} (95 %); "
            f"{found['share']:.1g} is allowed. For 100 words {found['many_enough']} is needed, "
            f"reached with a chance of {found['many_chance']:.1g}. In pictures that a stranger had "
            f"marked {found['strangers']} words were searched for, and {found['strangers_named']} "
            "named."
        )
    return _about(found) + _prose(text)


def tamper(found: dict[str, Any]) -> str:
    """Return the edits that were told."""
    rows = []
    for kind, seen in found["kinds"].items():
        edits = seen["edits"]
        may = seen.get("placeable", 0)
        rows.append(
            [
                kind, f"{edits:,}", f"{edits - seen['told']:,}",
                f"{seen.get('placed', 0):,} of {may:,}" if may else "",
                f"{seen.get('restored', 0):,} of {may:,}" if may else "",
            ]
        )  # fmt: skip
    edits = sum(seen["edits"] for seen in found["kinds"].values())
    missed = sum(seen["edits"] - seen["told"] for seen in found["kinds"].values())
    may = sum(seen.get("placeable", 0) for seen in found["kinds"].values())
    lost = may - sum(seen.get("placed", 0) for seen in found["kinds"].values())
    text = (
        f"{edits:,} edits, **{missed:,} untold** (goal: 0 of 100,000). An edit is *placed* if "
        "every sample that it changed lies in a tile called altered, and every such tile holds "
        "one; asked where enough of the mark was left to read the payload. *Rest restored*: "
        f"everything outside these tiles is the original. Of {may:,} edits {lost:,} were told, but "
        "not placed: tiles that carry nothing have tags of one byte of their own, which one edit "
        "in 256 meets. The tag over all of them tells the edit all the same, but not where; of an "
        "edit of many tiles one may so stay unnamed. False alarms: "
        f"{found['untouched_alarms']} in {found['untouched']} marked images that nobody touched, "
        f"{found['unmarked_alarms']} in {found['unmarked']} files that were never marked "
        f"({found['unmarked_skipped']} more hold no pixels that can be read)."
    )
    head = ["edit", "edits", "untold", "placed", "rest restored"]
    return _about(found) + _prose(text) + _table(head, rows)


def speed(found: dict[str, Any]) -> str:
    """Return the CPU time of the mark."""
    rows = []
    for one in found["images"]:
        cells = []
        for work in ("embed", "extract"):
            taken, goal = one[work], SPEED_GOALS.get((one["name"], work))
            said = "does not fit" if taken is None else f"{taken * 1e3:.1f}"
            cells.append(f"{said} (goal {goal:g})" if goal else said)
        rows.append([one["name"], f"{one['megabytes']:.1f}", f"{one['payload']:,}", *cells])
    text = (
        "Milliseconds of CPU time on one core, the least of some runs after one that does not "
        "count. Goals are for 1 KB."
    )
    return (
        _about(found)
        + _prose(text)
        + _table(["image", "MB", "payload, bytes", "embed", "read"], rows)
    )


def node(report: dict[str, Any]) -> str:
    """Return store-and-forward beside Orthanc, a table for each section."""
    text = (
        "Each system in turn, same sender and sink: the node receives, seals, proves and "
        "forwards; Orthanc only receives and forwards. Medians, with the least and the most; "
        "memory of all processes, what they share counted once (PSS) or in each (RSS)."
    )
    parts = [_about(report) + _prose(text)]
    for name, section in report["results"].items():
        size = section["bytes"] / 1e6
        parts.append(
            f"**{name}**: {section['count']} objects of {size:.2f} MB\n\n" + _race(section)
        )
    if rows := report.get("latency"):
        p50, p99 = (_spread([row[key] for row in rows]) for key in ("p50", "p99"))
        pss, rss = (_spread([row[key] for row in rows]) for key in ("pss", "rss"))
        parts.append(
            f"**latency**: a CT's C-STORE at 4 associations is answered after {p50} ms in the "
            f"median, {p99} ms at the 99th percentile (goal: 100 ms); memory of the node then: "
            f"{pss} MiB PSS, {rss} MiB RSS (goal: 400 MiB).\n"
        )
    return "\n".join(parts)


def idle(report: dict[str, Any]) -> str:
    """Return the processes of a node at rest."""
    start, after = report["memory_at_start"], report["memory_after_images"]
    grew = "; ".join(f"{size}: {grown} MiB" for size, grown in report["receiver_grew"].items())
    text = (
        f"With no association a node takes {report['cpu_percent_alone']['all']} % of one core, "
        f"with {report['associations']} idle ones {report['cpu_percent_idle']['all']} % (goal: 1), "
        f"each measured over {report['seconds']:.0f} s. "
        f"So much does the receiving process grow by an object of a size, at its highest: {grew}. "
        "Memory in MiB, what processes share counted once for all (PSS) or in each (RSS), after "
        "the start and after images were sealed and sent:"
    )
    rows = [
        [name.split()[0], before["pss"], before["rss"], one["pss"], one["rss"]]
        for name, one in after["each"].items()
        if (before := start["each"].get(name))
    ]
    rows.append(["all (goal: 400)", start["pss"], start["rss"], after["pss"], after["rss"]])
    head = ["process", "PSS at start", "RSS at start", "PSS after", "RSS after"]
    return _about(report) + _prose(text) + _table(head, rows)


def _race(section: dict[str, Any]) -> str:
    rows, key = [], "e2e" if section["forward"] else "recv"
    for associations, table in section["runs"].items():
        ours = statistics.median(run[key] for run in table["node"])
        for name, runs in table.items():
            values = {part: [run[part] for run in runs] for part in runs[0]}
            rate, goal = statistics.median(values[key]), section["goals"].get(name)
            rows.append([
                associations, name, _spread(values["e2e"]) if section["forward"] else "",
                _spread(values["recv"]), f"{rate * section['bytes'] / 1e6:.0f}",
                _spread(values["cpu"]), f"{max(values['pss']):.0f} / {max(values['rss']):.0f}",
                "" if name == "node" else f"{ours / rate:.2f}x", f"{goal}x" if goal else "",
            ])  # fmt: skip
    head = ["associations", "system", "end to end, images/s", "received, images/s", "MB/s",
            "CPU, ms an image", "PSS / RSS, MiB", "node is", "goal"]  # fmt: skip
    return _table(head, rows)


def retrieve(report: dict[str, Any]) -> str:
    """Return C-MOVE through the node beside the PACS's own, and false alarms."""
    parts = []
    if "throughput" in report:
        found = report["throughput"]
        text = (
            f"{found['count']} objects of {found['bytes'] / 1e6:.2f} MB that Orthanc holds sealed "
            "go by C-MOVE to storescp: straight from Orthanc, through the node that verifies each, "
            "and through the node that verifies and restores each, in turns. Medians, with the "
            "least and the most."
        )
        direct = statistics.median(run["rate"] for run in found["runs"]["direct"])
        rows = [
            [name, _spread([run["rate"] for run in runs]), _spread([run["cpu"] for run in runs]),
             f"{statistics.median(run['rate'] for run in runs) / direct:.2f}x"
             if name in found["goals"] else "",
             f"{found['goals'][name]}x" if name in found["goals"] else ""]
            for name, runs in found["runs"].items()
        ]  # fmt: skip
        head = ["C-MOVE", "images/s", "CPU of the node, ms an image", "of the PACS's own", "goal"]
        parts.append(_about(found) + _prose(text) + _table(head, rows))
    if "untouched" in report:
        found = report["untouched"]
        verdicts = ", ".join(f"{count:,} {word}" for word, count in found["verdicts"].items())
        parts.append(
            _about(found)
            + _prose(
                f"{sum(found['verdicts'].values()):,} different objects, sealed and judged as a "
                f"PACS gives them back untouched: {verdicts}; {found['cpu']:.1f} ms of CPU to "
                "judge one. Goal: no false alarm."
            ).rstrip("\n")
            + "\n"
        )
    return "\n".join(parts)


def shares(report: dict[str, Any]) -> str:
    """Return splitting and combining."""
    rows = [
        [row["scheme"], f"{row['k']} of {row['n']}", row["work"], f"{row['median']:.0f}",
         f"{row['best']:.0f}", row["goal"] or "", f"{row['expansion']:.2f}"]
        for row in report["rows"] if not row["bound"]
    ]  # fmt: skip
    rows += [
        ["for comparison", "", row["work"], f"{row['median']:.0f}", f"{row['best']:.0f}", "", ""]
        for row in report["comparison"]
    ]
    text = (
        f"{report['size']:,} bytes, signed, one thread, {report['rounds']} rounds: MB of object a "
        "second. `docs/shares.md` says what the columns mean."
    )
    head = ["scheme", "shares", "work", "median", "best", "goal", "size of all"]
    return _about(report) + _prose(text) + _table(head, rows)


def spool(report: dict[str, Any]) -> str:
    """Return what the spool does in a second."""
    return _about(report) + "\n".join(f"- {line.strip()}" for line in report["lines"]) + "\n"


def classical(report: dict[str, Any]) -> str:
    """Return what the classical methods survive."""
    text = (
        f"Payloads of {report['bytes']} bytes that read back exactly, of {report['tries']} marked "
        "pictures. None of these methods is reversible; `docs/embedders.md` describes them."
    )
    methods = report["methods"]
    rows = [[name, *cells] for name, cells in report["rows"].items()]
    return _about(report) + _prose(text) + _table(["", *methods], rows)


def _about(found: dict[str, Any]) -> str:
    if "command" not in found:
        return f"{found['machine']}.\n\n"
    said = f"`{found['command']}`, {found['date']}, {found['machine']}, load {found['load']}; "
    said += f"{found['software']}."
    return _prose(f"{said} {BUSY}" if found["busy"] else said)


def _prose(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n\n"


def _unmeasured(name: str) -> str:
    return f"Not measured yet: `scripts/bench {name}`, then `scripts/docs`.\n"


def _decibels(value: float | None, best: float) -> str:
    if value is None:
        return "no room"
    return f"**{value:.1f}**" if value == best else f"{value:.1f}"


def _cost(one: dict[str, Any] | None) -> str:
    if one is None or one["psnr"] is None:
        return one["skipped"] if one else ""
    return f"{one['psnr']:.1f}"


def _survived(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    low, high = row["read_95"]
    return f"{row['named']} / {row['read']} of {row['count']} [{low:.0%} to {high:.0%}]"


def _missed(row: dict[str, Any] | None) -> str:
    return ", ".join(row["missed"]) if row else ""


def _sum(rows: Iterable[dict[str, Any]], key: str) -> str:
    rows = list(rows)
    return f"{sum(row[key] for row in rows)} of {sum(row['count'] for row in rows)} copies"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f} to {max(values):.1f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines) + "\n"

"""An access report as a table, CSV, JSON or a page to print."""

from __future__ import annotations

import csv
import html
import io
from typing import TYPE_CHECKING, Any

from node.audit.line import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.accounts.access import Access

COLUMNS = {
    "time": "TIME (UTC)",
    "event": "EVENT",
    "outcome": "OUTCOME",
    "actor": "WHO",
    "object": "OBJECT",
    "PatientID": "PATIENT ID",
    "PatientName": "NAME",
    "AccessionNumber": "ACCESSION",
    "more": "MORE",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
@page {{ size: A4 landscape; margin: 12mm }}
body {{ font: 10pt/1.35 "DejaVu Sans", Arial, sans-serif; color: #111; margin: 1.5em }}
h1 {{ font-size: 15pt; margin: 0 0 .3em }} p {{ margin: .2em 0 }} .about {{ color: #444 }}
table {{ border-collapse: collapse; width: 100%; margin-top: 1em; font-size: 8.5pt }}
thead {{ display: table-header-group }} tr {{ break-inside: avoid }}
th, td {{ text-align: left; vertical-align: top; padding: 3px 6px; border-bottom: 1px solid #bbb;
  overflow-wrap: anywhere }}
th {{ border-bottom: 2px solid #333; white-space: nowrap; font-size: 7.5pt }}
td:first-child {{ white-space: nowrap }}
tr.failure td:nth-child(3), tr.refused td:nth-child(3) {{ font-weight: bold; color: #a00 }}
</style></head><body>
<h1>{title}</h1>
{about}
<table><thead><tr>{heads}</tr></thead><tbody>
{rows}
</tbody></table>
</body></html>"""
RISKY = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for a formula


def row(access: Access) -> dict[str, Any]:
    """Return one event as the columns of a report show it."""
    time = f"{timestamp(access.at)[:19].replace('T', ' ')}"
    more = [access.note] if access.note else []
    more += [f"{key}={value}" for key, value in access.facts.items() if value != ""]
    cells = {
        "time": time, "event": access.event, "outcome": access.outcome, "actor": access.actor,
        "object": access.object, "more": ", ".join(more),
    }  # fmt: skip
    return {key: cells.get(key) or access.patient.get(key, "") for key in COLUMNS}


def facts(access: Access) -> dict[str, Any]:
    """Return one event as a script reads it."""
    return {
        "seq": access.seq, "ts": timestamp(access.at), "event": access.event,
        "actor": access.actor, "outcome": access.outcome, "object": access.object,
        "patient": access.patient, "note": access.note, "facts": access.facts,
    }  # fmt: skip


def comma_separated(found: Sequence[Access]) -> str:
    """Return events as CSV (RFC 4180) with a line of titles."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for access in found:
        writer.writerow([_harmless(str(cell)) for cell in row(access).values()])
    return text.getvalue().rstrip("\n")


def page(found: Sequence[Access], title: str, about: Sequence[str]) -> str:
    """Return events as one HTML page that prints well and loads nothing.

    :param about: lines that say what was asked for, by whom, and what proves it.
    """
    rows = [
        f'<tr class="{html.escape(access.outcome)}">'
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row(access).values())
        + "</tr>"
        for access in found
    ]
    return PAGE.format(
        title=html.escape(title),
        about="\n".join(f'<p class="about">{html.escape(line)}</p>' for line in about),
        heads="".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS.values()),
        rows="\n".join(rows),
    )


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(RISKY) else cell

"""Write configuration files in which every option stands with its line of explanation.

What was chosen is set; everything else is commented out with its default, so
that the file is its own manual.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from node.config.attachments import AttachmentSettings
from node.config.audit import AuditSettings, SyslogSettings
from node.config.keys import KeySettings
from node.config.schema import (
    DestinationTable,
    HospitalTable,
    ProfileTable,
    QualityTable,
    RouteTable,
    SourceTable,
    TestTable,
    TlsTable,
    WorkstationTable,
)
from node.config.settings import NodeSettings, Timeouts
from node.config.signing import SignerTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Chosen = Mapping[str, Any]

NODE_HEAD = """\
# The node, the modalities that may send to it, the PACS that it sends to, and who may ask.
# 'nodectl check' tells every mistake in this file; an option that is commented
# out has the value shown. Paths are relative to this folder.
"""
ROUTES_HEAD = """\
# What happens to which objects. The files of this folder are read in the order
# of their names; the first route that matches wins; what matches none is held.
# [source.*], [workstation.*], [destination.*], [hospital.*], [profile.*], [quality.*],
# [signer.*] and [tls.*] may stand here, too.
#
# A route matches on facts of the association (source, calling_aet, called_aet,
# address) and on attributes by their DICOM keywords (Modality, StationName ...).
# 'nodectl explain FILE --source NAME' shows what a route would do and why.
"""
DEMO_SOURCE = {"aet": "DEMO", "addresses": ["127.0.0.0/8", "::1/128"]}
DEMO_DESTINATION = {"aet": "PACS", "host": "127.0.0.1", "port": 4242}


def node_toml(
    node: Chosen, sources: Mapping[str, Chosen], destinations: Mapping[str, Chosen]
) -> str:
    """Return a ``node.toml`` with what was chosen."""
    parts = [NODE_HEAD, _table("[node]", NodeSettings, node), _table("[node.timeouts]", Timeouts)]
    parts.append(_table("[keys]", KeySettings))
    parts += [_table("[audit]", AuditSettings), _table("[syslog]", SyslogSettings)]
    parts.append(_table("[attachments]", AttachmentSettings))
    parts += [_table(f"[source.{name}]", SourceTable, it) for name, it in sources.items()]
    parts += [
        _table(f"[destination.{name}]", DestinationTable, it) for name, it in destinations.items()
    ]
    parts.append(_table("#[workstation.viewer1]", WorkstationTable))
    parts.append(_table("#[hospital.own]", HospitalTable))
    parts.append(_table("#[quality.CT]", QualityTable))
    parts.append(_table("#[profile.research]", ProfileTable))
    parts.append(_table("#[signer.hospital]", SignerTable))
    parts.append(_table("#[tls.hospital-ca]", TlsTable))
    return "\n".join(parts)


def routes_toml(route: Chosen, test: Chosen) -> str:
    """Return a file of ``routes.d`` with one route and one test."""
    parts = [ROUTES_HEAD, _table("[[route]]", RouteTable, route)]
    parts.append(_table("[[test]]", TestTable, test))
    return "\n".join(parts)


def examples() -> dict[str, str]:
    """Return the example configuration: paths below its directory, and texts."""
    source, destination = {"demo": DEMO_SOURCE}, {"pacs-main": DEMO_DESTINATION}
    return {
        "node.toml": node_toml({}, source, destination),
        "routes.d/10-example.toml": routes_toml(*default_route(["demo"], "pacs-main")),
    }


def default_route(sources: list[str], destination: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a route that seals all that the sources send, and its test."""
    route = {
        "name": "default",
        "match": {"source": sources},
        "action": "seal",
        "to": [destination],
    }
    given = {"source": sources[0], "Modality": "CT"}
    expect = {"route": "default", "action": "seal", "to": [destination]}
    return route, {"given": given, "expect": expect}


def toml(value: object) -> str:
    """Return a value as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float() | str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(toml(item) for item in value)}]"
        case dict():
            inner = ", ".join(f"{key} = {toml(item)}" for key, item in value.items())
            return f"{{ {inner} }}"
        case _:
            raise TypeError(f"{type(value).__name__} has no TOML form")


def _table(head: str, kind: type, chosen: Chosen | None = None) -> str:
    about = (kind.__doc__ or "").partition(": ")[2].partition(". ")[0].rstrip(".")
    return "\n".join([f"# {about}", head, *_options(kind, chosen or {})]) + "\n"


def _options(kind: Any, chosen: Chosen) -> Iterator[str]:
    for item in fields(kind):
        default, example = item.metadata["default"], item.metadata["example"]
        if item.name == "timeouts":
            continue  # has a table of its own
        yield f"# {item.metadata['doc']}"
        if item.name in chosen:
            yield f"{item.name} = {toml(chosen[item.name])}"
        else:
            yield f"#{item.name} = {toml(example if example is not None else default)}"

"""Read a configuration directory: ``node.toml`` and ``routes.d/*.toml``.

Promises to report every mistake at once, and never to return a configuration
that has one. Reads only; creates nothing.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from node.config.attachments import AttachmentSettings
from node.config.audit import AuditSettings, SyslogSettings
from node.config.config import Config, Hospital, RouteTest, SignerFiles, TlsFiles, Workstation
from node.config.keys import KeySettings
from node.config.quality import merged
from node.config.references import (
    Found,
    mistakes_between,
    mistakes_of_break_glass,
    mistakes_of_destination,
    mistakes_of_shares,
)
from node.config.schema import (
    PRIORITIES,
    DestinationTable,
    ExpectTable,
    HospitalTable,
    ProfileTable,
    QualityTable,
    RouteTable,
    SharesTable,
    SourceTable,
    TestTable,
    TlsTable,
    WorkstationTable,
)
from node.config.settings import NodeSettings
from node.config.signing import SignerTable
from node.config.tables import table
from node.config.values import MistakeError, modality, name, nearest, shown
from node.errors import ConfigError
from node.types import Action, Destination, Profile, Route, Source, Unsealable

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

# tables such as [source.NAME]
NAMED = ("source", "workstation", "destination", "hospital", "profile", "quality", "signer", "tls")
SINGLE = ("node", "keys", "audit", "attachments", "syslog")  # stand in node.toml alone
MAX_FILE = 1 << 20  # bytes; a larger file is no configuration
WRITABLE_BY_ALL = 0o002
HINT = "docs/configure.md shows how each table is written"


def load(directory: Path) -> Config:
    """Return the configuration in a directory.

    :raises ConfigError: with every mistake found, each as ``file: key path: what``.
    """
    directory = directory.absolute()
    found = Found(directory)
    main = directory / "node.toml"
    if not main.is_file():
        raise ConfigError(
            [f"node.toml: there is no such file in {directory}"],
            hint=f"'nodectl init {directory}' writes a configuration there",
        )
    for folder in (directory, directory / "routes.d"):
        _refuse_open(folder, f"{folder.name}/", found)
    _read_file(main, (*SINGLE, *NAMED), found)
    for path in sorted((directory / "routes.d").glob("*.toml")):
        _read_file(path, (*NAMED, "route", "test"), found)
    if found.node is None:
        found.node = _node(table(NodeSettings)({}), directory)
    found.attachments = found.attachments or table(AttachmentSettings)({})
    found.audit = found.audit or _audit(table(AuditSettings)({}), directory)
    found.syslog = found.syslog or table(SyslogSettings)({})
    found.keys = found.keys or _keys(table(KeySettings)({}), directory)
    if found.whole:
        found.mistakes += mistakes_between(found)
    if found.mistakes:
        raise ConfigError(found.mistakes, hint=HINT)
    return Config(
        node=found.node,
        sources=found.sources,
        destinations=found.destinations,
        routes=tuple(route for _place, route in found.routes),
        tests=tuple(found.tests),
        tls=found.tls,
        workstations=found.workstations,
        hospitals=found.hospitals,
        quality=found.quality,
        profiles=found.profiles,
        signers=found.signers,
        directory=directory,
        audit=found.audit,
        attachments=found.attachments,
        syslog=found.syslog,
        keys=found.keys,
    )


def _read_file(path: Path, allowed: tuple[str, ...], found: Found) -> None:
    file = str(path.relative_to(found.directory))
    document = _parse(path, file, found)
    for key, value in document.items():
        if key not in allowed:
            found.mistakes.append(f"{file}: {shown(key)}: {_misplaced(key, allowed)}")
        elif key == "node":
            settings = _table(NodeSettings, value, f"{file}: node", found)
            found.node = settings and _node(settings, found.directory)
        elif key == "audit":
            noting = _table(AuditSettings, value, f"{file}: audit", found)
            found.audit = noting and _audit(noting, found.directory)
        elif key == "keys":
            keying = _table(KeySettings, value, f"{file}: keys", found)
            found.keys = keying and _keys(keying, found.directory)
        elif key == "attachments":
            given = _table(AttachmentSettings, value, f"{file}: attachments", found)
            found.attachments = given and _attachments(given, found.directory)
        elif key == "syslog":
            found.syslog = _table(SyslogSettings, value, f"{file}: syslog", found)
        elif key in ("route", "test"):
            _read_list(key, value, file, found)
        else:
            _read_named(key, value, file, found)


def _parse(path: Path, file: str, found: Found) -> dict[str, Any]:
    try:
        _refuse_open(path, file, found)
        return tomllib.loads(_bounded(path).decode("utf-8"))
    except OSError as error:
        found.mistakes.append(f"{file}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        found.mistakes.append(f"{file}: is not UTF-8 (byte {error.start})")
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        found.mistakes.append(f"{file}: syntax: {_lowered(str(error))}")
    except RecursionError:
        found.mistakes.append(f"{file}: syntax: tables or lists are nested too deep")
    found.whole = False
    return {}


def _refuse_open(path: Path, shown_as: str, found: Found) -> None:
    if path.exists() and path.stat().st_mode & WRITABLE_BY_ALL:
        found.mistakes.append(f"{shown_as}: everyone on this machine may write it (chmod o-w)")


def _bounded(path: Path) -> bytes:
    with path.open("rb") as stream:
        raw = stream.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise ValueError(f"the file is longer than {MAX_FILE} bytes")
    return raw


def _read_named(kind: str, value: object, file: str, found: Found) -> None:
    if not isinstance(value, dict):
        found.mistakes.append(f"{file}: {kind}: must be tables such as [{kind}.NAME]")
        return
    for own, raw in value.items():
        place = f"{file}: {kind}.{own}"
        try:
            (modality if kind == "quality" else name)(own)
        except MistakeError as error:
            found.mistakes.append(f"{file}: {kind}.{shown(own)}: the name {error}")
            continue
        earlier = found.places.setdefault((kind, own), place)
        if earlier != place:
            found.mistakes.append(f"{place}: stands in {earlier.split(':')[0]}, too")
            continue
        _read_one(kind, own, raw, found)


def _read_one(kind: str, own: str, raw: object, found: Found) -> None:
    place = found.places[kind, own]
    if kind == "source" and (source := _table(SourceTable, raw, place, found)):
        found.sources[own] = Source(name=own, **_peer(source, found))
    elif kind == "workstation" and (asking := _table(WorkstationTable, raw, place, found)):
        found.workstations[own] = Workstation(name=own, **_peer(asking, found))
    elif kind == "destination" and (peer := _table(DestinationTable, raw, place, found)):
        found.mistakes += [f"{place}.{mistake}" for mistake in mistakes_of_destination(peer)]
        found.destinations[own] = _destination(own, peer, found.directory)
    elif kind == "hospital" and (hospital := _table(HospitalTable, raw, place, found)):
        logo = "" if hospital.logo is None else str(found.directory / hospital.logo)
        mark = bytes.fromhex(hospital.mark)
        found.hospitals[own] = Hospital(own, hospital.title, mark, logo)
    elif kind == "quality" and (allowed := _table(QualityTable, raw, place, found)):
        found.quality[own] = merged(own, allowed)
    elif kind == "profile" and (profile := _table(ProfileTable, raw, place, found)):
        said = {key: value for key, value in _values(profile).items() if value is not None}
        paths = tuple(str(found.directory / path) for path in said.pop("certificates", ()))
        found.profiles[own] = Profile(name=own, **said, certificates=paths)
    elif kind == "signer" and (signer := _table(SignerTable, raw, place, found)):
        base = found.directory
        found.signers[own] = SignerFiles(own, base / signer.certificate, base / signer.key)
    elif kind == "tls" and (tls := _table(TlsTable, raw, place, found)):
        base = found.directory
        found.tls[own] = TlsFiles(
            own, base / tls.ca, base / tls.certificate, base / tls.key, tls.mutual
        )


def _read_list(kind: str, value: object, file: str, found: Found) -> None:
    if not isinstance(value, list):
        found.mistakes.append(f"{file}: {kind}: must be a list of tables, each begun by [[{kind}]]")
        return
    for number, raw in enumerate(value, start=1):
        place = f"{file}: {kind}[{number}]"
        if kind == "route":
            _read_route(raw, place, file, found)
        elif test := _table(TestTable, raw, place, found):
            expect = test.expect
            action = None if expect.action is None else Action(expect.action)
            found.tests.append(RouteTest(place, test.given, expect.route, action, expect.to))


def _read_route(raw: object, place: str, file: str, found: Found) -> None:
    own = raw.get("name") if isinstance(raw, dict) else None
    if isinstance(own, str) and own:
        place = f"{file}: route.{shown(own)}"
        if ("route", own) in found.places:
            earlier = found.places["route", own].split(":")[0]
            found.mistakes.append(f"{place}.name: a route in {earlier} has this name, too")
        found.places["route", own] = place
    route = _table(RouteTable, raw, place, found)
    if route is None:
        return
    action = Action(route.action)
    sends = action in (Action.SEAL, Action.RELAY)
    shares = route.shares
    if sends and not route.to and not shares:
        found.mistakes.append(f"{place}.to: is missing; {action.value} needs destinations")
    found.mistakes += [f"{place}.{mistake}" for mistake in mistakes_of_shares(route)]
    found.mistakes += [f"{place}.{mistake}" for mistake in mistakes_of_break_glass(route)]
    to = shares.to if shares else route.to or ()
    noun = Route(
        name=route.name,
        match=route.match,
        action=action,
        to=to if sends else (),
        unsealable=Unsealable(route.unsealable),
        identity=route.identity,
        uid=route.uid or ("derive" if route.identity == "pseudonym" else "keep"),
        profile=route.profile,
        logo="" if route.logo is None else str(found.directory / route.logo),
        lossy=route.lossy,
        robust=route.robust,
        recipient=route.recipient,
        visible=route.visible,
        recovery=route.recovery,
        priority=PRIORITIES[route.priority],
        threshold=shares.k if shares else 0,
        attachments=route.attachments,
        sign=route.sign,
        break_glass=route.break_glass,
    )
    found.routes.append((place, noun))


def _table(kind: type[T], raw: object, place: str, found: Found) -> T | None:
    try:
        read: T = table(kind)(raw)
    except MistakeError as error:
        for key, what in error.found:
            found.mistakes.append(f"{place}.{key}: {what}" if key else f"{place}: {what}")
        _note_names(kind, error.sound, place, found)
        return None
    _note_names(kind, _values(read), place, found)
    return read


def _peer(read: Any, found: Found) -> dict[str, Any]:
    """The values of a table of a peer; its passcode file as a path that stands alone."""
    values = _values(read)
    passcode = values["passcode"]
    return values | {"passcode": "" if passcode is None else str(found.directory / passcode)}


def _destination(own: str, peer: DestinationTable, directory: Path) -> Destination:
    files = {key: getattr(peer, key) for key in ("token", "password")}
    return Destination(
        name=own,
        **_values(peer)
        | {key: str(directory / file) if file else "" for key, file in files.items()}
        | {"calls_from": peer.calls_from or (), "aet": peer.aet or "", "host": peer.host or "",
           "port": peer.port or 0, "url": peer.url or ""},
    )  # fmt: skip


def _values(read: Any) -> dict[str, Any]:
    return {item.name: getattr(read, item.name) for item in fields(read)}


def _note_names(kind: Any, values: dict[str, Any], place: str, found: Found) -> None:
    for item in fields(kind):
        value, below = values.get(item.name), f"{place}.{item.name}"
        if item.name in ("match", "given"):
            found.names.append((f"{below}.source", "source", (value or {}).get("source", ())))
        elif item.metadata["names"] and value:
            names = (value,) if isinstance(value, str) else value
            found.names.append((below, item.metadata["names"], names))
        elif isinstance(value, (ExpectTable, SharesTable)):
            _note_names(type(value), _values(value), below, found)


def _node(settings: NodeSettings, directory: Path) -> NodeSettings:
    return replace(settings, state=directory / settings.state, keys=directory / settings.keys)


def _keys(settings: KeySettings, directory: Path) -> KeySettings:
    module = settings.pkcs11_module
    return replace(
        settings, pkcs11_module=module and directory / module, pin=directory / settings.pin
    )


def _audit(settings: AuditSettings, directory: Path) -> AuditSettings:
    witness = settings.witness
    return replace(settings, witness=witness and directory / witness)


def _attachments(settings: AttachmentSettings, directory: Path) -> AttachmentSettings:
    folder, token = settings.folder, settings.fhir_token
    return replace(
        settings, folder=folder and directory / folder, fhir_token=token and directory / token
    )


def _misplaced(key: str, allowed: tuple[str, ...]) -> str:
    if key in SINGLE:
        return "belongs into node.toml"
    if key in ("route", "test"):
        return f"belongs into a file of routes.d, such as routes.d/10-{key}s.toml"
    return f"unknown key{nearest(key, allowed)}"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]

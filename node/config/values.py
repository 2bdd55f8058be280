"""How one TOML value is read: each reader returns what the node uses, or says what is wrong.

Units are written out (``"15s"``, ``"512MiB"``), so that a reader of the file
needs no manual. Nothing here knows files or tables.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from node.types import ROUTING_KEYWORDS, SafePrivate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Reader = Callable[[object], Any]

FACTS = ("source", "calling_aet", "called_aet", "address")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MAX_TEXT = 1024  # characters of any value
MAX_KEY = 64  # characters of a key that are shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")
_PRIVATE = re.compile(r"([0-9A-Fa-f]{3}[13579BDFbdf]),([0-9A-Fa-f]{2}),([ -~]{1,64})")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]{0,252}[A-Za-z0-9])?|::1?")
_AET = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")  # PS3.5 6.2, AE: no backslash, no control
_MODALITY = re.compile(r"[A-Z][A-Z0-9_]{0,15}")  # PS3.5 6.2, CS
_PATIENT = re.compile(r"Patient|OtherPatient|Accession|Physician|Birth|StudyInstanceUID|Issuer")


class MistakeError(ValueError):
    """One or several mistakes in a value.

    :param found: pairs of (key below the value, what is wrong); the key is
        ``""`` where the value itself is wrong.
    :param sound: what a table says besides, by key.
    """

    def __init__(self, *found: tuple[str, str] | str, sound: dict[str, Any] | None = None) -> None:
        self.sound = sound or {}
        self.found = [("", item) if isinstance(item, str) else item for item in found]
        super().__init__("; ".join(message for _key, message in self.found))

    def below(self, key: str) -> list[tuple[str, str]]:
        """Return what was found with its keys as seen from one level up."""
        return [
            (f"{key}.{inner}" if key and inner and inner[0] != "[" else key + inner, message)
            for inner, message in self.found
        ]


def shown(key: str) -> str:
    """Return a key as one short line, whatever somebody wrote there."""
    cut = key if len(key) <= MAX_KEY else key[:MAX_KEY] + "..."
    return cut if cut.isprintable() and cut else repr(cut)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean "x"?)`` for the known name most like ``word``, or ``""``."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f' (did you mean "{folded[close[0]]}"?)' if close else ""


def text(value: object) -> str:
    """Read printable text that is not empty."""
    if not isinstance(value, str):
        raise MistakeError(f"must be text in quotes, not {_kind(value)}")
    if not value:
        raise MistakeError("is empty")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise MistakeError("holds control characters or is too long")
    return value


def name(value: object) -> str:
    """Read a name that can stand in a log, a metric and a file."""
    word = text(value)
    if not _NAME.fullmatch(word):
        raise MistakeError(
            "must be 1 to 64 of letters, digits, dot, underscore and hyphen, "
            "beginning with a letter or digit"
        )
    return word


def optional_name(value: object) -> str:
    """Read a name, or ``""`` for none."""
    return "" if value == "" else name(value)


def ae_title(value: object) -> str:
    """Read an application entity title: 1 to 16 characters (PS3.5 6.2)."""
    title = text(value)
    if not _AET.fullmatch(title) or title != title.strip():
        raise MistakeError(
            "must be an AE title: 1 to 16 ASCII characters, no backslash, no space at the ends"
        )
    return title


def host(value: object) -> str:
    """Read a host name or an address."""
    word = text(value)
    if not _HOST.fullmatch(word):
        raise MistakeError("must be a host name or an address, without a port")
    return word


def optional_host(value: object) -> str:
    """Read a host name or an address, or ``""`` for none."""
    return "" if value == "" else host(value)


def web_address(value: object) -> str:
    """Read the address of a web service: https, or http on this machine."""
    word = text(value)
    try:
        parts = urlsplit(word)
        known = parts.port is None or parts.port > 0
    except ValueError:
        known = False
    if not known or not word.isascii() or " " in word or not _HOST.fullmatch(parts.hostname or ""):
        raise MistakeError('must be an address such as "https://cloud.example.org/dicom-web"')
    if parts.username is not None or parts.query or parts.fragment:
        raise MistakeError("must hold no user, no question mark and no number sign")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
        raise MistakeError('must begin with "https://"; "http://" is for this machine alone')
    return word.rstrip("/")


def _loopback(name: str | None) -> bool:
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return name == "localhost"


def path(value: object) -> Path:
    """Read a path; it stays relative until the loader joins it to the directory."""
    return Path(text(value))


def network(value: object) -> str:
    """Read a network in CIDR form, or one address."""
    word = text(value)
    try:
        return str(ipaddress.ip_network(word))
    except ValueError:
        pass
    try:
        whole = ipaddress.ip_network(word, strict=False)
    except ValueError:
        message = 'must be an address or a network such as "10.0.1.0/24"'
    else:
        message = f'has bits set beyond its prefix (did you mean "{whole}"?)'
    raise MistakeError(message)


def flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise MistakeError(f"must be true or false, not {_kind(value)}")
    return value


def integer(low: int, high: int) -> Reader:
    """Return a reader of whole numbers from ``low`` to ``high``."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise MistakeError(f"must be a whole number, not {_kind(value)}")
        if not low <= value <= high:
            raise MistakeError(f"must be from {low} to {high}, not {value}")
        return value

    return read


def number(low: float, high: float) -> Reader:
    """Return a reader of numbers from ``low`` to ``high``."""

    def read(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise MistakeError(f"must be a number, not {_kind(value)}")
        if not low <= value <= high:
            raise MistakeError(f"must be from {low:g} to {high:g}, not {value}")
        return float(value)

    return read


def modality(value: object) -> str:
    """Read a Modality (0008,0060), or the word for all others."""
    word = text(value)
    if word != "default" and not _MODALITY.fullmatch(word):
        close = nearest(word, ("default",)) or (
            f' (did you mean "{word.upper()}"?)' if _MODALITY.fullmatch(word.upper()) else ""
        )
        raise MistakeError(f'must be a modality such as "CT", or "default"{close}')
    return word


def duration(low: str, high: str) -> Reader:
    """Return a reader of durations, in seconds, from ``low`` to ``high``."""
    return _amount(SECONDS, low, high, float, 'ms, s, m, h, d or w, such as "30s"')


def size(low: str, high: str) -> Reader:
    """Return a reader of sizes, in bytes, from ``low`` to ``high``."""
    return _amount(BYTES, low, high, int, 'B, KiB, MiB, GiB or TiB, such as "512MiB"')


def share(value: object) -> float:
    """Read a percentage such as ``"2.5%"`` as a number from 0 to 1."""
    matched = _SHARE.fullmatch(text(value))
    if not matched or float(matched[1]) > 100:  # noqa: PLR2004 - per cent
        raise MistakeError('must be from "0%" to "100%"')
    return float(matched[1]) / 100


def choice(*words: str, later: tuple[str, ...] = ()) -> Reader:
    """Return a reader of one of several words; ``later`` ones are not in this version."""

    def read(value: object) -> str:
        word = text(value)
        if word in later:
            raise MistakeError(f'"{word}" is not in this version; use {_either(words)}')
        if word not in words:
            close = nearest(word, words)
            raise MistakeError(f'must be {_either(words)}, not "{shown(word)}"{close}')
        return word

    return read


def unless_false(read: Reader) -> Reader:
    """Return a reader that takes ``false`` for none, ``""``."""

    def read_or_false(value: object) -> Any:
        return "" if value is False else read(value)

    return read_or_false


def safe_private(value: object) -> SafePrivate:
    """Read a private element: its group, its element in the block, its creator."""
    found = _PRIVATE.fullmatch(text(value))
    if found is None:
        raise MistakeError('must be such as "7053,00,Philips PET Private Group"')
    group, element, creator = found.groups()
    return SafePrivate(int(group, 16), int(element, 16), creator.strip())


def digits(count: int) -> Reader:
    """Return a reader of so many hexadecimal digits, or ``""`` for none."""

    def read(value: object) -> str:
        if value == "":
            return ""
        word = text(value)
        if len(word) != count or not re.fullmatch("[0-9a-f]*", word):
            raise MistakeError(f"must be {count} hexadecimal digits, in lower case")
        return word

    return read


def some(read: Reader) -> Reader:
    """Return a reader of one value or a list of at least one, without doubles, as a tuple."""

    def read_all(value: object) -> tuple[Any, ...]:
        values = value if isinstance(value, list) else [value]
        if not values:
            raise MistakeError("is an empty list")
        found: list[tuple[str, str]] = []
        result: list[Any] = []
        for number, item in enumerate(values, start=1):
            try:
                result.append(read(item))
            except MistakeError as error:
                found += error.below(f"[{number}]" if item is not value else "")
        if len(set(result)) < len(result):
            found.append(("", "names the same value twice"))
        if found:
            raise MistakeError(*found)
        return tuple(result)

    return read_all


def facts(value: object, *, patterns: bool = True) -> dict[str, tuple[str, ...]]:
    """Read what a route matches on: facts of the association and routing keywords.

    :param patterns: whether ``*`` and ``?`` may stand for other characters.
    """
    if not isinstance(value, dict):
        raise MistakeError(f"must be a table, not {_kind(value)}")
    found: list[tuple[str, str]] = []
    result: dict[str, tuple[str, ...]] = {}
    for key, given in value.items():
        if key not in FACTS and key not in ROUTING_KEYWORDS:
            found.append((shown(key), _no_fact(key)))
            continue
        try:
            result[key] = some(network if key == "address" else _fact)(given)
        except MistakeError as error:
            found += error.below(key)
            continue
        if not patterns and any("*" in word or "?" in word for word in result[key]):
            found.append((key, "must be a plain value, without * and ?"))
    if found:
        raise MistakeError(*found)
    return result


def given(value: object) -> dict[str, tuple[str, ...]]:
    """Read the object that a test supposes: plain values only."""
    return facts(value, patterns=False)


def _fact(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def _no_fact(key: str) -> str:
    if _PATIENT.search(key):
        return "routes never see the patient; match on the equipment or the kind of object"
    return f"is nothing that a route can match on{nearest(key, [*FACTS, *ROUTING_KEYWORDS])}"


def _amount(
    units: dict[str, float] | dict[str, int], low: str, high: str, number: type, names: str
) -> Reader:
    def parse(value: object) -> Any:
        if not isinstance(value, str):
            raise MistakeError(f"must be text with a unit in quotes ({names}), not {_kind(value)}")
        matched = _AMOUNT.fullmatch(value)
        if not matched or matched[2] not in units:
            raise MistakeError(f"must be a number with a unit: {names}")
        return number(float(matched[1]) * units[matched[2]])

    least, most = parse(low), parse(high)

    def read(value: object) -> Any:
        amount = parse(value)
        if not least <= amount <= most:
            raise MistakeError(f'must be from "{low}" to "{high}", not "{value}"')
        return amount

    return read


def _either(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return f"the number {value}"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"

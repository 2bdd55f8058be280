"""Ask a FHIR server for what it has under an Accession Number (FHIR R4, search by identifier).

SECURITY: what comes back is patient data of whoever the server chooses; only
resources that name the number themselves are taken.
"""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from node.errors import UnreachableError
from node.sealing.dropfolder import identifiers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1 << 16  # bytes read before the clock is looked at


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an error: the token is for one server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class FhirServer:
    """Searches one server.

    :param url: its base; what names a resource type follows a slash.
    :param resources: the types to ask for, such as ``DiagnosticReport``.
    :param token: what to authorise with, or ``""``.
    :param within: seconds that one search may take.
    :param max_size: bytes of an answer; a longer one is refused.
    """

    def __init__(
        self,
        url: str,
        resources: tuple[str, ...],
        *,
        token: str,
        within: float,
        max_size: int,
        context: ssl.SSLContext | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._resources = resources
        self._token = token
        self._within = within
        self._max_size = max_size
        self._clock = clock
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context), _NoRedirect)

    def find(self, accession: str) -> list[bytes]:
        """Return the resources that name an Accession Number, each as JSON.

        :raises UnreachableError: the server does not answer in time, or not as FHIR says.
        """
        found: list[bytes] = []
        for kind in self._resources:
            bundle = self._search(kind, accession)
            entries = bundle.get("entry", []) if isinstance(bundle, dict) else []
            for entry in entries if isinstance(entries, list) else []:
                resource = entry.get("resource") if isinstance(entry, dict) else None
                if accession in identifiers(resource):
                    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
                    found.append(text.encode("utf-8", "replace"))
        return found

    def _search(self, kind: str, accession: str) -> Any:
        headers = {"Accept": "application/fhir+json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self._url}/{kind}?identifier={quote(accession, safe='')}"
        end = self._clock() + self._within
        request = Request(url, headers=headers)  # noqa: S310 - the configuration allows http(s) alone
        body = bytearray()
        try:
            with self._opener.open(request, timeout=self._within) as answer:
                while part := answer.read1(_CHUNK):
                    body += part
                    if self._clock() > end:
                        raise UnreachableError("the FHIR server takes too long", code="fhir_slow")
                    if len(body) > self._max_size:
                        raise UnreachableError("the FHIR server says too much", code="fhir_size")
            return json.loads(body)
        except HTTPError as error:  # its text may quote the URL, and so the number
            error.close()
            raise UnreachableError(f"the FHIR server answers {error.code}", code="fhir") from None
        except (OSError, HTTPException):
            raise UnreachableError("the FHIR server does not answer", code="fhir") from None
        except (ValueError, RecursionError):
            raise UnreachableError("the FHIR server answers no JSON", code="fhir_json") from None


def put(folder: Path, resource: bytes) -> Path:
    """Write a resource into the drop folder, whole or not at all; its name tells nothing."""
    place = folder / f"{sha256(resource).hexdigest()[:32]}.json"
    partial = place.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(resource)
    partial.replace(place)
    return place

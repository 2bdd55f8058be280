"""One DICOMweb service: who we are to it, and how much and how slowly it may answer.

dicomweb-client asks and requests carries; the session here is what both use.

SECURITY: a service is not trusted: no redirect is followed, no proxy or
password is taken from the environment, nothing is read past its bound, and no
address that was asked for, which may name a patient, is logged or raised.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import requests
from dicomweb_client.web import DICOMwebClient
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from node.errors import UnreachableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    from urllib3 import BaseHTTPResponse

    from node.dicom.limits import Limits
    from node.types import Destination

MAX_ANSWER = 64 << 20  # bytes of an answer in JSON
CHUNK = 1 << 18  # bytes read and written at once
JSON = "application/dicom+json"
# What the libraries below raise where an answer does not come, or is none
BROKEN = (requests.RequestException, HTTPError, OSError)


class Body(Protocol):
    """A request's body; requests wants to iterate, http.client to read."""

    def __len__(self) -> int:
        """Return its length in bytes."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Yield its pieces."""
        ...

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        ...


class Pace:
    """Ends what trickles: after ``grace`` seconds, ``min_rate`` bytes a second are asked for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._begun = time.monotonic()

    def keep(self, moved: int) -> None:
        """Go on, if so many bytes are enough by now.

        :raises UnreachableError: they are not.
        """
        allowed = self._limits.grace + moved / self._limits.min_rate
        if time.monotonic() - self._begun > allowed:
            raise UnreachableError("the archive is too slow", code="slow")


class Bounded:
    """An answer's body, read within bounds; stands where requests has that of urllib3.

    :ivar most: bytes after which reading fails.
    """

    def __init__(self, raw: BaseHTTPResponse, limits: Limits) -> None:
        self.most = MAX_ANSWER
        self._raw = raw
        self._pace = Pace(limits)
        self._got = 0

    def read(self, size: int) -> bytes:
        """Return what came of the next ``size`` bytes; ``b""`` at the end.

        :raises UnreachableError: it is too much, or too slow.
        """
        data = self._raw.read1(min(size, CHUNK) if size > 0 else CHUNK, decode_content=True)
        self._got += len(data)
        if self._got > self.most:
            self.close()
            raise UnreachableError("the archive's answer is too long", code="too_long")
        try:
            self._pace.keep(self._got)
        except UnreachableError:
            self.close()
            raise
        return data

    def close(self) -> None:
        """Give up the connection."""
        self._raw.close()

    def release_conn(self) -> None:
        """Give the connection back."""
        self._raw.release_conn()


class _Transport(HTTPAdapter):
    """Trusts whom the configuration names, and nobody else."""

    def __init__(self, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self._tls = tls
        self._limits = limits
        super().__init__(max_retries=0)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002 - as HTTPAdapter has it
        **more: Any,
    ) -> None:
        """Connect with our TLS context."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **more)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave trust to our TLS context: requests would add the public authorities to it."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Bound what can be read."""
        response = super().build_response(req, resp)
        response.raw = Bounded(resp, self._limits)
        return response


class _Session(requests.Session):
    """Says who we are, follows nothing, and reads nothing by itself."""

    def __init__(self, authorization: Callable[[], str]) -> None:
        super().__init__()
        self.trust_env = False  # no .netrc, no proxy
        self._authorization = authorization

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request as it must be.

        :raises UnreachableError: the service sends us elsewhere.
        """
        request.headers.pop("Host", None)  # dicomweb-client leaves out the port
        request.headers["Accept-Encoding"] = "identity"
        if said := self._authorization():
            request.headers["Authorization"] = said
        response = super().send(request, **options | {"allow_redirects": False, "stream": True})
        if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
            response.close()
            raise UnreachableError("the archive sends us elsewhere", code="redirect")
        return response


class Service:
    """Requests to one service. Not for several threads.

    :param tls: client context, or None for plain HTTP.
    :param response: seconds that it may take to answer.
    :param authorization: gives the value of that header anew for each request;
        ``""`` for none.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        response: float = 30.0,
        authorization: Callable[[], str] = lambda: "",
    ) -> None:
        for name in ("dicomweb_client", "urllib3"):  # they quote what was asked for
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self.destination = destination
        self.limits = limits
        self._url = destination.url.rstrip("/")
        self._timeout = (limits.connect, response)
        self._session = _Session(authorization)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Transport(tls, limits))
        self.client = DICOMwebClient(
            self._url, session=self._session, timeout=self._timeout, permissive_uid=True
        )
        self.client.set_http_retry_params(retry=False)

    @contextmanager
    def asked(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Body | None = None,
        *,
        most: int = MAX_ANSWER,
    ) -> Iterator[requests.Response]:
        """Send a request; give the answer, of which nothing but its head was read.

        :param path: below the service's address, beginning with a slash.
        :param most: bytes of the answer's body that may be read.
        :raises UnreachableError: there is no answer, or the rest of it does not come.
        """
        try:
            with self._session.request(
                method, self._url + path, headers=headers, data=body, timeout=self._timeout
            ) as response:
                response.raw.most = most
                yield response
        except BROKEN as error:
            raise lost(error) from None

    def close(self) -> None:
        """Close every connection."""
        self._session.close()


def content(response: requests.Response) -> Iterable[bytes]:
    """Yield an answer's body in pieces."""
    return response.iter_content(CHUNK)


def lost(error: BaseException) -> UnreachableError:
    """Return what it means that an answer does not come; says no more than the kind of trouble.

    SECURITY: the words of the libraries hold addresses, and these what was asked for.
    """
    if isinstance(error, requests.exceptions.SSLError):
        return UnreachableError("the archive's certificate is not trusted", code="tls")
    if isinstance(error, requests.exceptions.Timeout):
        return UnreachableError("the archive does not answer in time", code="no_response")
    return UnreachableError("the archive cannot be reached, or hangs up", code="connection")


def troubled(status: int) -> UnreachableError:
    """Return what an HTTP status means that says nothing of the object that it is about."""
    words = {401: "does not know who we are", 403: "does not let us", 404: "has no such service"}
    said = words.get(status, "cannot answer now")
    return UnreachableError(f"the archive {said} (HTTP {status})", code=f"http_{status}")

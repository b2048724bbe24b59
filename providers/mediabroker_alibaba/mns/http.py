"""Signed requests to MNS over httpx: bounded in time and in size, errors in our words."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import urlsplit

import httpx

from mediabroker.errors import SubmissionUnknownError, UnavailableError
from mediabroker_alibaba.credentials import Credentials
from mediabroker_alibaba.mns.errors import EXPIRED
from mediabroker_alibaba.mns.signing import sign, string_to_sign
from mediabroker_alibaba.mns.wire import ANSWER_LIMIT_BYTES, Refusal, WireError, parse_refusals

__all__ = ["Answer", "MnsConnection"]

_log = logging.getLogger(__name__)

_VERSION = "2015-06-06"
_CONNECTIONS = 32
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Answer:
    """What came back. `refusals` are those of an error document; none when it was none of the protocol's."""

    status: int
    body: bytes
    refusals: tuple[Refusal, ...] = ()

    @property
    def refusal(self) -> Refusal | None:
        return self.refusals[0] if self.refusals else None


class MnsConnection:
    """Speaks to one endpoint. Thread-safe.

    Args:
        credentials: called before the first request, and again when the service says that they have expired.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Callable[[], Credentials],
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        self._url = httpx.URL(endpoint)
        self._host = urlsplit(endpoint).netloc
        self._find = credentials
        self._known: Credentials | None = None
        self._timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)
        self._http = httpx.Client(
            verify=endpoint.startswith("https:"),  # without TLS, the certificates of half the world need no loading
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            headers={"User-Agent": "mediabroker", "Accept-Encoding": "identity"},
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        operation: str,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        over_s: float = 0.0,
        creates: bool = False,
    ) -> Answer:
        """The answer to one request, of whatever status.

        Args:
            target: path and query, as they are to stand in the request line.
            over_s: how much longer than usual the answer may take.
            creates: the request must not happen twice.

        Raises:
            UnavailableError: there is no answer.
            SubmissionUnknownError: with `creates`, there is none, and the request may have taken effect.
        """
        answer = self._exchange(operation, method, target, body, over_s, creates=creates)
        if answer.refusal and answer.refusal.code in EXPIRED:
            _log.info(
                "credentials have expired; reading them again (operation %s)", operation, extra={"operation": operation}
            )
            self._known = None
            answer = self._exchange(operation, method, target, body, over_s, creates=creates)
        return answer

    def _exchange(
        self, operation: str, method: str, target: str, body: bytes, over_s: float, *, creates: bool
    ) -> Answer:
        request = self._http.build_request(
            method,
            # By hand: the target is signed as it is sent, and receipts are full of `+`, `/` and `=`.
            self._url.copy_with(raw_path=target.encode("ascii")),
            headers=self._headers(method, target, body),
            content=body or None,
            timeout=httpx.Timeout(
                connect=self._timeout.connect,
                read=(self._timeout.read or 0.0) + over_s,
                write=self._timeout.write,
                pool=self._timeout.pool,
            ),
        )
        try:
            response = self._http.send(request, stream=True)
            try:
                status, content = response.status_code, _bounded(response)
            finally:
                response.close()
        except (httpx.HTTPError, WireError) as error:
            lost = creates and not isinstance(error, _NOTHING_SENT)
            kind = SubmissionUnknownError if lost else UnavailableError
            raise kind(f"{operation}: {type(error).__name__}: {error}", provider="mns", operation=operation) from error
        return Answer(status, content, _refusals(content) if status >= 400 else ())

    def _headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        known = self._known = self._known or self._find()
        headers = {"Host": self._host, "Date": formatdate(usegmt=True), "x-mns-version": _VERSION}
        if body:
            headers["Content-Type"] = "text/xml;charset=UTF-8"
        signature = sign(known.access_key_secret, string_to_sign(method, target, headers.items()))
        headers["Authorization"] = f"MNS {known.access_key_id}:{signature}"
        if known.security_token:
            headers["security-token"] = known.security_token
        return headers


def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in response.iter_raw():  # raw: what was not asked to be compressed is not unpacked either
        content += chunk
        if len(content) > ANSWER_LIMIT_BYTES:
            raise WireError(f"the answer has more than {ANSWER_LIMIT_BYTES} bytes")
    return bytes(content)


def _refusals(content: bytes) -> tuple[Refusal, ...]:
    try:
        return tuple(parse_refusals(content))
    except WireError:  # a proxy's page, say; the status tells enough
        return ()

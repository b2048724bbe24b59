"""oss2 as this package uses it: bounded in time, retried by us, errors in our words, V4 signatures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

import oss2
import requests
from oss2.exceptions import OssError, RequestError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from mediabroker.errors import AuthenticationError, ConfigurationError, ProviderError
from mediabroker.refs import MediaURI
from mediabroker_alibaba.credentials import find_credentials
from mediabroker_alibaba.oss.errors import EXPIRED, translate
from mediabroker_alibaba.settings import OssSettings

__all__ = ["DrainingSession", "OssClient"]

_log = logging.getLogger(__name__)

# For debugging it logs every header, signatures and security tokens among them.
logging.getLogger("oss2").setLevel(logging.WARNING)

_ATTEMPTS = 4
_PAUSE_S, _PAUSE_CAP_S = 0.2, 5.0
_CONNECTIONS = 32
_SHORT_BYTES = 1 << 16

T = TypeVar("T")


class OssClient:
    """All buckets that one set of credentials reaches. Thread-safe.

    Checksums are ours, over whole parts: oss2 feeds its own in pieces of 16 KiB, and does not compare what is read.
    """

    def __init__(self, settings: OssSettings) -> None:
        self._settings = settings
        self._session = DrainingSession(pool_size=_CONNECTIONS)
        self._lock = Lock()
        self._auth: Any = None
        self._buckets: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"<OssClient {self._settings!r}>"

    def call(self, uri: MediaURI, operation: str, *args: Any, **params: Any) -> Any:
        """The answer of oss2's `Bucket` to a call that may be repeated; `operation` is its method, as `get_object`.

        Args:
            args: what the method takes after the key, and the key itself where it takes one.

        Raises:
            ProviderError: see `oss_errors.translate`; oss2's own exception is its cause.
            ConfigurationError: no region.
        """
        return self.repeat(lambda: self.call_once(uri, operation, *args, **params))

    def repeat(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, tried again while it raises what is worth it: oss2 itself never tries again."""
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=_PAUSE_S, max=_PAUSE_CAP_S),
            retry=retry_if_exception(lambda error: isinstance(error, ProviderError) and error.retryable),
            before_sleep=_tell,
            reraise=True,
        )
        return retrying(attempt)

    def call_once(self, uri: MediaURI, operation: str, *args: Any, **params: Any) -> Any:
        """As `call`, sent once; twice when the credentials have expired."""
        try:
            return self._send(uri, operation, args, params)
        except AuthenticationError as error:
            if error.provider_code not in EXPIRED:
                raise
            _log.info("credentials have expired; reading them again (service %s)", "oss", extra={"service": "oss"})
            self._forget()
            return self._send(uri, operation, args, params)

    def _send(self, uri: MediaURI, operation: str, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        method: Callable[..., Any] = getattr(self._bucket(uri), operation)
        try:
            return method(*args, **params)
        except OssError as error:
            raise translate(error, operation) from error

    def _bucket(self, uri: MediaURI) -> Any:
        region = uri.region or self._settings.region
        if region is None:
            raise ConfigurationError(
                f"{uri}: in which region is the bucket? Write oss://{uri.bucket}.oss-<region>.aliyuncs.com/{uri.key}, "
                "or set stores.oss.region"
            )
        with self._lock:
            found = self._buckets.get((uri.bucket, region))
            if found is None:
                found = self._buckets[uri.bucket, region] = self._connected(uri.bucket, region)
            return found

    def _connected(self, bucket: str, region: str) -> Any:
        if self._auth is None:
            self._auth = self._signer()
        network = "-internal" if self._settings.internal else ""
        return oss2.Bucket(
            self._auth,
            self._settings.endpoint_url or f"https://oss-{region}{network}.aliyuncs.com",
            bucket,
            session=self._session,
            connect_timeout=(self._settings.connect_timeout_s, self._settings.read_timeout_s),
            enable_crc=False,
            region=region,
            app_name="mediabroker",
        )

    def _signer(self) -> Any:
        found = find_credentials(self._settings.profile)
        if found.security_token:
            return oss2.StsAuth(
                found.access_key_id, found.access_key_secret, found.security_token, self._settings.signature
            )
        return oss2.make_auth(found.access_key_id, found.access_key_secret, self._settings.signature)

    def _forget(self) -> None:
        with self._lock:
            self._auth = None
            self._buckets.clear()

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        self._forget()
        self._session.session.close()


class DrainingSession(oss2.Session):  # type: ignore[misc]  # oss2 has no types
    """Reads short answers to their end. oss2 leaves errors, completed uploads and copies unread: a connection each."""

    def do_request(self, req: Any, timeout: Any) -> Any:
        answer = super().do_request(req, timeout)
        if req.method == "GET" and answer.status // 100 == 2:
            return answer  # whoever asked reads it
        try:
            if int(answer.headers.get("Content-Length") or 0) <= _SHORT_BYTES:
                _ = answer.response.content  # kept there for whoever reads it again
            else:
                answer.response.close()
        except requests.RequestException as error:
            raise RequestError(error) from error
        return answer


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info("a call is tried again: %s", error, extra={"attempt": state.attempt_number})

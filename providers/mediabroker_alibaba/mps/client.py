"""The vendor's SDK as this package uses it: bounded in time, one request object a call, no secret in what it raises."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlsplit

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient

from mediabroker.errors import AuthenticationError, ConfigurationError, ProviderError
from mediabroker_alibaba.credentials import Credentials, find_credentials
from mediabroker_alibaba.mps.errors import EXPIRED, PROVIDER, refusal, unanswered
from mediabroker_alibaba.settings import MpsSettings

__all__ = ["MpsClient", "endpoint_of"]

_log = logging.getLogger(__name__)

_REGIONS = (
    *("ap-northeast-1", "ap-southeast-1", "ap-southeast-5", "cn-beijing", "cn-hangzhou", "cn-hongkong", "cn-qingdao"),
    *("cn-shanghai", "cn-shenzhen", "cn-zhangjiakou", "eu-central-1", "eu-west-1", "us-west-1"),
)
"""Source: Alibaba Cloud MPS, "Endpoints"."""
_DIRECT = {"direct": ""}
"""Neither empty nor for any scheme: given nothing, the SDK reads the proxy variables and forgets NO_PROXY."""

# It logs signed URLs and, of temporary credentials, the security token: as errors, and all parameters for debugging.
logging.getLogger("aliyunsdkcore.client").setLevel(logging.CRITICAL)


class _Request(Protocol):
    def add_query_param(self, name: str, value: str) -> None: ...
    def set_endpoint(self, endpoint: str) -> None: ...
    def set_protocol_type(self, protocol: str) -> None: ...


class MpsClient:
    """MPS of one account in one region. Thread-safe."""

    def __init__(self, settings: MpsSettings) -> None:
        self._settings = settings
        self._scheme, self._host = endpoint_of(settings)
        self._lock = Lock()
        self._sdk: Any = None
        self._credentials: Credentials | None = None

    def __repr__(self) -> str:
        return f"<MpsClient {self._scheme}://{self._host}>"

    def send(self, operation: str, params: Mapping[str, Any], *, creates: bool = False) -> dict[str, Any]:
        """The vendor's answer. Values that are None are left out; the SDK would send the text `None`.

        Temporary credentials that have expired are read again, once.

        Raises:
            ProviderError: it was refused, or nothing was sent.
            SubmissionUnknownError: with `creates`: nobody can say whether it took effect.
        """
        try:
            return self._send(operation, params, creates=creates)
        except AuthenticationError as error:
            if error.provider_code != EXPIRED:
                raise
            _log.info(
                "credentials have expired; reading them again (service %s)", PROVIDER, extra={"service": PROVIDER}
            )
            self.close()
            return self._send(operation, params, creates=creates)

    def _send(self, operation: str, params: Mapping[str, Any], *, creates: bool) -> dict[str, Any]:
        sdk, credentials = self._connected()
        request = self._request(operation, params, credentials)
        failure: ProviderError
        try:
            return _parse(sdk.do_action_with_exception(request), operation)
        except ServerException as error:
            failure = refusal(
                str(error.get_error_code() or ""),
                str(error.get_error_msg() or ""),
                operation=operation,
                status=error.get_http_status() or 0,
                request_id=error.get_request_id(),
                creates=creates,
            )
        except ClientException as error:
            failure = unanswered(str(error.get_error_msg()), operation=operation, creates=creates)
        except IndexError:
            # The SDK looks for a colon in the message of this code, and at HTTP 400 only.
            failure = refusal("SignatureDoesNotMatch", "the signature is wrong", operation=operation)
        except ValueError:  # an answer that cannot be read
            failure = unanswered("", operation=operation, creates=creates)
        # Not chained: the SDK's exceptions quote the signed URL.
        raise failure from None

    def _request(self, operation: str, params: Mapping[str, Any], credentials: Credentials) -> _Request:
        request: _Request = _request_class(operation)()
        request.set_endpoint(self._host)
        request.set_protocol_type(self._scheme)
        for name, value in params.items():
            if value is not None:
                request.add_query_param(name, value if isinstance(value, str) else json.dumps(value))
        if credentials.security_token:
            request.add_query_param("SecurityToken", credentials.security_token)
        return request

    def _connected(self) -> tuple[Any, Credentials]:
        with self._lock:
            if self._sdk is None or self._credentials is None:
                self._credentials = find_credentials(self._settings.profile)
                self._sdk = AcsClient(
                    # As arguments, because ALIYUN_* variables would win over a credential object; the token of a
                    # temporary key is an ordinary parameter of each request.
                    ak=self._credentials.access_key_id,
                    secret=self._credentials.access_key_secret,
                    region_id=self._settings.region,
                    auto_retry=False,
                    connect_timeout=self._settings.connect_timeout_s,
                    timeout=self._settings.read_timeout_s,
                    pool_size=self._settings.connections,
                    proxy=_proxies(self._host),
                )
            return self._sdk, self._credentials

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        with self._lock:
            sdk, self._sdk = self._sdk, None
        if sdk is not None:
            sdk.session.close()


def endpoint_of(settings: MpsSettings) -> tuple[str, str]:
    """Scheme, and host with port, that MPS is reached at.

    Raises:
        ConfigurationError: no address is known for the region. The SDK would ask a location service elsewhere.
    """
    if settings.endpoint_url:
        parts = urlsplit(settings.endpoint_url)
        return parts.scheme, parts.netloc
    if settings.region not in _REGIONS:
        known = ", ".join(_REGIONS)
        raise ConfigurationError(
            f"region: no MPS endpoint is known for {settings.region!r}; set endpoint_url ({known})"
        )
    return "https", f"mts{'-vpc' if settings.network == 'vpc' else ''}.{settings.region}.aliyuncs.com"


@cache
def _request_class(operation: str) -> Any:
    """Of the SDK, by the operation's name."""
    return getattr(import_module(f"aliyunsdkmts.request.v20140618.{operation}Request"), f"{operation}Request")


def _parse(body: bytes, operation: str) -> dict[str, Any]:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError(f"{operation}: the answer is no object")  # noqa: TRY004  as broken JSON is
    return answer


def _proxies(host: str) -> dict[str, str]:
    found = urllib.request.getproxies()
    used: dict[str, str] = {scheme: found[scheme] for scheme in ("http", "https", "all") if scheme in found}
    return used if used and not urllib.request.proxy_bypass(host) else _DIRECT

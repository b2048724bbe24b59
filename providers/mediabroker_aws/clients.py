"""boto3 clients as this package uses them: bounded in time, without hidden retries, errors in our words."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from mediabroker.errors import AuthenticationError
from mediabroker.redaction import keep_secret
from mediabroker_aws.errors import EXPIRED, translate
from mediabroker_aws.settings import AwsSettings

__all__ = ["AwsClient", "read_whole"]

_log = logging.getLogger(__name__)

_CONNECTIONS = 32


class AwsClient:
    """One service of one account. Thread-safe.

    Args:
        service: boto3's name of the service, as `sqs`.
        attempts: how often the SDK may send a request in all. Never more than 1 where calls create something: a lost
            answer would become a second job. Measured: boto3's default sends such a call three times.
        options: more for botocore's `Config`.
    """

    def __init__(self, service: str, settings: AwsSettings, *, attempts: int = 1, **options: Any) -> None:
        self.service = service
        self._settings = settings
        self._config = Config(
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
            user_agent_extra="mediabroker",
            **options,
        )
        self._lock = Lock()
        self._client: Any = None

    def __repr__(self) -> str:
        return f"<AwsClient {self.service} {self._settings!r}>"

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """The service's answer to a call that may be repeated. `operation` is boto3's method, as `receive_message`.

        Credentials that have expired are read again, once.

        Raises:
            ProviderError: see `translate`; the SDK's own exception is its cause.
            ConfigurationError: no region, an unknown profile.
        """
        return self._call(operation, params, creates=False)

    def create(self, operation: str, **params: Any) -> dict[str, Any]:
        """As `call`, for what must not happen twice.

        Raises:
            SubmissionUnknownError: it was sent, and nobody can say whether it took effect.
        """
        return self._call(operation, params, creates=True)

    def _call(self, operation: str, params: dict[str, Any], *, creates: bool) -> dict[str, Any]:
        try:
            return self._send(operation, params, creates=creates)
        except AuthenticationError as error:
            if error.provider_code not in EXPIRED:
                raise
            _log.info(
                "credentials have expired; reading them again (service %s)",
                self.service,
                extra={"service": self.service},
            )
            self.close()
            return self._send(operation, params, creates=creates)

    def _send(self, operation: str, params: dict[str, Any], *, creates: bool) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._connected(), operation)(**params)
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise translate(error, provider=self.service, operation=operation, creates=creates) from error
        return answer

    def _connected(self) -> Any:
        with self._lock:  # making sessions and clients is the one thing that boto3 does not do thread-safely
            if self._client is None:
                session = boto3.session.Session(profile_name=self._settings.profile, region_name=self._settings.region)
                _keep_secrets(session)
                self._client = session.client(
                    self.service, endpoint_url=self._settings.endpoint_url, config=self._config
                )
            return self._client

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _keep_secrets(session: Any) -> None:
    """Have what signs this session's requests masked in every text; temporary ones are masked by their form."""
    credentials = session.get_credentials()
    if type(credentials) is Credentials:
        keep_secret(credentials.secret_key)
        keep_secret(credentials.token)


def read_whole(body: Any, *, provider: str, operation: str, creates: bool = False) -> bytes:
    """A streamed answer, as `Body` or `Payload`; `creates`: of a call that must not happen twice.

    Raises:
        UnavailableError: it breaks off.
        SubmissionUnknownError: the same, with `creates`.
    """
    try:
        return bytes(body.read())
    except BotoCoreError as error:
        raise translate(error, provider=provider, operation=operation, creates=creates) from error

"""How requests to services behind API Gateway say who sends them: an API key, else a signature."""

from __future__ import annotations

from collections.abc import Generator

import httpx
from pydantic import SecretStr

from mediabroker.errors import ConfigurationError

__all__ = ["gateway_auth"]

_SERVICE = "execute-api"


def gateway_auth(api_key: SecretStr | None, *, profile: str | None, region: str | None) -> httpx.Auth:
    """Return what authenticates each request: the key, or without one the AWS credentials that every AWS tool uses.

    Raises:
        ConfigurationError: from the first request on, there is neither.
    """
    return _KeyAuth(api_key) if api_key is not None else _SignedAuth(profile, region)


class _KeyAuth(httpx.Auth):
    """The API key, added as late as possible: no request that is shown or logged before holds it."""

    def __init__(self, api_key: SecretStr) -> None:
        self._api_key = api_key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["x-api-key"] = self._api_key.get_secret_value()
        yield request


class _SignedAuth(httpx.Auth):
    """Signature version 4.

    Source: Amazon API Gateway Developer Guide, "Control access to a REST API with IAM permissions".
    """

    requires_request_body = True

    def __init__(self, profile: str | None, region: str | None) -> None:
        self._profile, self._region = profile, region

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        import boto3  # noqa: PLC0415  a caller with a key needs no SDK
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        session = boto3.session.Session(profile_name=self._profile, region_name=self._region)
        credentials = session.get_credentials()
        if credentials is None or not session.region_name:
            raise ConfigurationError("the service is called without api_key: set it, or a region and AWS credentials")
        kept = {name: request.headers[name] for name in ("content-type", "idempotency-key") if name in request.headers}
        signed = AWSRequest(method=request.method, url=str(request.url), data=request.content, headers=kept)
        SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, session.region_name).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request

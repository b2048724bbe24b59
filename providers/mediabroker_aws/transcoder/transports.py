"""The only I/O of the provider `aws-lambda`: the service, by HTTP or by Lambda, and the objects in S3."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
from pydantic import SecretStr

from mediabroker.errors import (
    AuthenticationError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
)
from mediabroker.redaction import keep_secret
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, Reply
from mediabroker_aws.clients import AwsClient, read_whole
from mediabroker_aws.exchange import exchange, retry_after_s
from mediabroker_aws.gateway_auth import gateway_auth
from mediabroker_aws.object_transport import ObjectTransport
from mediabroker_aws.settings import AwsSettings, LambdaSettings, S3Settings
from mediabroker_aws.transcoder.status import StatusBoard
from mediabroker_aws.transcoder.wire import REFUSALS

__all__ = ["FunctionTransport", "HttpTransport", "StorageTransport"]

_KEY_VARIABLE = "MEDIABROKER_TRANSCODE_API_KEY"


class HttpTransport:
    """Performs `videoTranscode` at the service's URL. Thread-safe."""

    def __init__(self, settings: LambdaSettings) -> None:
        found = os.environ.get(_KEY_VARIABLE)
        key = settings.api_key or (SecretStr(found) if found else None)
        keep_secret(found)
        self._url = settings.url or ""
        self._client = httpx.Client(
            headers={"user-agent": "mediabroker"},
            auth=gateway_auth(key, profile=settings.profile, region=settings.region),
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
        )

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`."""
        answer = exchange(call, lambda: self._client.post(self._url, json=call.params), **_about(call))
        return _checked(call, answer.status_code, answer.content, retry_after_s(answer))

    def close(self) -> None:
        self._client.close()


class FunctionTransport:
    """Performs `videoTranscode` by invoking the service's function. Thread-safe."""

    def __init__(self, settings: LambdaSettings) -> None:
        self._function = settings.function
        self._client = AwsClient("lambda", settings)

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`."""
        payload = json.dumps(call.params).encode()
        answer = self._client.create("invoke", FunctionName=self._function, Payload=payload)
        body = read_whole(answer["Payload"], creates=True, **_about(call))
        if answer.get("FunctionError"):
            raise SubmissionUnknownError(f"{call.operation}: the function failed: {body[:300]!r}", **_about(call))
        status = 200
        with suppress(ValueError, AttributeError, TypeError):  # what it is instead, is found out below
            status = int(json.loads(body).get("statusCode", 200))
        return _checked(call, status, body, None)

    def close(self) -> None:
        self._client.close()


def _checked(call: Call[Any], status: int, body: bytes, retry_after_s: float | None) -> Reply:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if status == 200:
        if not isinstance(content, dict):
            raise SubmissionUnknownError(f"{call.operation}: the answer is broken", **_about(call))
        return content
    told: Mapping[str, Any] = content if isinstance(content, dict) else {}
    said = f"{call.operation}: {status} {told.get('message', '')}".rstrip()
    if status == 429:
        raise ThrottledError(said, provider_code="429", retry_after_s=retry_after_s, **_about(call))
    if status in (401, 403) and "code" not in told:  # the gateway's: a wrong key, stage or path
        raise AuthenticationError(said, provider_code=str(status), **_about(call))
    if 300 <= status < 400:  # nothing was done at this address
        raise ProviderError(f"{said}: redirected; see url", provider_code=str(status), **_about(call))
    if status in REFUSALS:
        raise ProviderError(said, provider_code=REFUSALS[status].value, **_about(call))
    raise SubmissionUnknownError(said, provider_code=str(status), **_about(call))


def _about(call: Call[Any]) -> dict[str, Any]:
    return {"provider": "transcoder", "operation": call.operation}


class StorageTransport(ObjectTransport):
    """Performs what the provider asks of S3: objects, listings, and the status of works. Thread-safe."""

    def __init__(self, settings: LambdaSettings) -> None:
        shared = settings.model_dump(include={"region", "profile", "connect_timeout_s", "read_timeout_s"})
        found = {**shared, "endpoint_url": settings.s3_endpoint_url}
        super().__init__(S3Settings(**found, path_style=settings.path_style))
        style = {"addressing_style": "path"} if settings.path_style else {}
        self._client = AwsClient("s3", AwsSettings(**found), attempts=3, s3=style)
        self._board = StatusBoard(self._store)
        self._operations = {
            **self._operations,
            "ListObjects": self._list,
            "GetStatus": self._status,
            "CancelWork": self._cancel,
        }

    def close(self) -> None:
        super().close()
        self._client.close()

    def _head(self, params: Mapping[str, Any]) -> Reply:
        stat = self._store.stat(MediaURI(params["uri"]))
        return {"size_bytes": stat.size_bytes if stat else None}

    def _list(self, params: Mapping[str, Any]) -> Reply:
        listed, keys = {"Bucket": params["bucket"], "Prefix": params["prefix"]}, list[Any]()
        while True:
            page = self._client.call("list_objects_v2", **listed)
            keys += [each["Key"] for each in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return {"keys": keys}
            listed["ContinuationToken"] = page["NextContinuationToken"]

    def _status(self, params: Mapping[str, Any]) -> Reply:
        seen = self._board.read(params["work"])
        if seen is None:
            return {"status": None}
        return {"status": seen.status.model_dump(mode="json"), "version": seen.version, "age_s": seen.age_s}

    def _cancel(self, params: Mapping[str, Any]) -> Reply:
        seen = self._board.read(params["work"])
        if seen is None or seen.version != params["version"]:
            return {"cancelled": False}
        cancelled = seen.status.model_copy(update={"state": "cancelled"})
        return {"cancelled": self._board.write(params["work"], cancelled, replaces=seen.version) is not None}

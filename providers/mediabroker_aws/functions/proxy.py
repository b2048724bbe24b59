"""Requests that API Gateway hands to a function, and the answers it takes back.

Source: Amazon API Gateway Developer Guide, "Lambda proxy integrations in API Gateway".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

__all__ = ["ApiRequest", "RefusedError", "is_proxy_event", "parse_event", "respond"]


class RefusedError(Exception):
    """A request that is answered with a 4xx: its status, and a sentence that says what would be right."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.message)


@dataclass(frozen=True)
class ApiRequest:
    """One HTTP request. Header names are lower-case; `parameters` are those of the path, `query` those after `?`.

    `caller` is who the gateway has found it to be from: the id of an API key, a role or user, or `anonymous`. `base` is
    what a client puts before `path`: the stage, if it is part of the address. `account` is the gateway's.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    request_id: str
    caller: str = "anonymous"
    base: str = ""
    account: str | None = None

    def fields(self) -> dict[str, JsonValue]:
        """The body's JSON object.

        Raises:
            RefusedError: 400, it is none.
        """
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise RefusedError(400, f"the body is a JSON {type(content).__name__}, it must be an object")
        return content


def is_proxy_event(event: object) -> bool:
    """Whether an event comes from API Gateway; otherwise somebody has invoked the function itself."""
    return isinstance(event, Mapping) and "httpMethod" in event and "requestContext" in event


def parse_event(event: Mapping[str, Any]) -> ApiRequest:
    """The request inside a proxy event.

    Raises:
        RefusedError: 400, the body is not what its encoding says.
    """
    body = event.get("body") or ""
    try:
        content = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise RefusedError(400, f"the body cannot be decoded: {error}") from error
    return ApiRequest(
        method=event["httpMethod"],
        path=_path(event),
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        parameters=event.get("pathParameters") or {},
        query=event.get("queryStringParameters") or {},
        body=content,
        request_id=event["requestContext"].get("requestId", ""),
        caller=_caller(event["requestContext"].get("identity") or {}),
        base=_base(str(event["requestContext"].get("path") or ""), _path(event)),
        account=event["requestContext"].get("accountId"),
    )


def _path(event: Mapping[str, Any]) -> str:
    """The path below the API, from its resource: under a domain of one's own, `path` begins with what was mapped."""
    resource, parameters = event.get("resource"), event.get("pathParameters") or {}
    if not resource:
        return str(event["path"])
    return re.sub(r"\{(\w+)\+?\}", lambda at: str(parameters.get(at[1], at[0])), str(resource))


def _caller(identity: Mapping[str, Any]) -> str:
    """Who it is, whichever of its sessions this is."""
    arn = str(identity.get("userArn") or "")
    role = arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
    return str(identity.get("apiKeyId") or role or "anonymous")


def _base(whole: str, path: str) -> str:
    return whole.rstrip("/").removesuffix(path.rstrip("/"))


def respond(status: int, content: JsonValue, **headers: str) -> dict[str, JsonValue]:
    """An answer with a JSON body; underscores in header names stand for hyphens."""
    named: dict[str, JsonValue] = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **named},
        "body": json.dumps(content),
        "isBase64Encoded": False,
    }

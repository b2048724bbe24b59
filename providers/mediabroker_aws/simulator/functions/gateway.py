"""API Gateway's REST proxy integration: requests as the events that handlers get, and their answers as HTTP.

Source: Amazon API Gateway Developer Guide, "Lambda proxy integrations in API Gateway" and "Gateway response types".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from mediabroker_aws.simulator.batch.wire import WireError

__all__ = ["Answer", "Authorization", "Request", "Route", "build_event", "match_route", "parse_answer"]

Authorization = Literal["key", "iam", "none"]
_PARAMETER = re.compile(r"\\\{(\w+)(\\\+)?\\\}")


@dataclass(frozen=True)
class Route:
    """`METHOD /stage/path` to a function; the path may hold `{name}` and end in `{name+}`."""

    method: str
    stage: str
    resource: str
    function: str
    authorization: Authorization = "key"

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path parameters of a request to this route; None: it goes elsewhere. `path` is as sent, encoded."""
        if self.method not in (method, "ANY"):
            return None
        form = _PARAMETER.sub(
            lambda at: f"(?P<{at[1]}>{'.+' if at[2] else '[^/]+'})",
            re.escape(f"/{self.stage}{self.resource}".rstrip("/")),
        )
        found = re.fullmatch(form, path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


@dataclass(frozen=True)
class Request:
    """An HTTP request; `target` is path and query as sent."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as a function wants it."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def match_route(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The first route that takes the request.

    Raises:
        WireError: 403, as REST APIs answer where there is nothing.
    """
    for route in routes:
        if (parameters := route.match(method, path.rstrip("/") or "/")) is not None:
            return route, parameters
        if (parameters := route.match(method, path)) is not None:
            return route, parameters
    raise WireError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def build_event(
    route: Route, request: Request, parameters: Mapping[str, str], *, request_id: str, account: str
) -> dict[str, Any]:
    """The event of version 1.0. What is empty is None, as on AWS."""
    method, headers = request.method, request.headers
    path, _, query = request.target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    text, encoded = _text(request.body)
    now_s = time.time()
    key = next((value for name, value in headers if name.lower() == "x-api-key"), None)
    agent = next((value for name, value in headers if name.lower() == "user-agent"), None)
    return {
        "resource": route.resource,
        "path": unquote(path.removeprefix(f"/{route.stage}")) or "/",
        "httpMethod": method,
        "headers": dict(headers) or None,
        "multiValueHeaders": _grouped(headers),
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": _grouped(pairs),
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "simulated",
            "resourcePath": route.resource,
            "httpMethod": method,
            "path": unquote(path),
            "accountId": account,
            "protocol": "HTTP/1.1",
            "stage": route.stage,
            "domainPrefix": "simulated",
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now_s)),
            "requestTimeEpoch": round(now_s * 1000),
            "requestId": request_id,
            "identity": {"apiKey": key, "apiKeyId": key and "simulated", "sourceIp": "127.0.0.1", "userAgent": agent},
            "apiId": "simulated",
        },
        "body": text,
        "isBase64Encoded": encoded,
    }


def parse_answer(payload: bytes) -> Answer:
    """What a handler answered, as HTTP.

    Raises:
        WireError: 502, it is not shaped as a proxy integration's answer must be.
    """
    answer = json.loads(payload)
    if not isinstance(answer, dict) or set(answer) - {
        "statusCode",
        "headers",
        "multiValueHeaders",
        "body",
        "isBase64Encoded",
    }:
        raise _malformed()
    body, status = answer.get("body") or "", answer.get("statusCode", 200)
    if not isinstance(body, str) or not str(status).isdigit() or not 100 <= int(status) <= 599:
        raise _malformed()
    try:
        content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    except binascii.Error as error:
        raise _malformed() from error
    headers = [(name, str(value)) for name, value in (answer.get("headers") or {}).items()]
    many = answer.get("multiValueHeaders") or {}
    headers += [(name, str(value)) for name, values in many.items() for value in values]
    return Answer(int(status), headers, content)


def _malformed() -> WireError:
    return WireError(502, "InternalServerErrorException", "Internal server error")


def _text(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]] | None:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped or None

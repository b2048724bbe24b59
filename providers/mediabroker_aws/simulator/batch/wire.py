"""Between HTTP and the simulator: requests read and checked, answers shaped, by botocore's own model of the service."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

import botocore.session
from botocore.validate import ParamValidator

__all__ = ["Request", "WireError", "parse_request", "shape_answer"]


class WireError(Exception):
    """An answer that refuses: HTTP status, AWS's code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


class Request(NamedTuple):
    """An operation of the service and its parameters, valid by the model."""

    operation: str
    params: dict[str, Any]


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("batch")


@cache
def _routes() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    routes = []
    for name in _model().operation_names:
        http = _model().operation_model(name).http
        path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(http["requestUri"]))
        routes.append((http["method"], re.compile(path), name))
    return tuple(routes)


def parse_request(method: str, path: str, body: bytes) -> Request:
    """The operation that a request asks for.

    Raises:
        WireError: no such operation, no JSON, or parameters that the service's model does not allow.
    """
    for verb, pattern, name in _routes():
        if verb == method and (match := pattern.fullmatch(path)):
            params = {**_json(body), **{key: unquote(value) for key, value in match.groupdict().items()}}
            _validate(name, params)
            return Request(name, params)
    raise WireError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError as error:
        raise WireError(400, "SerializationException", f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise WireError(400, "SerializationException", "the body is no JSON object")
    return content


def _validate(operation: str, params: Mapping[str, Any]) -> None:
    shape = _model().operation_model(operation).input_shape
    if unknown := sorted(set(params) - set(shape.members)):
        raise WireError(400, "ClientException", f"unknown parameters: {', '.join(unknown)}")
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        raise WireError(400, "ClientException", report.generate_report())


def shape_answer(operation: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as the model allows it; what is None is left out.

    Raises:
        ValueError: the simulator answers with something that the model does not know.
    """
    shaped: dict[str, Any] = _shaped(_model().operation_model(operation).output_shape, answer, operation)
    return shaped


def _shaped(shape: Any, value: Any, where: str) -> Any:
    if shape.type_name == "structure":
        if unknown := set(value) - set(shape.members):
            raise ValueError(f"{where} has no {', '.join(sorted(unknown))}")
        return {
            name: _shaped(shape.members[name], each, f"{where}.{name}")
            for name, each in value.items()
            if each is not None
        }
    if shape.type_name == "list":
        return [_shaped(shape.member, each, where) for each in value]
    if shape.type_name == "map":
        return {key: _shaped(shape.value, each, where) for key, each in value.items()}
    return value

"""Answers in both formats. Lists are wrapped, as `{"JobList": {"Job": [...]}}`: in XML the inner element repeats.

Source: ApsaraVideo for Media Processing, "Response parameters" and the generated SDK's models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias
from xml.sax.saxutils import escape

from mediabroker_alibaba.simulator.mps.refusals import RpcError
from mediabroker_alibaba.simulator.server import Response

__all__ = ["Json", "build_answer", "build_refusal"]

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | list[Json] | None"


def build_answer(form: str, action: str, request_id: str, content: Mapping[str, Json]) -> Response:
    """200; `form` is the `Format` of the request, XML unless it says JSON. Values that are None do not travel."""
    return _render(200, form, f"{action}Response", {"RequestId": request_id, **content})


def build_refusal(form: str, request_id: str, host: str, error: RpcError) -> Response:
    """The error's status, with who refused and why."""
    content = {"RequestId": request_id, "HostId": host, "Code": error.code, "Message": error.message}
    return _render(error.status, form, "Error", content)


def _render(status: int, form: str, root: str, content: Mapping[str, Json]) -> Response:
    if form.upper() == "JSON":
        body = json.dumps(_pruned(content), ensure_ascii=False).encode()
        return Response(status, (("Content-Type", "application/json;charset=utf-8"),), body)
    text = f'<?xml version="1.0" encoding="UTF-8"?>{_element(root, content)}'
    return Response(status, (("Content-Type", "application/xml;charset=utf-8"),), text.encode())


def _pruned(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {name: _pruned(each) for name, each in value.items() if each is not None}
    return [_pruned(each) for each in value] if isinstance(value, list) else value


def _element(name: str, value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    if isinstance(value, Mapping):
        inner = "".join(_element(each, below) for each, below in value.items())
    else:
        inner = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{name}>{inner}</{name}>"

"""What every action checks of its parameters. Source: ApsaraVideo for Media Processing, "Common errors" (2021)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import unquote

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.jobs import Place
from mediabroker_alibaba.simulator.mps.refusals import RpcError, invalid, missing

__all__ = [
    "OSS_URL",
    "Call",
    "check_id",
    "check_user_data",
    "integer",
    "json_object",
    "json_place",
    "listed_ids",
    "oss_url",
    "required",
]

_ID = re.compile(r"[0-9a-f]{32}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
OSS_URL = re.compile(r"oss://(?P<bucket>[^./]+)\.oss-(?P<region>[a-z0-9-]+)\.aliyuncs\.com/(?P<key>.+)", re.DOTALL)
"""Source: SubmitIProductionJob, `Input`."""
_KEY_LIMIT_BYTES = 1023
_USER_DATA_LIMIT_BYTES = 1024
_LIST_LIMIT = 10


@dataclass(frozen=True)
class Call:
    """One verified request: who, where, when, and with which parameters.

    Attributes:
        region_of: where a bucket of the caller's is, None when there is none; without it buckets are not looked at.
    """

    action: str
    params: Mapping[str, str]
    account: str
    region: str
    request_id: str
    at: datetime
    region_of: Callable[[str], str | None] | None = None


def required(call: Call, name: str) -> str:
    """A parameter that must be there and not be empty."""
    if name not in call.params:
        raise missing(name)
    if not call.params[name]:
        raise invalid(name, "EmptyValue")
    return call.params[name]


def check_id(name: str, text: str) -> str:
    """An id of a job or a pipeline."""
    if not _ID.fullmatch(text):
        raise invalid(name, "UUIDFormatInvalid")
    return text


def listed_ids(call: Call, name: str, *, checked: bool = False) -> list[str]:
    """Ids behind commas, ten at most. Absent is `InvalidParameter`, not `Missing...`. Source: QueryJobList, JobIds."""
    if not call.params.get(name):
        raise invalid(name)
    ids = list(dict.fromkeys(each.strip() for each in call.params[name].split(",")))
    if len(ids) > _LIST_LIMIT:
        raise invalid(name, "ListSizeExceed")
    return [check_id(name, each) for each in ids] if checked else ids


def integer(call: Call, name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    text = call.params.get(name, str(default))
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise invalid(name, "NumberFormatInvalid")
    if not least <= int(text) <= most:
        raise invalid(name, "OutOfRange")
    return int(text)


def json_object(name: str, text: str) -> dict[str, Json]:
    """JSON text that holds an object."""
    try:
        content = json.loads(text)
    except ValueError:
        raise invalid(name, "JsonFormatInvalid" if name == "Outputs" else "JsonObjectFormatInvalid") from None
    if not isinstance(content, dict):
        raise invalid(name, "JsonObjectFormatInvalid")
    return cast("dict[str, Json]", content)


def check_user_data(name: str, text: str | None) -> str | None:
    """UserData within its 1,024 bytes. Source: SubmitJobs, `UserData`; smart production documents no limit."""
    if text is not None and len(text.encode()) > _USER_DATA_LIMIT_BYTES:
        raise invalid(name, "OutOfRange")
    return text


def oss_url(call: Call, name: str, text: str) -> Place:
    """`oss://bucket.oss-region.aliyuncs.com/key`, in the endpoint's region. The key is plain, not encoded."""
    matched = OSS_URL.fullmatch(text)
    if matched is None:
        raise invalid(name)
    return _checked(call, name, Place(matched["bucket"], matched["region"].removesuffix("-internal"), matched["key"]))


def json_place(call: Call, name: str, content: Mapping[str, Json]) -> Place:
    """`{"Bucket", "Location", "Object"}`, where Object is percent-encoded UTF-8."""
    parts = [content.get(part) for part in ("Bucket", "Location", "Object")]
    for part, value in zip(("Bucket", "Location", "Object"), parts, strict=True):
        if not isinstance(value, str) or not value:
            raise invalid(f"{name}.{part}", "NullValue" if value is None else "EmptyValue")
    bucket, location, key = cast("list[str]", parts)
    if not location.startswith("oss-"):
        raise invalid(f"{name}.Location", "LocationInvalid")
    return _checked(call, name, Place(bucket, location.removeprefix("oss-"), unquote(key)))


def _checked(call: Call, name: str, place: Place) -> Place:
    if not _BUCKET.fullmatch(place.bucket):
        raise invalid(name, "BucketNameInvalid")
    there = place.region if call.region_of is None else call.region_of(place.bucket)
    if there is None:
        message = f'MTS not authorized to operate on the specified resource "{place.bucket}".'
        raise RpcError(403, "PermissionDenied.ResourceAccess", message)
    if not call.region == place.region == there:
        raise invalid(name, "LocationInvalid")
    if place.key.startswith(("/", "\\")) or len(place.key.encode()) > _KEY_LIMIT_BYTES:
        raise invalid(name, "ObjectKeyInvalid")
    return place

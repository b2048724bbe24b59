"""Answers of the simulated OSS, and the headers that objects are stored and given out with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from mediabroker_alibaba.documents import Tree, build_document
from mediabroker_alibaba.simulator.oss.state import StoredObject
from mediabroker_alibaba.simulator.server import Response

__all__ = ["document", "empty", "etag", "http_date", "iso_date", "kept_headers", "object_headers", "url_encoded"]

_KEPT = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}
)
_TYPE = "application/octet-stream"


def empty(status: int, *headers: tuple[str, str]) -> Response:
    """An answer without a body."""
    return Response(status, headers)


def document(root: str, content: Tree, *headers: tuple[str, str]) -> Response:
    """An XML answer."""
    return Response(200, (("Content-Type", "application/xml"), *headers), build_document(root, content))


def kept_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Of a request's headers those that the object keeps."""
    kept = {name: value for name, value in given.items() if name in _KEPT or name.startswith("x-oss-meta-")}
    return {"content-type": _TYPE, **kept}


def object_headers(stored: StoredObject) -> tuple[tuple[str, str], ...]:
    """Those that an object is given out with."""
    kind = (("x-oss-object-type", stored.kind), ("x-oss-storage-class", "Standard"))
    crc = (("x-oss-hash-crc64ecma", str(stored.blob.crc64)),)
    common = (("ETag", etag(stored)), ("Last-Modified", http_date(stored.modified)), ("Accept-Ranges", "bytes"))
    return (*stored.headers.items(), *common, *kind, *crc)


def etag(stored: StoredObject) -> str:
    return f'"{stored.etag}"'


def http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def iso_date(at: datetime) -> str:
    """As lists write it: `2025-01-01T00:00:00.000Z`. The milliseconds are always zero, and oss2 relies on it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def url_encoded(text: str, encoding_type: str | None) -> str:
    """A key as lists write it; `encoding-type=url` because XML cannot carry every character."""
    return quote(text, safe="-_.~") if encoding_type == "url" else text

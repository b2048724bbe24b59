"""OSS requests understood: bucket, key, parameters, and which operation they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, unquote_plus

from mediabroker.markup import MarkupError, load_markup, local_name
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.server import Request

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["Ask", "parse_ask"]

_DOCUMENT_LIMIT_BYTES = 1 << 20
_STORAGE = "Standard"

_OBJECT: tuple[tuple[str, str | None, str], ...] = (
    ("PUT", "partNumber", "UploadPart"),
    ("PUT", "acl", "PutObjectACL"),
    ("PUT", "symlink", "PutSymlink"),
    ("PUT", None, "PutObject"),
    ("POST", "uploads", "InitiateMultipartUpload"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("POST", "append", "AppendObject"),
    ("GET", "uploadId", "ListParts"),
    ("GET", "acl", "GetObjectACL"),
    ("GET", "symlink", "GetSymlink"),
    ("GET", "objectMeta", "GetObjectMeta"),
    ("GET", None, "GetObject"),
    ("HEAD", "symlink", "GetSymlink"),
    ("HEAD", "objectMeta", "GetObjectMeta"),
    ("HEAD", None, "HeadObject"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("DELETE", None, "DeleteObject"),
)
_BUCKET: tuple[tuple[str, str | None, str], ...] = (
    ("PUT", "acl", "PutBucketACL"),
    ("PUT", None, "PutBucket"),
    ("GET", "acl", "GetBucketACL"),
    ("GET", "bucketInfo", "GetBucketInfo"),
    ("GET", "live", "ListLiveChannel"),
    ("GET", "location", "GetBucketLocation"),
    ("GET", "stat", "GetBucketStat"),
    ("GET", "uploads", "ListMultipartUploads"),
    ("GET", "list-type", "ListObjectsV2"),
    ("GET", None, "ListObjects"),
    ("POST", "delete", "DeleteMultipleObjects"),
    ("DELETE", None, "DeleteBucket"),
)
_NOT_HERE = """
    cors encryption inventory lifecycle logging policy referer replication requestPayment restore style tagging
    transferAcceleration callback versionId versioning versions website worm x-oss-process
"""
_ELSEWHERE = frozenset(_NOT_HERE.split())
"""What the real service does and this one does not."""
_HEADERS_ELSEWHERE = frozenset({"x-oss-callback", "x-oss-server-side-encryption", "x-oss-tagging"})


@dataclass(frozen=True)
class Ask:
    """One request. Query and headers are decoded, by name; header names are in lower case."""

    operation: str
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    stream: BinaryIO
    host: str

    @property
    def resource(self) -> str:
        """As signatures name it, for virtual hosts as well."""
        return f"/{self.bucket}/{self.key}" if self.bucket else "/"

    @cached_property
    def body(self) -> bytes:
        """All of a body that can only be small."""
        body = self.stream.read(_DOCUMENT_LIMIT_BYTES + 1)
        if len(body) > _DOCUMENT_LIMIT_BYTES:
            raise OssRefusedError("MalformedXML", "The document is too large.")
        return body

    def document(self, root: str) -> Element:
        """The body's root element, which is named so."""
        try:
            found = load_markup(self.body)
        except MarkupError:
            raise OssRefusedError("MalformedXML") from None
        if local_name(found) != root:
            raise OssRefusedError("MalformedXML")
        return found

    def number(self, name: str, least: int, most: int, default: int) -> int:
        """A number of the query."""
        given = self.query.get(name) or str(default)
        if not given.isdecimal() or not least <= int(given) <= most:
            raise OssRefusedError("InvalidArgument", f"{name} must be between {least} and {most}.")
        return int(given)


def parse_ask(request: Request) -> Ask:
    """What is asked for. Buckets are in the path, whatever `Host` says: some clients put them into both.

    Raises:
        OssRefusedError: nothing that this service does.
    """
    bucket, _, key = request.path.removeprefix("/").partition("/")
    query = _parsed_query(request.query)
    headers = {name.lower(): value for name, value in request.headers}
    return Ask(
        operation=_operation(request.method, unquote(bucket), unquote(key), query, headers),
        method=request.method,
        bucket=unquote(bucket),
        key=unquote(key),
        query=query,
        headers=headers,
        stream=request.stream,
        host=headers.get("host", "localhost"),
    )


def _operation(method: str, bucket: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    if missing := sorted((_ELSEWHERE & query.keys()) | (_HEADERS_ELSEWHERE & headers.keys())):
        raise OssRefusedError("NotImplemented", f"This simulator knows no {missing[0]}.")
    if (key and "live" in query) or headers.get("x-oss-storage-class", _STORAGE) != _STORAGE:
        raise OssRefusedError("NotImplemented", f"This simulator streams nothing and has no storage but {_STORAGE}.")
    if not bucket:
        if method == "GET":
            return "ListBuckets"
        raise OssRefusedError("MethodNotAllowed")
    for verb, parameter, operation in _OBJECT if key else _BUCKET:
        if verb == method and (parameter is None or parameter in query):
            if "x-oss-copy-source" in headers and operation in ("PutObject", "UploadPart"):
                return {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}[operation]
            return operation
    raise OssRefusedError("MethodNotAllowed")


def _parsed_query(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}

"""The operations on objects. Source: Alibaba Cloud OSS, API reference, object operations."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote

from mediabroker_alibaba.simulator.oss.access import ACLS, bucket_for
from mediabroker_alibaba.simulator.oss.answers import (
    document,
    empty,
    etag,
    http_date,
    iso_date,
    kept_headers,
    object_headers,
)
from mediabroker_alibaba.simulator.oss.blobs import Blob
from mediabroker_alibaba.simulator.oss.ranges import wanted_range
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.requests import Ask
from mediabroker_alibaba.simulator.oss.state import Bucket, OssState, StoredObject
from mediabroker_alibaba.simulator.server import Response
from mediabroker_alibaba.simulator.tenants import Account

__all__ = ["OBJECT_OPERATIONS", "Operation", "check_key", "copy_source", "forbids_overwrite", "receive"]

_KEY_LIMIT_BYTES = 1023
_RESPONSE = "response-"

Operation = Callable[[OssState, Bucket, Ask], Response]


def check_key(key: str) -> None:
    """Refuse what can be no object's name.

    The manual forbids carriage returns as well, yet the SDK's own suite writes them: test_chinese.py, oss2 2.19.1.
    """
    if len(key.encode()) > _KEY_LIMIT_BYTES or key.startswith(("/", "\\")) or "\n" in key:
        raise OssRefusedError("InvalidObjectName", more={"ObjectName": key})


def forbids_overwrite(ask: Ask) -> bool:
    return ask.headers.get("x-oss-forbid-overwrite", "").lower() == "true"


def receive(state: OssState, ask: Ask) -> Blob:
    """The request's body on disk, when it is what its `Content-MD5` says."""
    blob = state.blobs.receive(ask.stream)
    given = ask.headers.get("content-md5")
    if given and given != base64.b64encode(bytes.fromhex(blob.md5)).decode():
        blob.path.unlink()
        raise OssRefusedError("InvalidDigest")
    return blob


def _acl(ask: Ask) -> str:
    acl = ask.headers.get("x-oss-object-acl", "default")
    if acl not in ("default", *ACLS):
        raise OssRefusedError("InvalidArgument", "no such object access control exists")
    return acl


def _put(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    check_key(ask.key)
    acl = _acl(ask)
    if forbids_overwrite(ask) and ask.key in bucket.objects:
        raise OssRefusedError("FileAlreadyExists")  # before the body is read
    blob = receive(state, ask)
    stored = StoredObject(ask.key, blob, blob.md5, state.world.clock.now(), kept_headers(ask.headers), acl=acl)
    state.put(bucket, stored, forbid_overwrite=forbids_overwrite(ask))
    return empty(200, ("ETag", etag(stored)), _crc(blob), ("Content-MD5", _digest(blob)))


def _append(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    check_key(ask.key)
    position = ask.number("position", 0, 1 << 62, 0)
    added = receive(state, ask)
    try:
        with state.lock:
            before = _appendable(bucket, ask.key, position)
            blob = state.blobs.append(before.blob, added) if before else added
            headers = before.headers if before else kept_headers(ask.headers)
            acl, tag, now = before.acl if before else _acl(ask), f"{blob.crc64:032X}", state.world.clock.now()
            stored = StoredObject(ask.key, blob, tag, now, headers, "Appendable", acl)
            state.put(bucket, stored)
    except OssRefusedError:
        added.path.unlink(missing_ok=True)
        raise
    return empty(200, ("ETag", etag(stored)), _crc(blob), ("x-oss-next-append-position", str(blob.size_bytes)))


def _appendable(bucket: Bucket, key: str, position: int) -> StoredObject | None:
    found = bucket.objects.get(key)
    size_bytes = found.blob.size_bytes if found else 0
    if found is not None and found.kind != "Appendable":
        raise OssRefusedError("ObjectNotAppendable")
    if position != size_bytes:
        # Without this header the vendor's SDK does not recognise the error.
        raise OssRefusedError("PositionNotEqualToLength", headers=(("x-oss-next-append-position", str(size_bytes)),))
    return found


def copy_source(state: OssState, account: Account | None, ask: Ask, region: str) -> StoredObject:
    """The object that `x-oss-copy-source` names, when the caller may read it and its conditions hold."""
    bucket_name, _, key = unquote(ask.headers["x-oss-copy-source"].partition("?")[0]).removeprefix("/").partition("/")
    read = Ask("GetObject", "GET", bucket_name, key, {}, {}, ask.stream, ask.host)
    stored = bucket_for(state, account, read, region).object(key)
    prefix = "x-oss-copy-source-"
    own = {name.removeprefix(prefix): value for name, value in ask.headers.items() if name.startswith(prefix)}
    _check_conditions(stored, own, read=False)
    return stored


def copy(state: OssState, bucket: Bucket, ask: Ask, source: StoredObject) -> Response:
    """`CopyObject` of a source that was found."""
    check_key(ask.key)
    blob = state.blobs.cut(source.blob, 0, source.blob.size_bytes)
    replaces = ask.headers.get("x-oss-metadata-directive", "COPY").upper() == "REPLACE"
    headers = kept_headers(ask.headers) if replaces else source.headers
    stored = StoredObject(ask.key, blob, source.etag, state.world.clock.now(), headers, acl=_acl(ask))
    state.put(bucket, stored, forbid_overwrite=forbids_overwrite(ask))
    said = {"ETag": etag(stored), "LastModified": iso_date(stored.modified)}
    return document("CopyObjectResult", said, _crc(blob), ("ETag", etag(stored)))


def _get(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    with state.lock:
        stored = _followed(bucket, bucket.object(ask.key))
        file = stored.blob.path.open("rb")  # open: whoever replaces the object does not disturb this answer
    try:
        _check_conditions(stored, ask.headers, read=True)
        start, end, status = wanted_range(ask.headers, stored.blob.size_bytes)
        file.seek(start)
    except BaseException:
        file.close()
        raise
    headers = dict(object_headers(stored))
    overrides = {name.removeprefix(_RESPONSE): value for name, value in ask.query.items() if name.startswith(_RESPONSE)}
    headers |= overrides
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.blob.size_bytes}"
    return Response(status, tuple(headers.items()), file, end - start)


def _head(_: OssState, bucket: Bucket, ask: Ask) -> Response:
    stored = _followed(bucket, bucket.object(ask.key))
    _check_conditions(stored, ask.headers, read=True)
    return empty(200, *object_headers(stored), ("Content-Length", str(stored.blob.size_bytes)))


def _meta(_: OssState, bucket: Bucket, ask: Ask) -> Response:
    stored = _followed(bucket, bucket.object(ask.key))
    size = ("Content-Length", str(stored.blob.size_bytes)) if ask.method == "HEAD" else ("Content-Length", "0")
    return empty(200, ("ETag", etag(stored)), ("Last-Modified", http_date(stored.modified)), size, _crc(stored.blob))


def _delete(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    state.remove(bucket, ask.key)
    return empty(204)


def _put_acl(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    stored = bucket.object(ask.key)
    changed = replace(stored, acl=_acl(ask))
    state.put(bucket, changed)
    return empty(200)


def _get_acl(_: OssState, bucket: Bucket, ask: Ask) -> Response:
    stored, owner = bucket.object(ask.key), {"ID": bucket.owner, "DisplayName": bucket.owner}
    return document("AccessControlPolicy", {"Owner": owner, "AccessControlList": {"Grant": stored.acl}})


def _put_symlink(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    check_key(ask.key)
    target = unquote(ask.headers.get("x-oss-symlink-target", ""))
    if not target:
        raise OssRefusedError("InvalidArgument", "x-oss-symlink-target is missing.")
    blob = receive(state, ask)
    stored = StoredObject(
        ask.key, blob, blob.md5, state.world.clock.now(), kept_headers(ask.headers), "Symlink", _acl(ask), target
    )
    state.put(bucket, stored, forbid_overwrite=forbids_overwrite(ask))
    return empty(200, ("ETag", etag(stored)))


def _get_symlink(_: OssState, bucket: Bucket, ask: Ask) -> Response:
    stored = bucket.object(ask.key)
    if stored.kind != "Symlink":
        raise OssRefusedError("InvalidArgument", "The object is not a symbolic link.")
    return empty(200, ("ETag", etag(stored)), ("x-oss-symlink-target", quote(stored.link, safe="")))


def _followed(bucket: Bucket, stored: StoredObject) -> StoredObject:
    if stored.kind != "Symlink":
        return stored
    target = bucket.object(stored.link)
    return replace(target, kind="Symlink", headers={**target.headers, **stored.headers})


def _check_conditions(stored: StoredObject, given: Mapping[str, str], *, read: bool) -> None:
    tag = stored.etag
    matches, differs = given.get("if-match"), given.get("if-none-match")
    since, until = given.get("if-modified-since"), given.get("if-unmodified-since")
    modified = stored.modified.replace(microsecond=0)
    if (matches and matches.strip('"') != tag) or (until and modified > parsedate_to_datetime(until)):
        raise OssRefusedError("PreconditionFailed")
    if (differs and differs.strip('"') == tag) or (since and modified <= parsedate_to_datetime(since)):
        raise OssRefusedError("NotModified" if read else "PreconditionFailed")


def _crc(blob: Blob) -> tuple[str, str]:
    return "x-oss-hash-crc64ecma", str(blob.crc64)


def _digest(blob: Blob) -> str:
    return base64.b64encode(bytes.fromhex(blob.md5)).decode()


OBJECT_OPERATIONS: Mapping[str, Operation] = {
    "AppendObject": _append,
    "DeleteObject": _delete,
    "GetObject": _get,
    "GetObjectACL": _get_acl,
    "GetObjectMeta": _meta,
    "GetSymlink": _get_symlink,
    "HeadObject": _head,
    "PutObject": _put,
    "PutObjectACL": _put_acl,
    "PutSymlink": _put_symlink,
}

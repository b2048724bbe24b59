"""The operations on buckets, and the list of an account's buckets. Source: Alibaba Cloud OSS, API reference."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from mediabroker.markup import local_name
from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.simulator.oss.access import ACLS
from mediabroker_alibaba.simulator.oss.answers import document, empty, iso_date, url_encoded
from mediabroker_alibaba.simulator.oss.object_operations import Operation
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.requests import Ask
from mediabroker_alibaba.simulator.oss.state import Bucket, OssState
from mediabroker_alibaba.simulator.server import Response
from mediabroker_alibaba.simulator.tenants import Account

__all__ = ["BUCKET_OPERATIONS", "create_bucket", "list_buckets"]

_BATCH = 1000


def create_bucket(state: OssState, account: Account, ask: Ask, region: str) -> Response:
    """`PutBucket`, in the endpoint's region."""
    acl = ask.headers.get("x-oss-acl")
    _check_acl(acl)
    state.create_bucket(account.id, ask.bucket, region, acl=acl)
    return empty(200, ("Location", f"/{ask.bucket}"))


def list_buckets(state: OssState, account: Account, ask: Ask) -> Response:
    """`ListBuckets`: the account's own, of all regions, by prefix and in pages."""
    prefix, marker = ask.query.get("prefix", ""), ask.query.get("marker", "")
    most = ask.number("max-keys", 1, 1000, 100)
    with state.lock:
        own = sorted(each.name for each in state.buckets.values() if each.owner == account.id)
        found = [name for name in own if name.startswith(prefix) and name > marker]
        entries = [_described(state.buckets[name]) for name in found[:most]]
    more = len(found) > most
    content: Tree = {
        "Owner": _owner(account.id),
        "Prefix": prefix,
        "Marker": marker,
        "MaxKeys": str(most),
        "IsTruncated": str(more).lower(),
        "NextMarker": found[most - 1] if more else "",
        "Buckets": {"Bucket": entries},
    }
    return document("ListAllMyBucketsResult", content)


def _described(bucket: Bucket) -> Tree:
    host = f"oss-{bucket.region}"
    return {
        "Name": bucket.name,
        "Location": host,
        "Region": bucket.region,
        "CreationDate": iso_date(bucket.created),
        "StorageClass": "Standard",
        "ExtranetEndpoint": f"{host}.aliyuncs.com",
        "IntranetEndpoint": f"{host}-internal.aliyuncs.com",
    }


def _owner(account: str) -> Tree:
    return {"ID": account, "DisplayName": account}


def _info(_: OssState, bucket: Bucket, ask: Ask) -> Response:  # noqa: ARG001  all operations look alike
    content: Tree = {
        **_described(bucket),
        "DataRedundancyType": "LRS",
        "AccessMonitor": "Disabled",
        "Owner": _owner(bucket.owner),
        "AccessControlList": {"Grant": bucket.acl},
    }
    return document("BucketInfo", {"Bucket": content})


def _location(_: OssState, bucket: Bucket, ask: Ask) -> Response:  # noqa: ARG001  all operations look alike
    body = f'<?xml version="1.0" encoding="UTF-8"?><LocationConstraint>oss-{bucket.region}</LocationConstraint>'
    return Response(200, (("Content-Type", "application/xml"),), body.encode())


def _stat(_: OssState, bucket: Bucket, ask: Ask) -> Response:  # noqa: ARG001  all operations look alike
    sizes = [each.blob.size_bytes for each in list(bucket.objects.values())]
    parts = sum(len(each.parts) for each in list(bucket.uploads.values()))
    counts = {"Storage": sum(sizes), "ObjectCount": len(sizes), "MultipartUploadCount": len(bucket.uploads)}
    more = {"MultipartPartCount": parts, "LiveChannelCount": 0, "LastModifiedTime": 0}
    return document("BucketStat", {name: str(value) for name, value in {**counts, **more}.items()})


def _list_live(_: OssState, bucket: Bucket, ask: Ask) -> Response:  # noqa: ARG001  all operations look alike
    """None: nothing is streamed here, but the vendor's SDKs look when they empty a bucket."""
    content = {"Prefix": "", "Marker": "", "MaxKeys": "100", "IsTruncated": "false", "NextMarker": ""}
    return document("ListLiveChannelResult", content)


def _get_acl(_: OssState, bucket: Bucket, ask: Ask) -> Response:  # noqa: ARG001  all operations look alike
    content: Tree = {"Owner": _owner(bucket.owner), "AccessControlList": {"Grant": bucket.acl}}
    return document("AccessControlPolicy", content)


def _put_acl(_: OssState, bucket: Bucket, ask: Ask) -> Response:
    acl = ask.headers.get("x-oss-acl")
    _check_acl(acl)
    bucket.acl = acl or bucket.acl
    return empty(200)


def _check_acl(acl: str | None) -> None:
    if acl is not None and acl not in ACLS:
        raise OssRefusedError("InvalidArgument", "no such bucket access control exists")


def _delete(state: OssState, bucket: Bucket, ask: Ask) -> Response:  # noqa: ARG001  all operations look alike
    with state.lock:
        if bucket.objects or bucket.uploads:
            raise OssRefusedError("BucketNotEmpty", more={"BucketName": bucket.name})
        del state.buckets[bucket.name]
    return empty(204)


def _delete_many(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    digest = base64.b64encode(hashlib.md5(ask.body, usedforsecurity=False).digest()).decode()
    if (given := ask.headers.get("content-md5")) is not None and given != digest:
        raise OssRefusedError("InvalidDigest")
    encoding = ask.query.get("encoding-type")
    quiet, keys = False, []
    for each in ask.document("Delete"):
        if local_name(each) == "Quiet":
            quiet = (each.text or "").strip() == "true"
        elif local_name(each) == "Object":
            keys += [child.text or "" for child in each if local_name(child) == "Key"]
    if not 1 <= len(keys) <= _BATCH:
        raise OssRefusedError("MalformedXML")
    for key in keys:
        state.remove(bucket, key)
    deleted: list[Tree] = [{"Key": url_encoded(key, encoding)} for key in keys]
    told = {} if quiet else {"Deleted": deleted}
    return document("DeleteResult", {**({"EncodingType": encoding} if encoding else {}), **told})


BUCKET_OPERATIONS: Mapping[str, Operation] = {
    "DeleteBucket": _delete,
    "DeleteMultipleObjects": _delete_many,
    "GetBucketACL": _get_acl,
    "GetBucketInfo": _info,
    "GetBucketLocation": _location,
    "GetBucketStat": _stat,
    "ListLiveChannel": _list_live,
    "PutBucketACL": _put_acl,
}

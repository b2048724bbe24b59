"""Who may do what: owners everything, others what a bucket's or an object's access control list leaves open."""

from __future__ import annotations

from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.requests import Ask
from mediabroker_alibaba.simulator.oss.state import Bucket, OssState
from mediabroker_alibaba.simulator.tenants import Account

__all__ = ["ACLS", "bucket_for"]

ACLS = ("private", "public-read", "public-read-write")
_READS = frozenset({"GetObject", "HeadObject", "GetObjectMeta", "ListObjects", "ListObjectsV2", "GetSymlink"})
_WRITES = frozenset({"PutObject", "AppendObject", "DeleteObject"})


def bucket_for(state: OssState, account: Account | None, ask: Ask, region: str) -> Bucket:
    """The bucket that is asked for, when the caller may do that with it, here.

    Raises:
        OssRefusedError: no such bucket, no right, or the bucket is reached by another region's endpoint.
    """
    bucket = state.bucket(ask.bucket)
    if bucket.region != region:
        endpoint = f"oss-{bucket.region}.aliyuncs.com"
        raise OssRefusedError(
            "AccessDenied",
            "The bucket you are attempting to access must be addressed using the specified endpoint. "
            "Please send all future requests to this endpoint.",
            more={"Bucket": bucket.name, "Endpoint": endpoint},
        )
    if (account is None or account.id != bucket.owner) and not _is_open(bucket, ask):
        raise OssRefusedError("AccessDenied")
    return bucket


def _is_open(bucket: Bucket, ask: Ask) -> bool:
    stored = bucket.objects.get(ask.key)
    acl = stored.acl if stored is not None and stored.acl != "default" else bucket.acl
    return (ask.operation in _READS and acl != "private") or (ask.operation in _WRITES and acl == "public-read-write")

"""The RAM policy of a program that uses this package: the operations that its clients call, and no more.

Source: Resource Access Management, "Policy structure and syntax"; the services' pages "RAM authorization", read 2026.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

__all__ = ["MNS_ACTIONS", "MPS_ACTIONS", "OSS_ACTIONS", "client_policy"]

MPS_ACTIONS = (
    "CancelJob",
    "ListJob",
    "QueryIProductionJob",
    "QueryJobList",
    "QueryMediaInfoJobList",
    "QuerySnapshotJobList",
    "SubmitIProductionJob",
    "SubmitJobs",
    "SubmitMediaInfoJob",
    "SubmitSnapshotJob",
)
OSS_ACTIONS = (
    "AbortMultipartUpload",
    "DeleteObject",
    "GetObject",
    "ListMultipartUploads",
    "ListObjects",
    "ListParts",
    "PutObject",
)
"""A multipart upload is created and completed under `PutObject`; the head of an object is read under `GetObject`."""
MNS_ACTIONS = (
    "BatchDeleteMessage",
    "BatchPeekMessage",
    "BatchReceiveMessage",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "PeekMessage",
    "ReceiveMessage",
)
"""Each operation in both forms, because the client asks for several messages at a time."""


def client_policy(buckets: Sequence[str], queue: str, region: str) -> dict[str, JsonValue]:
    """Return the policy document for programs that submit jobs, read and write `buckets`, and consume `queue`.

    MPS knows no resources that a policy could name, so its statement names all.
    """
    objects: list[JsonValue] = [place for each in buckets for place in (f"acs:oss:*:*:{each}", f"acs:oss:*:*:{each}/*")]
    messages = f"acs:mns:{region}:*:/queues/{queue}/messages"
    return {
        "Version": "1",
        "Statement": [
            _allow("mts", MPS_ACTIONS, ["*"]),
            _allow("oss", OSS_ACTIONS, objects),
            _allow("mns", MNS_ACTIONS, [messages]),
        ],
    }


def _allow(service: str, actions: Sequence[str], resources: list[JsonValue]) -> dict[str, JsonValue]:
    return {"Effect": "Allow", "Action": [f"{service}:{each}" for each in actions], "Resource": resources}

"""The messages that MPS posts when jobs end.

Source: SubmitIProductionJob, "Callbacks" (2021), and "Receive message notifications": messages of transcodes and
snapshots carry each key in both capitalisations. When both a NotifyUrl and the pipeline name a queue, the vendor does
not say which gets the message; here it is NotifyUrl's.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.jobs import Job
from mediabroker_alibaba.simulator.mps.pipelines import Pipeline
from mediabroker_alibaba.simulator.seams import PostRefusedError, Queues

__all__ = ["NotifyQueue", "NotifyTopic", "build_message", "parse_notify_url", "post_message"]

# The operation's manual page shows `.oss-<region>.` in the host where every other source has `.mns.<region>.`.
_NOTIFY_URL = re.compile(
    r"mns://(?P<account>\d+)\.(?:mns\.|(?:mns\.)?oss-)(?P<region>[a-z0-9-]+?)(?:-internal(?:-vpc)?)?\.aliyuncs\.com"
    r"/queues/(?P<queue>[A-Za-z0-9][A-Za-z0-9-]{0,255})"
)
_TYPES = {"production": "IProduction", "transcode": "Transcode", "snapshot": "Snapshot", "media_info": "MediaInfo"}


class NotifyQueue(NamedTuple):
    """A queue by its full address."""

    account: str
    region: str
    queue: str


class NotifyTopic(NamedTuple):
    """A topic by its full address."""

    account: str
    region: str
    topic: str


def parse_notify_url(url: str) -> NotifyQueue | None:
    """The queue that a NotifyUrl names; None when it names none: only `mns://` and only queues will do."""
    matched = _NOTIFY_URL.fullmatch(url)
    return NotifyQueue(matched["account"], matched["region"], matched["queue"]) if matched else None


def build_message(job: Job) -> dict[str, Json]:
    """The message for a job that has ended."""
    outcome = job.outcome
    assert outcome is not None
    if job.kind == "production":
        message: dict[str, Json] = {
            "Type": "IProduction",
            "FunctionName": job.function,
            "JobId": job.id,
            "State": "Success" if outcome.ok else "Fail",
            "Code": outcome.code,
            "Message": "success" if outcome.ok else outcome.message,
            "Details": [],
        }
        if job.function == "AudioMixing" and outcome.ok:  # as in the vendor's sample for it
            message["Message"] = "Successful."
            del message["Details"]
        return message if job.user_data is None else {**message, "UserData": job.user_data}
    fields: dict[str, Json] = {
        "jobId": job.id,
        "requestId": str(uuid.uuid4()).upper(),
        "type": _TYPES[job.kind],
        "state": "Success" if outcome.ok else "Fail",
    }
    if job.user_data is not None:
        fields["userData"] = job.user_data
    twice: dict[str, Json] = {**fields, **{name[0].upper() + name[1:]: value for name, value in fields.items()}}
    return twice if outcome.ok else {**twice, "code": outcome.code, "msg": outcome.message, "Msg": outcome.message}


def post_message(job: Job, pipeline: Pipeline, queues: Queues, *, plain: bool) -> Mapping[str, Json] | None:
    """Post the message of an ended job where it is wanted; the `MNSMessageResult`, or None when nobody wants it.

    Args:
        plain: the body is the JSON itself, not its Base64.
    """
    target = _target(job, pipeline)
    if target is None:
        return None
    if isinstance(target, PostRefusedError):
        return {"ErrorCode": target.code, "ErrorMessage": target.message}
    deliver = queues.post if isinstance(target, NotifyQueue) else queues.publish
    text = json.dumps(build_message(job), ensure_ascii=False)
    body = text if plain else base64.b64encode(text.encode()).decode()
    try:
        return {"MessageId": deliver(target.account, target.region, target[2], body)}
    except PostRefusedError as error:
        return {"ErrorCode": error.code, "ErrorMessage": error.message}


def _target(job: Job, pipeline: Pipeline) -> NotifyQueue | NotifyTopic | PostRefusedError | None:
    if url := job.request.get("NotifyUrl"):
        queue = parse_notify_url(url)
        if queue is None or queue.account != job.account:
            return PostRefusedError("AccessDenied", "The queue belongs to another account.")
        if queue.region != job.region:
            return PostRefusedError("QueueNotExist", "The queue you provided is not exist.")
        return queue
    if name := pipeline.notify.get("QueueName"):
        return NotifyQueue(job.account, job.region, str(name))
    if name := pipeline.notify.get("Topic"):
        return NotifyTopic(job.account, job.region, str(name))
    return None

"""What is sent to MPS: pure functions from our model to theirs. Transcodes have `transcode_requests`.

Source: Alibaba Cloud MPS, "SubmitIProductionJob", "SubmitSnapshotJob", "SubmitMediaInfoJob" and their queries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import UnavailableError
from mediabroker.jobs import MediaInfo, SmartProduction, Snapshot
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, Reply, SubmitContext
from mediabroker_alibaba.catalogue import build_params
from mediabroker_alibaba.mns.url import build_notify_url
from mediabroker_alibaba.mps.errors import PROVIDER
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.oss.names import build_location, build_url
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.user_data import build_user_data

__all__ = [
    "PROBE",
    "build_cancel",
    "build_list",
    "build_media_info",
    "build_probe",
    "build_production",
    "build_query",
    "build_query_production",
    "build_snapshot",
    "dump",
    "listed",
    "picture_of",
    "read_id",
    "without_none",
]

SERVICE = "mps"
QUERY_LIMIT = 10
"""Jobs in one query. Source: MPS, "QueryJobList", "QuerySnapshotJobList", "QueryMediaInfoJobList"."""
_PAGE = 100
_SKEW = timedelta(minutes=15)
"""How far our clock may be from the vendor's before it refuses every call."""
_ID = re.compile(r"[0-9a-f]{32}|<\w+\.\w+>")


def dump(value: Any) -> str:
    """JSON as MPS takes it within a parameter."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_none(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are set; the SDK would send `None` as a word."""
    return {name: value for name, value in params.items() if value is not None}


def build_production(
    settings: MpsSettings, spec: SmartProduction[Any], options: MpsOptions, ctx: SubmitContext
) -> Call[str]:
    """`SubmitIProductionJob`, for a leaf or the open form. Reads as the job's id."""
    function, job_params = build_params(spec, settings.region)
    notify_url = options.notify_url or settings.notify_url
    params = {
        "FunctionName": function,
        "Input": build_url(ctx.input, settings.region),
        "Output": build_url(ctx.output, settings.region) if ctx.output else None,
        "JobParams": dump(job_params) if job_params else None,
        "PipelineId": options.pipeline or settings.pipeline,
        "ModelId": options.model_id,
        "ScheduleParams": options.schedule_params,
        "NotifyUrl": build_notify_url(notify_url) if notify_url else None,
        "UserData": build_user_data(spec, ctx, limit_bytes=settings.user_data_limit_bytes, step="production"),
        **options.extra,
    }
    return _create("SubmitIProductionJob", params, "production", read_id("JobId"), {"JobId": "<production.jobId>"})


def build_query_production(native_id: str) -> Call[Reply]:
    """Smart-production jobs can only be asked for one by one."""
    return Call(SERVICE, "QueryIProductionJob", {"JobId": native_id})


def build_media_info(
    settings: MpsSettings, spec: MediaInfo, options: MpsOptions, ctx: SubmitContext, step: str = "media_info"
) -> Call[str]:
    """`SubmitMediaInfoJob` that answers at once with its id only."""
    limit = settings.user_data_limit_bytes
    params = {
        "Input": dump(build_location(ctx.input, settings.region)),
        "Async": "true",
        "PipelineId": options.pipeline or settings.pipeline,
        "UserData": build_user_data(spec, ctx, limit_bytes=limit, step=step, output=ctx.output),
        **options.extra,
    }
    stand_in: Reply = {"MediaInfoJob": {"JobId": f"<{step}.jobId>"}}
    return _create("SubmitMediaInfoJob", params, step, read_id("MediaInfoJob", "JobId"), stand_in)


PROBE = "mediabroker:probe"
"""The user data of probes: MPS reports their end to the pipeline's queue like that of every job."""


def build_probe(settings: MpsSettings, options: MpsOptions, uri: MediaURI) -> Call[Reply]:
    """What the media at `uri` is, in one answer. A read: nobody waits for its job, and asking twice changes nothing."""
    params = {
        "Input": dump(build_location(uri, settings.region)),
        "Async": "false",
        "PipelineId": options.pipeline or settings.pipeline,
        "UserData": PROBE,
    }
    return Call(SERVICE, "SubmitMediaInfoJob", without_none(params))


def build_snapshot(
    settings: MpsSettings, spec: Snapshot, options: MpsOptions, ctx: SubmitContext, number: int
) -> Call[str]:
    """`SubmitSnapshotJob` for the picture counted `number` (from 1).

    One call a picture: a single one is named exactly, a series by the vendor's own numbers.
    """
    assert ctx.output is not None
    step, count = f"picture-{number}", len(spec.at_s)
    picture = picture_of(ctx.output, number)
    config: dict[str, JsonValue] = {
        "OutputFile": build_location(picture, settings.region),
        "Time": str(round(spec.at_s[number - 1] * 1000)),
        **({"Width": str(spec.width_px)} if spec.width_px is not None else {}),
    }
    limit = settings.user_data_limit_bytes
    params = {
        "Input": dump(build_location(ctx.input, settings.region)),
        "SnapshotConfig": dump(config),
        "PipelineId": options.pipeline or settings.pipeline,
        "UserData": build_user_data(spec, ctx, limit_bytes=limit, step=step, of=count),
        **options.extra,
    }
    stand_in: Reply = {"SnapshotJob": {"Id": f"<picture_{number}.id>"}}
    return _create("SubmitSnapshotJob", params, step, read_id("SnapshotJob", "Id"), stand_in)


def picture_of(output: MediaURI, number: int) -> MediaURI:
    """The output's name with the picture's number in it."""
    return MediaURI(str(output).replace("{index}", str(number)))


def build_query(operation: str, parameter: str, ids: Sequence[str]) -> Call[Reply]:
    """A query by at most ten ids."""
    return Call(SERVICE, operation, {parameter: ",".join(ids)})


def build_list(
    operation: str, sent_at: datetime | None, page: str | None, *, pipeline: str | None = None
) -> Call[Reply]:
    """One page of `ListJob` or `QuerySnapshotJobList`: jobs that were made after `sent_at`, as far as clocks agree."""
    since = _stamp(sent_at - _SKEW) if sent_at else None
    params = {
        "StartOfJobCreatedTimeRange": since,
        "MaximumPageSize": str(_PAGE),
        "NextPageToken": page,
        "PipelineId": pipeline,
        "State": "All",
    }
    return Call(SERVICE, operation, without_none(params))


def build_cancel(native_id: str) -> Call[Reply]:
    """`CancelJob`; only a transcode that has not begun can be cancelled."""
    return Call(SERVICE, "CancelJob", {"JobId": native_id}, "cancel")


def listed(reply: Reply, name: str, entry: str, *, operation: str) -> list[dict[str, Any]]:
    """A list of an answer: `{"JobList": {"Job": [...]}}`, or flattened as some pages print it.

    Raises:
        UnavailableError: the answer has no such list. Taken for an empty one, every job would seem lost.
    """
    found: Any = reply.get(name)
    if isinstance(found, Mapping):
        found = found.get(entry, [])
    if not isinstance(found, list):
        raise UnavailableError(f"{operation}: the answer has no {name}", provider=PROVIDER, operation=operation)
    return [dict(each) for each in found if isinstance(each, Mapping)]


def read_id(*path: str) -> Callable[[Reply], str]:
    """Reads a job's id from an answer, by names in whatever capitals: one page shows them in lower case.

    Raises:
        ValueError: by the reader: there is none of the right form, so nobody knows what became of the call.
    """

    def read(reply: Reply) -> str:
        value: Any = reply
        for name in path:
            value = _named(value, name) if isinstance(value, Mapping) else None
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise ValueError(f"the answer names no job: {'.'.join(path)} is {value!r:.80}")
        return value

    return read


def _named(values: Mapping[str, Any], name: str) -> Any:
    return next((values[each] for each in (name, *values) if each in values and each.lower() == name.lower()), None)


def _create(
    operation: str, params: Mapping[str, Any], step: str, read: Callable[[Reply], str], stand_in: Reply
) -> Call[str]:
    return Call(SERVICE, operation, without_none(params), "create", step, read=read, stand_in=stand_in)


def _stamp(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

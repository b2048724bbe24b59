"""Transcodes: SubmitJobs, QueryJobList, ListJob and CancelJob.

Source: ApsaraVideo for Media Processing, SubmitJobs, QueryJobList, ListJob, CancelJob.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple, cast
from urllib.parse import quote

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.checks import (
    Call,
    check_id,
    check_user_data,
    json_object,
    json_place,
    listed_ids,
    required,
)
from mediabroker_alibaba.simulator.mps.jobs import Job, Place, stamp
from mediabroker_alibaba.simulator.mps.paging import page_of
from mediabroker_alibaba.simulator.mps.pipelines import Pipeline, find_pipeline
from mediabroker_alibaba.simulator.mps.progression import Engine
from mediabroker_alibaba.simulator.mps.refusals import RpcError, invalid
from mediabroker_alibaba.simulator.mps.settings import read_settings
from mediabroker_alibaba.simulator.mps.state import Shelf

__all__ = ["cancel", "list_jobs", "query", "submit"]

_OUTPUTS_LIMIT = 30
_TOO_LATE = {
    "running": "JobInRunning",
    "failed": "JobInFailure",
    "succeeded": "JobInComplete",
    "cancelled": "JobInComplete",
}


def submit(shelf: Shelf, call: Call, engine: Engine) -> dict[str, Json]:
    """One job for each output; an output that is refused has `Success: false`, and the others go on."""
    source = json_object("Input", required(call, "Input"))
    place = json_place(call, "Input", source)
    target = {"Bucket": required(call, "OutputBucket"), "Location": f"oss-{call.region}"}
    location = call.params.get("OutputLocation") or "oss-cn-hangzhou"
    if location != f"oss-{call.region}":
        raise invalid("OutputLocation", "LocationInvalid")
    outputs = _outputs(required(call, "Outputs"))
    pipeline = find_pipeline(shelf, required(call, "PipelineId"))
    results: list[Json] = []
    for output in outputs:
        try:
            job = _build(shelf, call, _Common(pipeline, place, target), output)
        except RpcError as error:
            results.append({"Success": False, "Code": error.code, "Message": error.message})
        else:
            engine.submit(shelf, job, call.action)
            results.append({"Success": True, "Job": _describe(job)})
    return {"JobResultList": {"JobResult": results}}


def query(shelf: Shelf, call: Call) -> dict[str, Json]:
    """The newest first; ids of other accounts, regions and kinds do not exist."""
    wanted = listed_ids(call, "JobIds")
    found = [job for job in _newest_first(shelf) if job.id in wanted]
    known = {job.id for job in found}
    absent: list[Json] = [each for each in wanted if each not in known]
    described: list[Json] = [_described_later(job) for job in found]
    return {"JobList": {"Job": described}, "NonExistJobIds": {"String": absent} if absent else None}


def list_jobs(shelf: Shelf, call: Call) -> dict[str, Json]:
    """A page of the jobs of the last 90 days, the newest first; the token of a page is the last job before it."""
    page, more = page_of(call, _newest_first(shelf), "transcode")
    described: list[Json] = [_described_later(job) for job in page]
    return {"JobList": {"Job": described}, "NextPageToken": more}


def cancel(shelf: Shelf, call: Call, engine: Engine) -> dict[str, Json]:
    """Only a job that nobody has begun can be cancelled."""
    job = shelf.jobs.get(check_id("JobId", required(call, "JobId")))
    if job is None or job.kind != "transcode":
        raise invalid("JobId", "ResourceNotFound")
    if job.state != "waiting":
        raise RpcError(403, f"PermissionDenied.{_TOO_LATE[job.state]}", f'The job "{job.id}" cannot be cancelled.')
    engine.cancel(job)
    return {"JobId": job.id}


def _outputs(text: str) -> list[Mapping[str, Json]]:
    try:
        outputs = json.loads(text)
    except ValueError:
        raise invalid("Outputs", "JsonFormatInvalid") from None
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise invalid("Outputs", "JsonArrayFormatInvalid")
    if not 1 <= len(outputs) <= _OUTPUTS_LIMIT:
        raise invalid("Outputs", "ListSizeExceed" if outputs else "EmptyValue")
    return cast("list[Mapping[str, Json]]", outputs)


class _Common(NamedTuple):
    """What the outputs of one request share."""

    pipeline: Pipeline
    source: Place
    target: Mapping[str, str]


def _build(shelf: Shelf, call: Call, common: _Common, output: Mapping[str, Json]) -> Job:
    pattern = output.get("OutputObject")
    if not isinstance(pattern, str) or not pattern:
        raise invalid("OutputObject", "NullValue")
    target = json_place(call, "Output", {**common.target, "Object": pattern})
    user_data, priority = output.get("UserData"), str(output.get("Priority") or "6")
    if not priority.isdecimal() or not 1 <= int(priority) <= 10:
        raise invalid("Priority", "OutOfRange")
    settings = read_settings(output, shelf.templates)
    return Job(
        kind="transcode",
        account=call.account,
        region=call.region,
        pipeline_id=common.pipeline.id,
        created_at=call.at,
        request={"Input": call.params["Input"], "TemplateId": str(output["TemplateId"])},
        user_data=None if user_data is None else check_user_data("UserData", str(user_data)),
        priority=int(priority),
        input=common.source,
        output=Place(target.bucket, target.region, _placed(target.key, common.source.key, settings)),
        settings=settings,
    )


def _placed(pattern: str, source: str, settings: Mapping[str, Mapping[str, str]]) -> str:
    """The output's key, with what is known of it before the work; of all formats only m3u8 gets its ending added."""
    path = PurePosixPath(source)
    prefix = "" if str(path.parent) == "." else f"{path.parent}/"
    key = pattern.replace("{ObjectPrefix}", prefix).replace("{FileName}", path.stem)
    key = key.replace("{ExtName}", path.suffix.removeprefix("."))
    is_playlist = settings.get("Container", {}).get("Format") == "m3u8"
    return f"{key}.m3u8" if is_playlist and not key.endswith(".m3u8") else key


def _newest_first(shelf: Shelf) -> list[Job]:
    return [job for job in reversed(shelf.jobs.values()) if job.kind == "transcode"]


def _described_later(job: Job) -> dict[str, Json]:
    return {**_describe(job), "SubmitTime": stamp(job.created_at)}


def _describe(job: Job) -> dict[str, Json]:
    outcome, output = job.outcome, job.output
    assert output is not None
    key = outcome.keys[0] if outcome and outcome.keys else output.key
    made = outcome.data if outcome and isinstance(outcome.data, Mapping) else None
    return {
        "JobId": job.id,
        "State": job.word,
        "Code": outcome.code if outcome and not outcome.ok else None,
        "Message": outcome.message if outcome and not outcome.ok else None,
        "Percent": 100 if job.state == "succeeded" else 0,
        "PipelineId": job.pipeline_id,
        "CreationTime": stamp(job.created_at),
        "FinishTime": stamp(job.finished_at),
        "Input": json.loads(job.request["Input"]),
        "Output": {
            "OutputFile": {
                "Bucket": output.bucket,
                "Location": f"oss-{output.region}",
                "Object": quote(key, safe=""),
            },
            "TemplateId": job.request["TemplateId"],
            "UserData": job.user_data,
            "Priority": str(job.priority),
            **{part: dict(values) for part, values in job.settings.items()},
            "Properties": made,
        },
        "MNSMessageResult": job.message,
    }

"""Snapshots and media information: SubmitSnapshotJob, SubmitMediaInfoJob and their queries.

Source: ApsaraVideo for Media Processing, SubmitSnapshotJob, QuerySnapshotJobList, SubmitMediaInfoJob,
QueryMediaInfoJobList. Registering media buckets is not simulated: every bucket of the account counts as one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.checks import (
    Call,
    check_user_data,
    json_object,
    json_place,
    listed_ids,
    required,
)
from mediabroker_alibaba.simulator.mps.jobs import Job, Kind, Place, stamp
from mediabroker_alibaba.simulator.mps.paging import page_of
from mediabroker_alibaba.simulator.mps.pipelines import find_pipeline
from mediabroker_alibaba.simulator.mps.progression import Engine
from mediabroker_alibaba.simulator.mps.refusals import RpcError, invalid
from mediabroker_alibaba.simulator.mps.state import Shelf

__all__ = ["query_media_info", "query_snapshots", "submit_media_info", "submit_snapshot"]

_NOT_DONE = ("Format", "SubOut", "TileOut", "TileOutputFile")
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "Time": (0, 1e12),
    "Num": (1, 10_000),
    "Interval": (1, 86_400),
    "Width": (8, 4096),
    "Height": (8, 4096),
}


def submit_snapshot(shelf: Shelf, call: Call, engine: Engine) -> dict[str, Json]:
    """At once for one picture; with `Num` or `Interval` it takes its turn in the pipeline."""
    source = json_place(call, "Input", json_object("Input", required(call, "Input")))
    config = json_object("SnapshotConfig", required(call, "SnapshotConfig"))
    for name in _NOT_DONE:
        if config.get(name):
            raise invalid(f"SnapshotConfig.{name}", "NotSupported")
    for name, (least, most) in _NUMBERS.items():
        _check_number(name, config.get(name), least, most)
    target = config.get("OutputFile")
    if not isinstance(target, Mapping):
        raise invalid("SnapshotConfig.OutputFile", "NullValue")
    output = json_place(call, "SnapshotConfig.OutputFile", target)
    many = str(config.get("Num") or "1") != "1" or bool(config.get("Interval")) or bool(config.get("TimeArray"))
    if many and "{Count}" not in output.key:
        raise invalid("SnapshotConfig.OutputFile.Object", "ObjectKeyInvalid")
    job = _job("snapshot", shelf, call, source, output=output, config=config)
    engine.submit(shelf, job, call.action)
    if "Num" not in config and "Interval" not in config:
        engine.run_now(shelf, job)
    return {"SnapshotJob": _snapshot(job)}


def submit_media_info(shelf: Shelf, call: Call, engine: Engine) -> dict[str, Json]:
    """`Async` true: in the pipeline; otherwise the answer holds the properties."""
    source = json_place(call, "Input", json_object("Input", required(call, "Input")))
    mode = call.params.get("Async", "false").lower()
    if mode not in ("true", "false"):
        raise RpcError(400, "ParameterNotBoolean", 'The specified parameter "Async" is not a boolean.')
    job = _job("media_info", shelf, call, source, config={"Async": mode == "true"})
    engine.submit(shelf, job, call.action)
    if mode == "false":
        engine.run_now(shelf, job)
    return {"MediaInfoJob": _media_info(job)}


def query_snapshots(shelf: Shelf, call: Call) -> dict[str, Json]:
    """By ids; without any, a page of those of the last 90 days, the newest first."""
    if not call.params.get("SnapshotJobIds"):
        newest = [job for job in reversed(shelf.jobs.values()) if job.kind == "snapshot"]
        page, more = page_of(call, newest, "snapshot")
        listed: list[Json] = [_snapshot(job) for job in page]
        return {"SnapshotJobList": {"SnapshotJob": listed}, "NextPageToken": more}
    found, absent = _found(shelf, call, "snapshot", "SnapshotJobIds")
    jobs: list[Json] = [_snapshot(job) for job in found]
    return {"SnapshotJobList": {"SnapshotJob": jobs}, "NonExistSnapshotJobIds": absent}


def query_media_info(shelf: Shelf, call: Call) -> dict[str, Json]:
    found, absent = _found(shelf, call, "media_info", "MediaInfoJobIds")
    jobs: list[Json] = [_media_info(job) for job in found]
    return {"MediaInfoJobList": {"MediaInfoJob": jobs}, "NonExistMediaInfoJobIds": absent}


def _found(shelf: Shelf, call: Call, kind: Kind, name: str) -> tuple[list[Job], Json]:
    wanted = listed_ids(call, name)
    found = [job for job in reversed(shelf.jobs.values()) if job.kind == kind and job.id in wanted]
    absent: list[Json] = [each for each in wanted if each not in {job.id for job in found}]
    return found, {"String": absent} if absent else None


def _job(
    kind: Kind, shelf: Shelf, call: Call, source: Place, *, output: Place | None = None, config: Mapping[str, Json]
) -> Job:
    return Job(
        kind=kind,
        account=call.account,
        region=call.region,
        pipeline_id=find_pipeline(shelf, call.params.get("PipelineId")).id,
        created_at=call.at,
        request={name: call.params[name] for name in ("Input", "SnapshotConfig") if name in call.params},
        user_data=check_user_data("UserData", call.params.get("UserData")),
        input=source,
        output=output,
        config=config,
    )


def _check_number(name: str, value: Json, least: float, most: float) -> None:
    if value in (None, ""):
        return
    try:
        number = float(str(value))
    except ValueError:
        raise invalid(f"SnapshotConfig.{name}", "NumberFormatInvalid") from None
    if not least <= number <= most:
        raise invalid(f"SnapshotConfig.{name}", "OutOfRange")


def _common(job: Job) -> dict[str, Json]:
    failed = job.outcome if job.outcome and not job.outcome.ok else None
    return {
        "State": job.word,
        "Input": json.loads(job.request["Input"]),
        "PipelineId": job.pipeline_id,
        "CreationTime": stamp(job.created_at),
        "UserData": job.user_data,
        "Code": failed.code if failed else None,
        "Message": failed.message if failed else None,
        "MNSMessageResult": job.message,
    }


def _snapshot(job: Job) -> dict[str, Json]:
    count = str(len(job.outcome.keys)) if job.outcome else None
    return {"Id": job.id, **_common(job), "Count": count, "SnapshotConfig": json.loads(job.request["SnapshotConfig"])}


def _media_info(job: Job) -> dict[str, Json]:
    properties = job.outcome.data if job.outcome and job.outcome.ok else None
    return {"JobId": job.id, **_common(job), "Async": job.config["Async"], "Properties": properties}

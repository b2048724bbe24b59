"""Smart production: SubmitIProductionJob and QueryIProductionJob.

Source: ApsaraVideo for Media Processing, SubmitIProductionJob and QueryIProductionJob (current and 2021).
"""

from __future__ import annotations

import json

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.checks import Call, check_id, check_user_data, json_object, oss_url, required
from mediabroker_alibaba.simulator.mps.jobs import Job
from mediabroker_alibaba.simulator.mps.messages import parse_notify_url
from mediabroker_alibaba.simulator.mps.pipelines import find_pipeline
from mediabroker_alibaba.simulator.mps.progression import Engine
from mediabroker_alibaba.simulator.mps.refusals import invalid
from mediabroker_alibaba.simulator.mps.state import Shelf

__all__ = ["BARE_FUNCTIONS", "FUNCTIONS", "query", "submit"]

FUNCTIONS = frozenset(
    {
        "AudioBeatDetection",
        "AudioMixing",
        "AudioQualityAssessment",
        "CaptionExtraction",
        "Cover",
        "FaceBeauty",
        "ImageCartoonize",
        "ImageDelogo",
        "ImageH2V",
        "MusicSegmentDetect",
        "SpeechDenoise",
        "VideoClip",
        "VideoDelogo",
        "VideoDetext",
        "VideoGreenScreenMatting",
        "VideoH2V",
        "VideoSplit",
    }
)
"""What the current API lists; others are refused."""
BARE_FUNCTIONS = frozenset({"ImageDelogo", "ImageH2V", "VideoDelogo", "VideoDetext", "VideoH2V"})
"""Their Result has `Details` and no `Data`."""
_WITHOUT_OUTPUT = frozenset({"AudioQualityAssessment", "MusicSegmentDetect", "VideoSplit"})
_KEPT = ("Input", "Output", "JobParams", "NotifyUrl", "ModelId", "ScheduleParams")


def submit(shelf: Shelf, call: Call, engine: Engine) -> dict[str, Json]:
    """Asynchronous functions only: the answer has a JobId and no Result, which is what 2021's pages say of them."""
    function = required(call, "FunctionName")
    if function not in FUNCTIONS:
        raise invalid("FunctionName")
    params = json_object("JobParams", call.params.get("JobParams") or "{}")
    source = oss_url(call, "Input", _given(call, "Input"))
    output = None
    if function not in _WITHOUT_OUTPUT or call.params.get("Output"):
        output = oss_url(call, "Output", _given(call, "Output"))
    if (url := call.params.get("NotifyUrl")) and parse_notify_url(url) is None:
        raise invalid("NotifyUrl")
    job = Job(
        kind="production",
        account=call.account,
        region=call.region,
        pipeline_id=find_pipeline(shelf, call.params.get("PipelineId")).id,
        created_at=call.at,
        request={name: call.params[name] for name in _KEPT if name in call.params},
        function=function,
        user_data=check_user_data("UserData", call.params.get("UserData")),
        input=source,
        output=output,
        config=params,
    )
    engine.submit(shelf, job, call.action)
    return {"JobId": job.id}


def query(shelf: Shelf, call: Call) -> dict[str, Json]:
    """Jobs of other accounts and regions are not found; so are transcodes."""
    job = shelf.jobs.get(check_id("JobId", required(call, "JobId")))
    if job is None or job.kind != "production":
        raise invalid("JobId", "ResourceNotFound")
    return {
        "JobId": job.id,
        "FunctionName": job.function,
        "Input": job.request.get("Input"),
        "Output": job.request.get("Output"),
        "JobParams": job.request.get("JobParams"),
        "PipelineId": job.pipeline_id,
        "UserData": job.user_data,
        "State": job.word,
        "Result": _result(job),
    }


def _given(call: Call, name: str) -> str:
    if not call.params.get(name):
        raise invalid(name, "NullValue" if name not in call.params else "EmptyValue")
    return call.params[name]


def _result(job: Job) -> str | None:
    """JSON text, whose `Data` is JSON text again; None until the job has ended."""
    if job.outcome is None:
        return None
    if not job.outcome.ok:
        return json.dumps({"Code": job.outcome.code, "Message": job.outcome.message})
    if job.function in BARE_FUNCTIONS:
        return json.dumps({"Details": [], "Message": "success", "Code": "Success"})
    data = json.dumps(job.outcome.data, ensure_ascii=False)
    return json.dumps({"Code": "Success", "Message": "Successful.", "Data": data}, ensure_ascii=False)

"""What a user writes, and what a type checker must make of it. Nothing here may be reported."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from typing_extensions import assert_type

from mediabroker import (
    AsyncBroker,
    Broker,
    Cover,
    CoverResult,
    ImagesResult,
    Job,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobResult,
    JobSpec,
    JobState,
    JobSucceeded,
    MediaInfo,
    MediaInfoResult,
    MediaURI,
    ProductionResult,
    SmartProduction,
    Snapshot,
    SuperResolution,
    Transcode,
    VideoDelogo,
    VideoEncoder,
    VideoResult,
)


class Waveform(JobSpec[ImagesResult], frozen=True):
    """A third party's kind."""

    kind: Literal["waveform"] = "waveform"
    width_px: int = 640


def results(broker: Broker) -> None:
    assert_type(broker.run(SuperResolution(input="in.mp4", output="out.mp4")), VideoResult)
    assert_type(broker.run(Transcode(input=Path("in.mp4"), output=MediaURI("s3://bucket/out.mp4"))), VideoResult)
    assert_type(broker.run(Snapshot(input="in.mp4", output="a.png", at_s=(1.5,))), ImagesResult)
    assert_type(broker.run(MediaInfo(input="in.mp4")), MediaInfoResult)
    assert_type(broker.run(SmartProduction(input="in.mp4", output="o.jpg", function="Cover")), ProductionResult)
    assert_type(broker.run(Cover(input="in.mp4", output="c-{sequenceId}.jpg")), CoverResult)
    assert_type(broker.run(VideoDelogo(input="in.mp4", output="o.mp4")), VideoResult)
    assert_type(broker.run(Waveform(input="in.wav", width_px=320)), ImagesResult)


def handles(broker: Broker) -> None:
    spec = SuperResolution(input="in.mp4", output="out.mp4", scale=4, encoder=VideoEncoder(crf=20))
    job = broker.submit(spec, idempotency_key="asset-42/x4")
    assert_type(job, Job[VideoResult])
    assert_type(job.result(timeout=10), VideoResult)
    assert_type(job.result().width_px, int | None)
    assert_type(job.result().outputs[0].uri, MediaURI)
    assert_type(job.state, JobState)
    assert_type(job.done(), bool)


async def later(broker: AsyncBroker) -> None:
    assert_type(await broker.run(SuperResolution(input="in.mp4", output="out.mp4")), VideoResult)


def events(event: JobEvent) -> str:
    match event:
        case JobSucceeded(result=result):
            assert_type(result, JobResult)
            return str(result.outputs)
        case JobFailed(error=error) if error.retryable:
            return str(error.code)
        case JobProgressed(progress=progress):
            assert_type(progress, float)
            return f"{progress:.0%}"
        case _:
            return event.id

"""The fixture `mediabroker` that the pytest plugin brings: the broker is real, the vendor does as it is told."""

from __future__ import annotations

from typing import Any

import pytest

from mediabroker import (
    CancelOutcome,
    ErrorCode,
    JobFailedError,
    JobQueued,
    JobStarted,
    JobState,
    JobSucceeded,
    SuperResolution,
    Transcode,
)
from mediabroker.errors import MediaBrokerError
from mediabroker.testing import plugin
from mediabroker.testing.fixture import ScriptedBroker
from mediabroker.testing.scripted import ScriptError, Step

SPEC = SuperResolution(input="s3://bucket/a.mp4", output="s3://bucket/o.mp4")


def test_a_job_goes_as_its_script_says(mediabroker: ScriptedBroker) -> None:
    job = mediabroker.submit(SPEC)
    mediabroker.vendor.script(job, ["queued", ("running", 0.4), "preempted", "running", "succeeded"])
    result = job.result(timeout=30)
    assert str(result.outputs[0].uri) == "s3://bucket/o.mp4"
    assert result.outputs[0].size_bytes == 18
    told = [type(each) for each in job.events()]
    assert told == [JobQueued, JobStarted, JobQueued, JobStarted, JobSucceeded]


def test_without_a_script_a_job_succeeds(mediabroker: ScriptedBroker) -> None:
    result = mediabroker.run(
        Transcode(input="oss://bucket/a.mp4", output="oss://bucket/hls/", container="hls"), timeout=30
    )
    assert str(result.outputs[0].uri) == "oss://bucket/hls/output"


def test_a_failure_has_the_code_of_the_script(mediabroker: ScriptedBroker) -> None:
    job = mediabroker.submit(SPEC)
    mediabroker.vendor.script(job, ["running", ("failed", ErrorCode.MEDIA_CORRUPT)])
    with pytest.raises(JobFailedError) as caught:
        job.result(timeout=30)
    assert caught.value.error.code is ErrorCode.MEDIA_CORRUPT


def test_a_job_that_runs_can_be_cancelled(mediabroker: ScriptedBroker) -> None:
    job = mediabroker.submit(SPEC)
    mediabroker.vendor.script(job, ["running"])
    assert job.refresh().state is JobState.RUNNING
    assert job.cancel() is CancelOutcome.CANCELLED
    assert job.wait(timeout=30).state is JobState.CANCELLED


def test_the_clock_stands_until_it_is_moved(mediabroker: ScriptedBroker) -> None:
    before = mediabroker.submit(SPEC).record.created_at
    mediabroker.clock.advance(3600)
    after = mediabroker.submit(SPEC.model_copy(update={"scale": 4})).record.created_at
    assert (after - before).total_seconds() == 3600


def test_success_without_its_object_is_seen_through(mediabroker: ScriptedBroker) -> None:
    job = mediabroker.submit(SPEC)
    mediabroker.vendor.script(job, ["succeeded"])
    mediabroker.vendor.objects.write(SPEC.output, iter([b""]))  # an empty file is no video
    with pytest.raises(JobFailedError) as caught:
        job.result(timeout=30)
    assert caught.value.error.code is ErrorCode.OUTPUT_MISSING


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["done"], "'done' is no step; they are queued"),
        ([], "a script needs one at least"),
        (["queued", ("running", 7)], r"\('running', 7\) is no step; .* from 0 to 1"),
        ([("running", -0.1)], "from 0 to 1"),
        ([("running", float("nan"))], "from 0 to 1"),
        ([("running", "half")], "from 0 to 1"),
        ([("running", ErrorCode.LOST)], "from 0 to 1"),
        ([("failed", 0.5)], "beside failed an ErrorCode"),
        ([("queued", 0.5)], "beside the others nothing"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused_at_the_call(
    mediabroker: ScriptedBroker, steps: list[Step], said: str
) -> None:
    job = mediabroker.submit(SPEC)
    with pytest.raises(ScriptError, match=said):
        mediabroker.vendor.script(job, steps)
    assert job.wait(timeout=30).state is JobState.SUCCEEDED


@pytest.mark.parametrize("progress", [0, 0.0, 0.5, 1])
def test_progress_from_0_to_1_is_played(mediabroker: ScriptedBroker, progress: float) -> None:
    job = mediabroker.submit(SPEC)
    mediabroker.vendor.script(job, [("running", progress)])
    assert job.refresh().progress == progress


def test_the_plugins_example_runs_as_it_is_shown(mediabroker: ScriptedBroker) -> None:
    shown = (plugin.__doc__ or "").partition("\n\n")[2]
    names: dict[str, Any] = {"SuperResolution": SuperResolution}
    exec(shown, names)
    names["test_publishes"](mediabroker)


def test_a_script_error_is_caught_as_any_other_of_ours() -> None:
    assert issubclass(ScriptError, MediaBrokerError)
    assert issubclass(ScriptError, ValueError)

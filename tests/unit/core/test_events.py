from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mediabroker import events
from mediabroker.errors import ErrorCode, InvalidJobError, JobError
from mediabroker.events import (
    JobAttemptFailed,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobQueued,
    JobStarted,
    JobSucceeded,
    Unrecognised,
    event_from_json,
)
from mediabroker.refs import JobRef, MemberRef
from mediabroker.results import Frames, JobResult, Output, VideoResult

REF = JobRef(job_id="j1", provider="local", kind="super_resolution", members=(MemberRef(role="run", native_id="abc"),))
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=timezone.utc)
COMMON: dict[str, Any] = {"id": "e1", "ref": REF, "sequence": 1, "occurred_at": NOW, "provider": "local", "attempt": 1}
RESULT = VideoResult(outputs=(Output(uri="s3://bucket/o.mp4", size_bytes=5),), width_px=128, frame_count=12)
ERROR = JobError.of(ErrorCode.PREEMPTED, "host taken back", provider_code="SpotInterruption", raw={"a": [1]})
EXAMPLES: list[JobEvent] = [
    JobQueued(**COMMON),
    JobStarted(**COMMON, user_data={"row": 7}),
    JobProgressed(**COMMON, progress=0.25, phase="upscaling", frames=Frames(done=3, total=12)),
    JobAttemptFailed(**COMMON, error=ERROR),
    JobSucceeded(**COMMON, result=RESULT, corrects="e0"),
    JobFailed(**COMMON, error=ERROR, result=RESULT, inferred=True),
    JobFailed(**COMMON, error=ERROR),
    JobCancelled(**COMMON),
    Unrecognised(**COMMON, raw={"status": "Paused"}),
]


def test_the_examples_cover_the_whole_union() -> None:
    assert {type(event) for event in EXAMPLES} == set(get_args(JobEvent))
    assert {cls.__name__ for cls in get_args(JobEvent)} <= set(events.__all__)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_every_event_reads_back_from_its_json(event: JobEvent) -> None:
    assert event_from_json(json.loads(json.dumps(event.model_dump(mode="json")))) == event


def test_a_result_reads_back_in_the_type_of_its_kind() -> None:
    twin = event_from_json(JobSucceeded(**COMMON, result=RESULT).model_dump(mode="json"))
    assert isinstance(twin, JobSucceeded)
    assert isinstance(twin.result, VideoResult)
    assert twin.result.frame_count == 12


def test_a_result_of_a_kind_that_this_process_does_not_know_reads_back_as_the_common_part() -> None:
    ref = REF.model_copy(update={"kind": "from_the_future"})
    event = JobSucceeded(**{**COMMON, "ref": ref}, result=JobResult(outputs=RESULT.outputs))
    assert event_from_json(event.model_dump(mode="json")) == event


@given(
    st.datetimes(timezones=st.just(timezone.utc)),
    st.integers(1, 2**53),
    st.floats(0, 1),
    st.text(st.characters(exclude_categories=("Cs",))),
)
def test_times_sequence_and_progress_survive_json(at: datetime, sequence: int, progress: float, phase: str) -> None:
    common = {**COMMON, "occurred_at": at, "sequence": sequence}
    event = JobProgressed(**common, progress=progress, phase=phase)
    assert event_from_json(json.loads(json.dumps(event.model_dump(mode="json")))) == event


def test_events_are_fit_for_match() -> None:
    told = []
    for event in EXAMPLES:
        match event:
            case JobSucceeded(result=result):
                told.append(result.outputs[0].uri)
            case JobFailed(error=error) if error.retryable:
                told.append(error.code)
            case JobProgressed(progress=progress):
                told.append(progress)
            case _:
                told.append(None)
    assert [each for each in told if each is not None] == [0.25, RESULT.outputs[0].uri, ERROR.code, ERROR.code]


@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan")])
def test_progress_outside_zero_and_one_is_refused(progress: float) -> None:
    with pytest.raises(InvalidJobError):
        JobProgressed(**COMMON, progress=progress)


@pytest.mark.parametrize("payload", [{}, {"type": "job_exploded"}, {"type": "job_queued"}, {"type": None}])
def test_what_is_no_event_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        event_from_json(payload)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidJobError):
        JobQueued(**{**COMMON, "occurred_at": NOW.replace(tzinfo=None)})


def test_a_time_of_another_zone_is_the_same_moment_in_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=8)))
    event = JobQueued(**{**COMMON, "occurred_at": there})
    assert event.occurred_at == NOW
    assert event.occurred_at.utcoffset() == timedelta(0)

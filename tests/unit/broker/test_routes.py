"""Routes: who is tried, in which order, and for which failures another one follows; a slow one is never left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.errors import ConfigurationError, ErrorCode, JobError, ProviderError, UnsupportedError
from mediabroker.events import JobAttemptFailed
from mediabroker.spi import Call
from tests.ledger import LedgerOptions, LedgerProvider
from tests.stores import BucketFolders
from tests.unit.broker.conftest import HandClock

Make = Callable[..., tuple[Broker, LedgerProvider, LedgerProvider]]


class Telling(LedgerProvider):
    """A ledger vendor whose refusals and failures mean what a test says."""

    means: ErrorCode = ErrorCode.PROVIDER_INTERNAL

    def classify(self, failure: ProviderError) -> JobError:
        return JobError.of(self.means, str(failure), provider_code=failure.provider_code)

    def _observe(self, member: Any, job: dict[str, Any] | None) -> Any:
        seen = super()._observe(member, job)
        return seen.model_copy(update={"error": JobError.of(self.means, "it broke")}) if seen.error else seen


@pytest.fixture
def make(tmp_path: Path, clock: HandClock) -> Iterator[Make]:
    """A broker over two vendors, `one` and `two`."""
    opened: list[Broker] = []

    def make_one(
        *, routes: list[dict[str, Any]] | None = None, one: Mapping[str, Any] | None = None, **settings: Any
    ) -> Any:
        vendors = [
            Telling(name, {"folder": tmp_path / name, "steps": ["only"], **behaviour})
            for name, behaviour in (("one", one or {}), ("two", {}))
        ]
        chosen = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}", routes=routes or (), **settings)
        broker = Broker(chosen, providers={each.name: each for each in vendors}, clock=clock)
        broker._core.stores._open["s3"] = BucketFolders(tmp_path / "buckets")
        opened.append(broker)
        return broker, *vendors

    yield make_one
    for broker in opened:
        broker.close()


def story(job: Any) -> list[tuple[int, str, JobState, ErrorCode | None]]:
    return [(each.number, each.provider, each.state, each.error and each.error.code) for each in job.attempts]


def test_another_provider_follows_one_that_refuses(make: Make, spec: Transcode) -> None:
    broker, one, two = make(one={"fault": "only:refuse"})
    job = broker.submit(spec, provider=["one", "two"])
    assert job.state is JobState.QUEUED
    assert story(job) == [
        (1, "one", JobState.FAILED, ErrorCode.PROVIDER_INTERNAL),
        (2, "two", JobState.QUEUED, None),
    ]
    assert (len(one.ledger.accepted()), len(two.ledger.accepted())) == (0, 1)
    assert [event.type for event in job.events(follow=False)] == ["job_attempt_failed", "job_queued"]


def test_another_provider_follows_one_whose_job_has_failed(make: Make, spec: Transcode) -> None:
    broker, one, two = make()
    job = broker.submit(spec, provider=["one", "two"])
    one.ledger.say("job-0", "broken")
    assert job.refresh().state is JobState.QUEUED
    failed = next(event for event in job.events(follow=False) if isinstance(event, JobAttemptFailed))
    assert (failed.provider, failed.attempt, failed.user_data) == ("one", 1, {"asset": 42})
    tokens = [each.ledger.accepted()[0]["origin"]["token"] for each in (one, two)]
    assert len(set(tokens)) == 2
    two.ledger.say("job-0", "done")
    job.result(timeout=20)
    assert [each[1:3] for each in story(job)] == [("one", JobState.FAILED), ("two", JobState.SUCCEEDED)]


def test_one_that_is_slow_is_never_left(make: Make, spec: Transcode, clock: HandClock) -> None:
    broker, one, two = make()
    job = broker.submit(spec, provider=["one", "two"])
    for word in ("waiting", "working"):
        one.ledger.say("job-0", word)
        clock.advance(30 * 24 * 3600)
        job.refresh()
    assert len(job.attempts) == 1
    assert two.ledger.accepted() == []


def test_another_provider_does_what_one_that_is_down_was_never_asked_for(make: Make, spec: Transcode) -> None:
    broker, one, _ = make()
    circuit = broker._core.caller._circuit("one", Call("ledger", "SubmitJob", {}))
    for _ in range(10):
        circuit.nobody_there()
    job = broker.submit(spec, provider=["one", "two"])
    assert job.state is JobState.QUEUED
    assert [each[1:3] for each in story(job)] == [("one", JobState.FAILED), ("two", JobState.QUEUED)]
    assert one.ledger.calls == []


def test_one_that_is_down_after_it_has_begun_is_waited_for(make: Make, spec: Transcode, clock: HandClock) -> None:
    broker, one, two = make(one={"steps": ["array", "merge"], "fault": "array:reset", "settle_time_s": 60})
    for _ in range(10):
        broker._core.caller._circuit("one", Call("ledger", "ListJobs", {})).nobody_there()
    job = broker.submit(spec, provider=["one", "two"])
    assert (job.state, len(one.ledger.accepted())) == (JobState.SUBMITTING, 1)
    for _ in range(3):
        clock.advance(30)
        job.refresh()
    assert job.state is JobState.QUEUED
    assert [each["step"] for each in one.ledger.accepted()] == ["array", "merge"]
    assert two.ledger.accepted() == []


def test_one_that_may_have_accepted_is_never_left(make: Make, spec: Transcode, clock: HandClock) -> None:
    broker, _, two = make(one={"fault": "only:reset", "settle_time_s": None})
    job = broker.submit(spec, provider=["one", "two"])
    clock.advance(24 * 3600)
    job.refresh()
    assert (job.state, job.hold_reason is not None) == (JobState.SUBMITTING, True)
    assert two.ledger.accepted() == []


def test_a_job_that_is_lost_is_not_proven_dead(make: Make, spec: Transcode, clock: HandClock) -> None:
    broker, one, two = make()
    job = broker.submit(spec, provider=["one", "two"])
    (one.options.folder / "words.json").write_text("{}")
    job.refresh()
    clock.advance(3600)
    job.refresh()
    assert (job.state, job.inferred) == (JobState.FAILED, True)
    assert two.ledger.accepted() == []


@pytest.mark.parametrize(
    ("code", "follows"),
    [
        (ErrorCode.CAPACITY, True),
        (ErrorCode.QUOTA, True),
        (ErrorCode.WORKER_CRASHED, True),
        (ErrorCode.OUT_OF_RESOURCES, True),
        (ErrorCode.UNSUPPORTED, True),
        (ErrorCode.AUTH, True),
        (ErrorCode.INVALID_SPEC, False),
        (ErrorCode.MEDIA_CORRUPT, False),
        (ErrorCode.INPUT_NOT_FOUND, False),
        (ErrorCode.OUTPUT_EXISTS, False),
        (ErrorCode.UNKNOWN, False),
    ],
)
@pytest.mark.parametrize("when", ["refused", "broken"])
def test_another_one_follows_only_what_it_need_not_share(
    make: Make, spec: Transcode, code: ErrorCode, follows: bool, when: str
) -> None:
    broker, one, two = make(one={"fault": "only:refuse" if when == "refused" else ""})
    one.means = code  # type: ignore[attr-defined]  # a Telling
    job = broker.submit(spec, provider=["one", "two"])
    if when == "broken":
        one.ledger.say("job-0", "broken")
        job.refresh()
    assert len(two.ledger.accepted()) == int(follows)
    assert job.state is (JobState.QUEUED if follows else JobState.FAILED)


def test_a_cancelled_job_gets_no_other_attempt(make: Make, spec: Transcode) -> None:
    broker, one, two = make(one={"cancel": True})
    job = broker.submit(spec, provider=["one", "two"])
    broker.cancel(job)
    one.ledger.say("job-0", "broken")
    job.refresh()
    assert job.state.is_terminal
    assert two.ledger.accepted() == []


def test_without_an_order_nobody_follows(make: Make, spec: Transcode) -> None:
    broker, one, two = make()
    job = broker.submit(spec)
    one.ledger.say("job-0", "broken")
    assert job.refresh().state is JobState.FAILED
    assert two.ledger.accepted() == []


def test_a_route_gives_the_order_and_the_most_attempts(make: Make, spec: Transcode) -> None:
    broker, one, two = make(routes=[{"kinds": ["transcode"], "providers": ["two", "one"], "max_attempts": 3}])
    job = broker.submit(spec)
    for vendor, native_id in ((two, "job-0"), (one, "job-0"), (two, "job-1")):
        vendor.ledger.say(native_id, "broken")
        job.refresh()
    assert [each.provider for each in job.attempts] == ["two", "one", "two"]
    assert job.state is JobState.FAILED
    ends = [event.type for event in job.events(follow=False) if "failed" in event.type]
    assert ends == ["job_attempt_failed", "job_attempt_failed", "job_failed"]


def test_a_failure_that_the_same_provider_would_repeat_is_not_tried_again(make: Make, spec: Transcode) -> None:
    broker, one, two = make(routes=[{"providers": ["one", "two"], "max_attempts": 9}])
    one.means = two.means = ErrorCode.UNSUPPORTED  # type: ignore[attr-defined]  # two Tellings
    job = broker.submit(spec)
    for vendor in (one, two):
        vendor.ledger.say("job-0", "broken")
        job.refresh()
    assert job.state is JobState.FAILED
    assert len(job.attempts) == 2


@pytest.mark.parametrize(
    ("route", "fits"),
    [
        ({"kinds": ["snapshot"]}, False),
        ({"input_schemes": ["file"]}, True),
        ({"input_schemes": ["s3"]}, False),
        ({"output_schemes": ["oss"]}, False),
        ({}, True),
    ],
)
def test_a_route_is_for_the_jobs_it_names(make: Make, spec: Transcode, route: dict[str, Any], fits: bool) -> None:
    broker, _, _ = make(routes=[{**route, "providers": ["two"]}])
    assert broker.plan(spec).provider == ("two" if fits else "one")


def test_plan_tells_who_would_follow(make: Make, spec: Transcode) -> None:
    broker, _, _ = make()
    assert broker.plan(spec, provider=["two", "one"]).followers == ("one",)
    assert broker.plan(spec).followers == ()


def test_a_region_leaves_out_providers_of_another_one(make: Make, spec: Transcode) -> None:
    broker, one, _ = make(routes=[{"providers": ["one", "two"], "region": "eu-west-1"}])
    one.region = "us-east-1"
    plan = broker.plan(spec)
    assert plan.provider == "two"
    assert [each.reason for each in plan.rejected] == ["one is in region us-east-1, the route asks for eu-west-1"]


def test_each_attempt_is_staged_for_its_own_provider(make: Make, spec: Transcode, tmp_path: Path) -> None:
    spec.input.path.write_bytes(b"video")
    spec.output.path.unlink()
    broker, one, two = make(one={"schemes": ["s3"]}, staging={"s3": "s3://staging/jobs"})
    job = broker.submit(spec, provider=["one", "two"])
    buckets: Any = broker._core.stores._open["s3"]
    assert len(buckets.names("staging")) == 1
    one.ledger.say("job-0", "broken")
    job.refresh()
    assert buckets.names("staging") == []
    assert two.ledger.accepted()[0]["input"] == str(spec.input)


def test_options_of_every_provider_in_the_order_are_allowed(make: Make, spec: Transcode) -> None:
    broker, _, _ = make()
    assert broker.submit(spec, provider=["one", "two"], options=[LedgerOptions(priority=3)]).state is JobState.QUEUED


def test_a_route_to_nobody_is_an_error_that_names_them(make: Make, spec: Transcode) -> None:
    broker, _, _ = make(routes=[{"providers": ["three"]}])
    with pytest.raises(ConfigurationError, match="no provider instance 'three'"):
        broker.submit(spec)
    with pytest.raises(ValueError, match="providers"):
        make(routes=[{"providers": []}])
    narrow, _, _ = make(one={"schemes": ["oss"]}, routes=[{"providers": ["one"]}])
    with pytest.raises(UnsupportedError):
        narrow.submit(spec)

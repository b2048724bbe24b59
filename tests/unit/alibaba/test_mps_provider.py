"""MPS through the vendor's SDK and the simulator: what is refused, what is lost, what is found again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mediabroker import production
from mediabroker.absent import Absent
from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.jobs import JobSpec, MediaInfo, Snapshot, Transcode
from mediabroker.refs import MediaURI
from mediabroker.results import MediaInfoResult, VideoResult
from mediabroker.spi import Call, CancelOutcome, Member, Observation, Origin, drive
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Started, attempt_of, start
from mediabroker_alibaba.mps.cancelling import cancel
from mediabroker_alibaba.mps.client import MpsClient, endpoint_of
from mediabroker_alibaba.mps.missing import build_missing
from mediabroker_alibaba.mps.provider import MpsProvider
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.simulator.contract_rig import ACCOUNT, BUCKET, REGION, MpsRig
from mediabroker_alibaba.simulator.mps import Outcome

SOURCE = f"oss://{BUCKET}/in/a.mp4"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[MpsRig]:
    with closing(MpsRig(tmp_path)) as rig:
        yield rig


@pytest.fixture
def driver(rig: MpsRig) -> Iterator[Driver]:
    with Driver(rig.open()) as driver:
        yield driver


def settle(rig: MpsRig, driver: Driver, started: Started) -> Observation:
    rig.service.engine.settle()
    return attempt_of(driver, started)


def refusal(rig: MpsRig, *, overwrite: bool = True, **settings: Any) -> ProviderError:
    """What a submit comes to; one that may overwrite does not look at OSS first."""
    provider = MpsProvider("mps", {**rig.settings, **settings})
    with Driver(provider) as driver, pytest.raises(ProviderError) as caught:
        start(driver, rig.spec("video_clip").model_copy(update={"overwrite": overwrite}))
    return caught.value


def test_a_wrong_secret_is_the_callers_fault_whatever_the_sdk_makes_of_it(
    rig: MpsRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong")
    error = refusal(rig)
    assert isinstance(error, AuthenticationError)
    assert error.provider_code == "InvalidAccessKeySecret"
    assert rig.open().classify(error).code == "AUTH"


def test_an_unknown_key_is_the_callers_fault(rig: MpsRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAInobody")
    error = refusal(rig)
    assert isinstance(error, AuthenticationError)
    assert error.request_id


def test_a_clock_that_is_off_is_named(rig: MpsRig) -> None:
    rig.world.clock.advance(16 * 60)
    error = refusal(rig)
    assert isinstance(error, AuthenticationError)
    assert "clock of this machine" in str(error)


def test_a_region_that_is_not_the_endpoints_is_refused(rig: MpsRig) -> None:
    error = refusal(rig, region="cn-beijing")
    assert rig.open().classify(error).code == "UNSUPPORTED"


def test_a_pipeline_of_another_tenant_is_not_found(rig: MpsRig, driver: Driver) -> None:
    stranger = rig.world.tenants.add_account()
    shelf = rig.service.state.shelf(stranger.id, REGION, rig.world.clock.now())
    error = refusal(rig, pipeline=next(iter(shelf.pipelines)))
    assert error.provider_code == "InvalidParameter.ResourceNotFound"
    assert not error.retryable
    assert driver.provider.classify(error).blame == "caller"


def test_tenants_are_kept_apart_by_pipelines(rig: MpsRig) -> None:
    tenant = rig._add_pipeline()
    provider = MpsProvider("tenant", {**rig.settings, "pipeline": tenant})
    with Driver(provider) as driver:
        started = start(driver, rig.spec("video_clip"))
        (seen,) = driver.run(provider.query(started.members))
    raw: Any = seen.raw
    assert raw["PipelineId"] == tenant


def test_temporary_credentials_carry_their_token_and_are_read_again_when_they_expire(
    rig: MpsRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(pair: Any) -> None:
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", pair.access_key_id)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", pair.access_key_secret)
        monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", pair.token)

    use(rig.world.tenants.add_temporary_key(rig.account, expires_in_s=60))
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "which-the-sdk-would-prefer")
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", "to-a-credential-object")
    with closing(MpsClient(MpsSettings.model_validate(rig.settings))) as client:
        client.send("SearchPipeline", {})
        use(rig.world.tenants.add_temporary_key(rig.account, expires_in_s=3600))
        rig.world.clock.advance(120)
        client.send("SearchPipeline", {})


def test_throttling_is_an_http_400_that_may_be_asked_again(rig: MpsRig, driver: Driver) -> None:
    rig.world.faults.add("mps.SubmitIProductionJob", "throttled")
    with pytest.raises(ThrottledError) as caught:
        start(driver, rig.spec("video_clip"))
    assert caught.value.retryable
    assert driver.provider.classify(caught.value).code == "RATE_LIMITED"


@pytest.mark.parametrize("fault", ["lost", "html", "empty", "error_after", "truncated"])
def test_a_create_whose_answer_is_spoilt_is_unknown_and_a_read_is_worth_another_try(
    rig: MpsRig, driver: Driver, fault: Any
) -> None:
    rig.world.faults.add("mps.SubmitIProductionJob", fault)
    with pytest.raises(SubmissionUnknownError):
        start(driver, rig.spec("video_clip"))
    assert rig.count_jobs() == 1
    started = start(driver, rig.spec("video_clip"))
    rig.world.faults.add("mps.QueryIProductionJob", fault)
    with pytest.raises(UnavailableError) as caught:
        driver.run(driver.provider.query(started.members))
    assert caught.value.retryable


def test_a_refused_connection_had_no_effect_also_on_a_create(rig: MpsRig) -> None:
    error = refusal(rig, endpoint_url="http://127.0.0.1:9")
    assert isinstance(error, UnavailableError)
    assert "cannot be reached" in str(error)


def test_a_slow_answer_ends_in_time(rig: MpsRig) -> None:
    rig.world.faults.add("mps.SubmitIProductionJob", "delayed", delay_s=30)
    error = refusal(rig, read_timeout_s=0.2)
    assert isinstance(error, SubmissionUnknownError)


@pytest.mark.parametrize("fault", ["lost", "denied", "html"])
def test_no_signature_and_no_token_is_logged_or_raised(
    rig: MpsRig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    fault: Any,
) -> None:
    pair = rig.world.tenants.add_temporary_key(rig.account)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", pair.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", pair.access_key_secret)
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", str(pair.token))
    rig.world.faults.add("mps.SubmitIProductionJob", fault)
    with caplog.at_level(logging.DEBUG):
        error = refusal(rig, overwrite=False)
    assert error.__cause__ is None
    stored = rig.open().classify(error).model_dump_json()
    seen = [str(error), repr(error.__context__.args if error.__context__ else ""), stored, caplog.text]
    seen += capsys.readouterr()
    assert not [text for text in seen if "Signature=" in text or str(pair.token) in text]


def test_a_proxy_is_used_unless_the_host_is_named_in_no_proxy(rig: MpsRig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with closing(MpsClient(MpsSettings.model_validate(rig.settings))) as client:
        assert client.send("SearchPipeline", {})["PipelineList"]
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    monkeypatch.delenv("no_proxy", raising=False)
    with closing(MpsClient(MpsSettings.model_validate(rig.settings))) as client, pytest.raises(UnavailableError):
        client.send("SearchPipeline", {})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("https", "mts.cn-shanghai.aliyuncs.com")),
        ({"network": "vpc"}, ("https", "mts-vpc.cn-shanghai.aliyuncs.com")),
        ({"endpoint_url": "http://127.0.0.1:9000"}, ("http", "127.0.0.1:9000")),
    ],
)
def test_the_endpoint_is_https_and_never_asked_for_elsewhere(settings: Any, expected: Any) -> None:
    assert endpoint_of(MpsSettings(region=REGION, **settings)) == expected


def test_a_region_without_a_known_endpoint_needs_one() -> None:
    with pytest.raises(ConfigurationError, match="no MPS endpoint is known for 'mars-1'"):
        endpoint_of(MpsSettings(region="mars-1"))


def test_a_transcode_that_fails_for_some_outputs_tells_each(rig: MpsRig, driver: Driver) -> None:
    spec = Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls", overwrite=True)
    rig.outcomes["0_240p"] = Outcome("InvalidParameter.ResourceContentBad", "broken")
    started = start(driver, spec)
    end = settle(rig, driver, started)
    assert end.state is JobState.FAILED
    assert end.error is not None
    assert end.error.code == "PARTIAL"
    assert "a-0_240p.m3u8: broken" in end.error.message
    assert end.result is not None
    outcomes = {str(item.output).rpartition("/")[2]: item.outcome for item in end.result.items}
    assert outcomes.pop("a-0_240p.m3u8") == "failed"
    assert set(outcomes.values()) == {"ok"}
    assert len(outcomes) == len(started.members) - 1


def test_an_attempt_with_a_failed_output_goes_on_until_the_others_have_ended(rig: MpsRig, driver: Driver) -> None:
    spec = Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls", overwrite=True)
    rig.outcomes |= {"0_240p": Outcome("InvalidParameter", "bad"), "1_360p": None}
    started = start(driver, spec)
    for _ in range(3):
        rig.service.engine.step()
    seen = attempt_of(driver, started)
    assert (seen.state, seen.error) == (JobState.RUNNING, None)
    assert "ended" in str(seen.phase)


@pytest.mark.parametrize(
    ("spec", "there"),
    [
        (Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls"), "hls/a-2_480p.m3u8"),
        (Snapshot(input=SOURCE, output=f"oss://{BUCKET}/s-{{index}}.jpg", at_s=(0, 1, 2)), "s-3.jpg"),
    ],
    ids=lambda given: getattr(given, "kind", ""),
)
def test_a_file_that_is_there_among_several_is_not_replaced(
    rig: MpsRig, driver: Driver, tmp_path: Path, spec: JobSpec[Any], there: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    rig.oss.store(ACCOUNT, BUCKET, there, precious)
    with pytest.raises(ProviderError, match=f"{there} exists") as caught:
        start(driver, spec)
    assert driver.provider.classify(caught.value).code == "OUTPUT_EXISTS"
    assert rig.count_jobs() == 0
    assert start(driver, spec.model_copy(update={"overwrite": True})).members


def test_a_finished_ladder_has_its_master_first_and_the_largest_rendition(rig: MpsRig, driver: Driver) -> None:
    spec = Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls", overwrite=True)
    started = start(driver, spec)
    end = settle(rig, driver, started)
    assert isinstance(end.result, VideoResult)
    assert (end.state, end.result.width_px, end.result.height_px) == (JobState.SUCCEEDED, 1280, 720)
    assert [each.uri.name for each in end.result.outputs][:2] == ["a.m3u8", "a-0_240p.m3u8"]
    assert all(item.source == SOURCE for item in end.result.items)


def test_media_information_is_typed(rig: MpsRig, driver: Driver) -> None:
    end = settle(rig, driver, start(driver, MediaInfo(input=SOURCE)))
    assert isinstance(end.result, MediaInfoResult)
    media = end.result.media
    assert media is not None
    assert (media.duration_s, media.bitrate_bps, media.size_bytes) == (6.0, 2_000_000, 1_500_000)
    assert (media.video[0].frame_rate, media.video[0].frame_count) == ("25/1", 150)
    assert (media.audio[0].sample_rate_hz, media.audio[0].channels) == (44_100, 2)


def test_jobs_are_asked_for_in_batches_of_one_kind_for_each_kind_has_its_own_operation(driver: Driver) -> None:
    roles = ["transcode-0", "production", "media_info", "snapshot-0", "transcode-1"]
    groups = [driver.provider.query_group(Member(role=role, native_id=role)) for role in roles]
    assert groups == ["transcode", "production", "media_info", "snapshot", "transcode"]


def test_jobs_that_run_cannot_be_stopped_and_say_so(rig: MpsRig, driver: Driver) -> None:
    for spec in (MediaInfo(input=SOURCE), rig.spec("video_clip")):
        started = start(driver, spec)
        assert driver.run(driver.provider.cancel(started.members)) is CancelOutcome.UNSUPPORTED
        settle(rig, driver, started)
        assert driver.run(driver.provider.cancel(started.members)) is CancelOutcome.TOO_LATE


@pytest.mark.parametrize(
    ("role", "word", "outcome", "asked"),
    [
        ("output", "Paused", CancelOutcome.REQUESTED, True),
        ("output", "Transcoding", CancelOutcome.UNSUPPORTED, False),
        ("output", "TranscodeSuccess", CancelOutcome.TOO_LATE, False),
        ("output", None, CancelOutcome.TOO_LATE, False),
        ("snapshot-1", "Paused", CancelOutcome.UNSUPPORTED, False),
        ("production", "Paused", CancelOutcome.UNSUPPORTED, False),
    ],
)
def test_a_job_in_a_state_of_no_table_lives_when_it_is_cancelled(
    role: str, word: str | None, outcome: CancelOutcome, asked: bool
) -> None:
    job_id, calls = "a" * 32, []

    def answer(call: Call[Any]) -> dict[str, Any]:
        calls.append(call.operation)
        jobs = [{"JobId": job_id, "Id": job_id, "State": word}] if word else []
        return {"JobList": {"Job": jobs}, "SnapshotJobList": {"SnapshotJob": jobs}, **(jobs[0] if jobs else {})}

    assert drive(cancel([Member(role=role, native_id=job_id)]), answer) is outcome
    assert ("CancelJob" in calls) is asked


def test_a_search_looks_only_at_what_was_made_since_then(rig: MpsRig, driver: Driver) -> None:
    spec = rig.spec("transcode")
    started = start(driver, spec)
    (create,) = driver.calls("create")
    now = rig.world.clock.now()
    for since, expected in ((now - timedelta(hours=1), 1), (now, 1), (now + timedelta(hours=1), 0)):
        ctx = started.ctx.model_copy(update={"sent_at": since})
        assert len(driver.run(driver.provider.find(ctx, create))) == expected, since


def test_a_hint_is_adopted_only_when_the_job_bears_our_token(rig: MpsRig, driver: Driver) -> None:
    started, stranger = (start(driver, rig.spec("video_clip")) for _ in range(2))
    create = driver.calls("create")[0]
    ids = (stranger.members[0].native_id, rig.unknown_id(), "not-an-id", started.members[0].native_id)
    found = driver.run(driver.provider.find(started.ctx.model_copy(update={"hints": ids}), create))
    assert [create.read(each) for each in found] == [started.members[0].native_id]
    assert driver.provider.settle_time_s(create) is None


@pytest.mark.parametrize(
    "spec",
    [
        Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls", overwrite=True),
        Snapshot(input=SOURCE, output=f"oss://{BUCKET}/s-{{index}}.jpg", at_s=(0, 1, 2), overwrite=True),
        production.VideoClip(input=SOURCE, output=f"oss://{BUCKET}/clip.mp4", overwrite=True),
        MediaInfo(input=SOURCE),
    ],
    ids=lambda spec: spec.kind,
)
def test_another_host_finds_the_whole_attempt_from_one_callback(
    rig: MpsRig, driver: Driver, spec: JobSpec[Any]
) -> None:
    started = start(driver, spec)
    messages = rig.messages(started)
    assert messages
    (seen,) = driver.provider.parse(messages[0]) or []
    assert isinstance(seen.origin, Origin)
    assert (seen.origin.kind, seen.origin.token) == (spec.kind, started.ctx.token)
    recovered = driver.run(driver.provider.recover(seen.model_copy(update={"origin": None, "token": None})))
    assert recovered is not None
    assert recovered.origin == seen.origin
    members = recovered.members
    assert {(each.role, each.native_id) for each in members} == {
        (each.role, each.native_id) for each in started.members
    }
    again = attempt_of(driver, Started(spec, started.ctx, tuple(members)))
    assert again.state is JobState.SUCCEEDED


def test_a_rendition_that_mps_did_not_take_keeps_no_host_from_the_others(rig: MpsRig, driver: Driver) -> None:
    started = start(driver, Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls"))
    rig.service.engine.settle()
    shelf = rig.service.state.shelf(ACCOUNT, REGION, rig.world.clock.now())
    del shelf.jobs[started.members[0].native_id]
    (seen,) = driver.provider.parse(rig.messages(started)[-1]) or []
    assert seen.origin is not None
    recovered = driver.run(driver.provider.recover(seen.model_copy(update={"origin": None, "token": None})))
    assert recovered is not None
    assert recovered.origin == seen.origin
    members = recovered.members
    assert [each.native_id for each in members[1:]] == [each.native_id for each in started.members[1:]]
    observed = driver.run(driver.provider.query(members))
    assert {each.native_id for each in observed if each.not_found} == {members[0].native_id}
    assert {each.state for each in observed if not each.not_found} == {JobState.SUCCEEDED}
    attempt = attempt_of(driver, Started(started.spec, started.ctx, tuple(members)))
    assert attempt.state is not JobState.SUCCEEDED


def test_a_rendition_that_appears_after_a_takeover_can_be_cancelled(rig: MpsRig, driver: Driver) -> None:
    started = start(driver, Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls"))
    (found, *_), since = started.members, rig.world.clock.now()
    jobs = [
        {"UserData": f'{{"mediabroker":1,"job":"j","kind":"transcode","token":"t","step":"{n}_p"}}'} for n in (1, 2)
    ]
    (missing,) = build_missing("transcode", started.ctx.token, jobs, of=3, since=since)
    assert driver.run(driver.provider.cancel([missing])) is CancelOutcome.REQUESTED
    (seen,) = driver.run(driver.provider.query([missing]))
    assert (seen.native_id, seen.state) == (missing.native_id, JobState.CANCELLED)
    shelf = rig.service.state.shelf(ACCOUNT, REGION, since)
    assert shelf.jobs[found.native_id].state == "cancelled"


def test_an_output_that_was_not_taken_can_be_asked_for_like_a_job(driver: Driver) -> None:
    code = "InvalidParameter.TemplateNotFound"
    member = Member(
        role="0_240p", native_id="t/0", output=f"oss://{BUCKET}/a.m3u8", absent=Absent(reason="rejected", code=code)
    )
    (seen,) = driver.run(driver.provider.query([member]))
    assert seen.state is JobState.FAILED
    assert seen.error is not None
    assert seen.error.provider_code == code
    assert driver.calls() == []


def test_long_requests_pass(rig: MpsRig) -> None:
    extra = {"Outputs": json.dumps([{"OutputObject": "a" * 34_000}])}
    with closing(MpsClient(MpsSettings.model_validate(rig.settings))) as client, pytest.raises(ProviderError) as caught:
        client.send("SubmitJobs", {**extra, "Input": "{}", "OutputBucket": "b", "PipelineId": ACCOUNT})
    assert not isinstance(caught.value, UnavailableError)


def test_a_bucket_of_another_region_is_refused_also_where_its_name_does_not_tell(rig: MpsRig, driver: Driver) -> None:
    rig.oss.create_bucket(ACCOUNT, "far-away", "cn-beijing")
    spec = rig.spec("video_clip").model_copy(update={"input": MediaURI("oss://far-away/a.mp4")})
    with pytest.raises(ProviderError) as caught:
        start(driver, spec)
    assert driver.provider.classify(caught.value).blame == "caller"
    assert rig.count_jobs() == 0

"""The provider `aws-lambda`: what it sends, what it reads, what it refuses, and how it stops."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ErrorCode,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)
from mediabroker.jobs import Transcode
from mediabroker.results import VideoResult
from mediabroker.spi import Call, CancelOutcome, Member, Observation, Reply, drive
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver, new_context
from mediabroker.testing.rig import attempt_of, start, watch
from mediabroker_aws import LambdaOptions, LambdaProvider
from mediabroker_aws.simulator.rigs.transcoder import LambdaRig
from mediabroker_aws.transcoder.requests import build_time
from mediabroker_aws.transcoder.transports import HttpTransport
from mediabroker_aws.transcoder.wire import LADDER, choose_renditions
from tests.unit.aws.conftest import REGION, Scripted, hang_up, reply

TIME = "20160426000001"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LambdaRig]:
    with closing(LambdaRig(tmp_path)) as rig:
        yield rig


@pytest.fixture
def driver(rig: LambdaRig) -> Iterator[Driver]:
    with Driver(rig.open()) as driver:
        yield driver


@pytest.fixture
def provider() -> LambdaProvider:
    return LambdaProvider("transcoder", {"url": "https://nowhere.invalid/prod/videoTranscode", "api_key": "k"})


def spec(**fields: Any) -> Transcode:
    return Transcode.model_validate({"input": "s3://media/in/a.mp4", "output": "s3://media/out/", **fields})


def request_for(provider: LambdaProvider, wanted: Transcode, *, token: str = "t", **source: Any) -> dict[str, Any]:
    """The request that a submit sends, when S3 says `source` of the input."""
    sent: list[dict[str, Any]] = []
    facts = {"height_px": 1080, "width_px": 1920, "duration_s": 10.0, "size_bytes": 10_000_000, "frame_rate": 25.0}

    def answer(call: Call[Any]) -> Reply:
        if call.operation == "videoTranscode":
            sent.append(dict(call.params))
            return {"videos": [{"src": "x", "status": "transcode", "error": "no"}]}
        return {"keys": ["in/", "in/a.mp4", "in/b.mkv"]} if call.operation == "ListObjects" else {**facts, **source}

    drive(provider.submit(wanted, None, new_context(wanted, token=token)), answer)
    return sent[0]


def test_the_same_attempt_names_the_same_outputs_and_another_attempt_others(provider: LambdaProvider) -> None:
    times = [request_for(provider, spec(), token=token)["time"] for token in ("one", "one", "two")]
    assert times[0] == times[1] != times[2]
    assert all(len(time) == 14 and time.isdigit() for time in times)


@pytest.mark.parametrize(
    ("source", "height", "bitrate"),
    [
        ({}, 1080, 8_000_000),
        ({"height_px": 720}, 720, 8_000_000),
        ({"height_px": 600}, 720, 8_000_000),
        ({"height_px": 48, "size_bytes": 1000}, 480, 800),
        ({"height_px": 2160}, 1080, 8_000_000),
        ({"duration_s": None}, 1080, 100_000_000),
        ({"duration_s": 1e6, "size_bytes": 1}, 1080, 1),
    ],
)
def test_what_is_asked_is_bounded_by_what_the_source_is(
    provider: LambdaProvider, source: dict[str, Any], height: int, bitrate: int
) -> None:
    sent = request_for(provider, spec(), **source)
    assert (sent["v_height"], sent["v_bitrate"]) == (height, bitrate)


@pytest.mark.parametrize("rungs", [1, 2, 3, 4])
def test_renditions_that_the_ladder_holds_are_asked_for_exactly(provider: LambdaProvider, rungs: int) -> None:
    wanted = spec(container="hls", renditions=LADDER[:rungs])
    provider.check(wanted, None)
    sent = request_for(provider, wanted, size_bytes=10**9)
    assert choose_renditions("m3u8", sent["v_height"], sent["v_bitrate"]) == LADDER[:rungs]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"output": "s3://media/out/a.mp4"}, "output"),
        ({"output": "s3://other/out/"}, "output"),
        ({"input": "s3://media/in/", "output": "s3://media/in/out/"}, "output"),
        ({"input": "s3://media/in/a.mov"}, "input"),
        ({"overwrite": True}, "overwrite"),
        ({"segment_s": 4.0, "container": "hls"}, "segment_s"),
        ({"encoder": {"crf": 30}}, "encoder"),
        ({"renditions": [{"height_px": 360, "video_bitrate_bps": 800_000}]}, "renditions"),
        ({"container": "hls", "renditions": LADDER[1:3]}, "renditions"),
        ({"user_data": "x" * 70_000}, "user_data"),
        ({"user_data": "é" * 20_000}, "user_data"),
    ],
)
def test_what_the_service_cannot_be_told_is_refused_by_name(
    provider: LambdaProvider, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnsupportedError, match=said):
        provider.check(spec(**fields), None)


def test_fields_of_the_request_cannot_be_replaced_by_options(provider: LambdaProvider) -> None:
    with pytest.raises(UnsupportedError, match="time"):
        provider.check(spec(), LambdaOptions(extra={"time": TIME}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "url or function"),
        ({"url": "https://a/b", "function": "f"}, "url or function"),
        ({"url": "http://example.com/videoTranscode"}, "https"),
        ({"function": "f", "account": "1"}, "account"),
        ({"function": "f", "colour": "red"}, "colour"),
    ],
)
def test_settings_that_are_wrong_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        LambdaProvider("transcoder", settings)


def test_wrong_settings_are_told_in_plain_words_and_the_key_is_in_no_traceback() -> None:
    settings = {"api_key": "api-key-canary"}
    with pytest.raises(ConfigurationError) as caught:
        LambdaProvider("l", settings)
    assert str(caught.value) == "providers.l: give url or function, one of the two"
    assert "api-key-canary" not in "".join(traceback.format_exception(caught.value))


def test_requests_bear_the_key_of_the_settings_or_the_environment_else_a_signature(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.answers = [reply(200, b"{}")]
    call = Call[Any]("transcoder", "videoTranscode", {"src": "a"}, "create", "x")

    def sent(**settings: Any) -> dict[str, str]:
        transport = LambdaProvider("t", {"url": scripted.url, "region": REGION, **settings}).connect("transcoder")
        transport.perform(call)
        transport.close()
        return scripted.requests[-1][2]

    assert sent(api_key="from-settings")["x-api-key"] == "from-settings"
    signed = sent()
    assert "x-api-key" not in signed
    assert signed["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDCANARY/")
    assert "/execute-api/aws4_request" in signed["authorization"]
    monkeypatch.setenv("MEDIABROKER_TRANSCODE_API_KEY", "from-environment")
    assert sent()["x-api-key"] == "from-environment"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (reply(400, b'{"message": "time: wrong"}'), ProviderError, "INVALID_SPEC"),
        (reply(403, b'{"message": "Forbidden"}'), AuthenticationError, "AUTH"),
        (reply(403, b'{"message": "Missing Authentication Token"}'), AuthenticationError, "AUTH"),
        (
            reply(403, b'{"message": "The security token is expired"}'),
            AuthenticationError,
            "AUTH",
        ),
        (reply(403, b'{"message": "bucket: not here", "code": "INPUT_DENIED"}'), ProviderError, "INPUT_DENIED"),
        (reply(404, b'{"message": "src: nothing"}'), ProviderError, "INPUT_NOT_FOUND"),
        (reply(429, b'{"message": "Too Many Requests"}', Retry_After="7"), ThrottledError, "RATE_LIMITED"),
        (reply(500, b"{}"), SubmissionUnknownError, "UNKNOWN"),
        (reply(502, b'{"message": "Internal server error"}'), SubmissionUnknownError, "UNKNOWN"),
        (reply(504, b'{"message": "Endpoint request timed out"}'), SubmissionUnknownError, "UNKNOWN"),
        (reply(200, b"[]"), SubmissionUnknownError, "UNKNOWN"),
        (reply(200, b"<html>"), SubmissionUnknownError, "UNKNOWN"),
        (hang_up, SubmissionUnknownError, "UNKNOWN"),
    ],
)
def test_each_answer_of_the_wire_is_what_it_means(
    scripted: Scripted, answer: Any, error: type[ProviderError], code: str
) -> None:
    scripted.answers.append(answer)
    provider = LambdaProvider("transcoder", {"url": f"{scripted.url}/x", "api_key": "secret-key-canary"})
    transport = provider.connect("transcoder")
    assert isinstance(transport, HttpTransport)
    with closing(transport), pytest.raises(ProviderError) as refusal:
        transport.perform(Call("transcoder", "videoTranscode", {"src": "a"}, effect="create", step="s"))
    assert type(refusal.value) is error
    assert provider.classify(refusal.value).code is ErrorCode(code)
    assert "canary" not in f"{refusal.value!r}{vars(refusal.value)}"
    assert scripted.requests[0][2]["x-api-key"] == "secret-key-canary"


def test_an_answer_that_breaks_off_or_cannot_be_decoded_leaves_a_create_open_and_a_read_to_be_repeated(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediabroker_aws.s3.store._PAUSE_S", 0.0)
    whole, create = b'{"videos": []}', Call("transcoder", "videoTranscode", {"src": "a"}, effect="create", step="s")
    scripted.answers.append(reply(200, b"no gzip at all", Content_Encoding="gzip"))
    by_url = LambdaProvider("transcoder", {"url": f"{scripted.url}/x", "api_key": "k"})
    with closing(by_url.connect("transcoder")) as transport, pytest.raises(SubmissionUnknownError):
        transport.perform(create)
    scripted.answers[:] = [reply(200, whole, send=5)]
    settings = {"function": "f", "region": "eu-west-1", "endpoint_url": scripted.url, "s3_endpoint_url": scripted.url}
    by_function = LambdaProvider("transcoder", {**settings, "path_style": True})
    with closing(by_function.connect("transcoder")) as transport, pytest.raises(SubmissionUnknownError):
        transport.perform(create)
    status = Call("s3", "GetStatus", {"work": f"s3://media/out/a_{TIME}/status-mp4.json"})
    scripted.answers[:] = [reply(200, whole, send=0, ETag='"1"')]
    with closing(by_function.connect("s3")) as transport, pytest.raises(UnavailableError):
        transport.perform(status)


def test_a_key_is_not_shown_by_the_provider_that_holds_it() -> None:
    provider = LambdaProvider("transcoder", {"url": "https://nowhere.invalid/x", "api_key": "key-canary"})
    assert "canary" not in f"{provider.settings!r}{vars(provider)!r}"
    provider.connect("transcoder").close()


def test_where_nobody_listens_nothing_was_sent() -> None:
    provider = LambdaProvider("transcoder", {"url": "http://127.0.0.1:9/x", "api_key": "k"})
    with closing(provider.connect("transcoder")) as transport, pytest.raises(UnavailableError):
        transport.perform(Call("transcoder", "videoTranscode", {}, effect="create", step="s"))


def test_an_output_that_was_there_before_is_success_without_work(rig: LambdaRig, driver: Driver) -> None:
    wanted = rig.spec(rig.kind)
    ctx = new_context(wanted)
    folder = f"{wanted.output.key if wanted.output else ''}clip_{build_time(ctx.token)}/"
    rig.s3.put_object(Bucket=rig.bucket, Key=f"{folder}clip.mp4", Body=b"done before")
    started = start(driver, wanted, ctx)
    seen = attempt_of(driver, started)
    assert seen.state is JobState.SUCCEEDED
    assert isinstance(seen.result, VideoResult)
    assert [item.outcome for item in seen.result.items] == ["exist"]
    assert rig.waiting == []


def test_a_folder_is_a_member_for_each_file_and_ends_when_each_has(rig: LambdaRig, driver: Driver) -> None:
    rig.s3.put_object(Bucket=rig.bucket, Key="in/notes.txt", Body=b"no video")
    rig.s3.put_object(Bucket=rig.bucket, Key="in/broken.mp4", Body=b"no video")
    started = start(driver, Transcode(input=f"s3://{rig.bucket}/in/", output=f"s3://{rig.bucket}/out/folder/"))
    assert len(started.members) == 3
    assert attempt_of(driver, started).state is JobState.RUNNING, "one bad file ended the others"
    end = watch(rig, driver, started)[-1]
    assert end.error
    assert (end.state, end.error.code) == (JobState.FAILED, ErrorCode.PARTIAL)
    assert isinstance(end.result, VideoResult)
    outcomes = {item.source.name: item.outcome for item in end.result.items}
    assert outcomes == {"broken.mp4": "failed", "clip.mp4": "ok", "notes.txt": "failed"}


def test_a_file_with_a_name_nearly_as_long_as_s3_allows_is_followed_and_one_too_long_is_a_failed_item(
    rig: LambdaRig, driver: Driver
) -> None:
    long, too_long = f"in/{'d' * 800}/é.mp4", f"in/{'e' * 600}.mp4"
    for key in (long, too_long):
        rig.s3.copy_object(Bucket=rig.bucket, Key=key, CopySource=f"{rig.bucket}/in/clip.mp4")
    started = start(driver, Transcode(input=f"s3://{rig.bucket}/in/", output=f"s3://{rig.bucket}/out/long/"))
    end = watch(rig, driver, started)[-1]
    assert isinstance(end.result, VideoResult)
    outcomes = {item.source.key: item.outcome for item in end.result.items}
    assert outcomes == {long: "ok", too_long: "failed", "in/clip.mp4": "ok"}


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("in/b\tc.mp4", "in/b%09c.mp4"),
        ("in/b\tc.txt", "in/b%09c.txt"),
        ("in/d/../e.mp4", "in/d/../e.mp4"),
        ("in/50%20 é.mkv", "in/50%20 é.mkv"),
        (f"in/\t{'é' * 500}.txt", f"in/%09{'%C3%A9' * 169}%C3%"),
    ],
)
def test_a_key_that_nobody_can_name_is_a_failed_item_and_the_others_are_submitted(
    provider: LambdaProvider, key: str, shown: str
) -> None:
    wanted = spec(input="s3://media/in/")

    def answer(call: Call[Any]) -> Reply:
        if call.operation == "ListObjects":
            return {"keys": ["in/a.mp4", key]}
        return {"videos": [{"status": "transcode"}]} if call.operation == "videoTranscode" else {"status": None}

    good, odd = drive(provider.submit(wanted, None, new_context(wanted)), answer).members
    assert good.native_id.endswith("/status-mp4.json")
    (seen,) = drive(provider.query([odd]), answer)
    assert isinstance(seen.result, VideoResult)
    assert (seen.native_id, seen.state) == (odd.native_id, JobState.FAILED)
    assert [(item.source.key, item.outcome) for item in seen.result.items] == [(shown, "failed")]


def test_a_worker_that_fell_silent_long_ago_has_crashed(rig: LambdaRig, driver: Driver) -> None:
    started = rig.arrange(driver, JobState.RUNNING)
    provider = LambdaProvider("patient", {**rig.settings, "silent_after_s": 600})

    def after(age_s: float) -> Observation:
        (seen,) = drive(provider.query(started.members), lambda call: {**driver.perform(call), "age_s": age_s})
        return seen

    assert after(599).state is JobState.RUNNING
    seen = after(601)
    assert seen.error
    assert (seen.state, seen.error.code) == (JobState.FAILED, ErrorCode.WORKER_CRASHED)
    assert seen.error.retryable


@pytest.mark.parametrize(("attempts", "code"), [(0, ErrorCode.CAPACITY), (2, ErrorCode.WORKER_CRASHED)])
def test_a_file_that_is_queued_for_longer_than_lambda_tries_has_failed_and_may_be_tried_again(
    rig: LambdaRig, driver: Driver, attempts: int, code: ErrorCode
) -> None:
    started = rig.arrange(driver, JobState.QUEUED)
    provider = LambdaProvider("patient", {**rig.settings, "silent_after_s": 600})

    def after(age_s: float) -> Observation:
        def aged(call: Call[Any]) -> Reply:
            answer: Any = driver.perform(call)
            return {**answer, "status": {**answer["status"], "attempts": attempts}, "age_s": age_s}

        (seen,) = drive(provider.query(started.members), aged)
        return seen

    assert after(6 * 3600 + 599).state is JobState.QUEUED
    seen = after(6 * 3600 + 601)
    assert seen.error
    assert (seen.state, seen.error.code, seen.error.retryable) == (JobState.FAILED, code, True)


def test_a_cancel_that_meets_a_change_looks_again(provider: LambdaProvider) -> None:
    state: dict[str, Any] = {"version": 1, "refusals": 3}

    def answer(call: Call[Any]) -> Reply:
        if call.operation == "GetStatus":
            return {"status": {"state": "running"}, "version": str(state["version"]), "age_s": 0.0}
        state["version"] += 1
        state["refusals"] -= 1
        return {"cancelled": state["refusals"] < 0}

    member = Member(role="file", native_id=f"s3://media/out/a_{TIME}/status-mp4.json")
    assert drive(provider.cancel([member]), answer) is CancelOutcome.CANCELLED
    assert state["version"] == 5


@pytest.mark.parametrize("state", ["publishing", "succeeded", "failed", None])
def test_what_is_being_published_or_over_is_not_cancelled(provider: LambdaProvider, state: str | None) -> None:
    calls: list[Call[Any]] = []

    def answer(call: Call[Any]) -> Reply:
        calls.append(call)
        return {"status": {"state": state} if state else None, "version": "1", "age_s": 0.0}

    member = Member(role="file", native_id=f"s3://media/out/a_{TIME}/status-mp4.json")
    assert drive(provider.cancel([member]), answer) is CancelOutcome.TOO_LATE
    assert {call.effect for call in calls} == {"read"}


def test_a_member_that_is_known_by_its_id_alone_is_found_where_the_id_says(provider: LambdaProvider) -> None:
    home = f"s3://media/out/a_b_{TIME}/"
    work = f"{home}status-m3u8.json"
    asked: list[Any] = []

    def answer(call: Call[Any]) -> Reply:
        if call.operation == "GetStatus":
            return {"status": None}
        asked.append(call.params["uri"])
        return {"size_bytes": 5 if call.params["uri"].endswith(".m3u8") else None}

    (seen,) = drive(provider.query([Member(role="file", native_id=work)]), answer)
    assert asked == [f"{home}a_b.m3u8"]
    assert seen.state is JobState.SUCCEEDED


def lambda_record(**changes: Any) -> dict[str, Any]:
    """Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"; composed."""
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:worker:$LATEST"
    context = {"requestId": "r", "functionArn": arn, "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    return {
        "version": "1.0",
        "timestamp": "2026-11-25T10:00:00.000Z",
        "requestContext": context,
        "requestPayload": {"work": f"s3://media/out/a_{TIME}/status-mp4.json"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "Runtime.ExitError", "errorMessage": "exit status 137"},
        **changes,
    }


def test_lambdas_record_of_a_dead_worker_points_to_its_work() -> None:
    here = LambdaProvider("transcoder", {"function": "f", "region": "eu-west-1"})
    elsewhere = LambdaProvider("transcoder", {"function": "f", "region": "us-east-1"})
    assert here.parse(lambda_record()) == [
        Observation(native_id=f"s3://media/out/a_{TIME}/status-mp4.json", phase="lost by Lambda")
    ]
    assert elsewhere.parse(lambda_record()) is None
    assert here.parse(lambda_record(requestPayload={"other": "work"})) is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_refusal_and_no_unknown_outcome(scripted: Scripted, status: int) -> None:
    scripted.answers = [reply(status, b"moved", Location="https://elsewhere.invalid/")]
    transport = LambdaProvider("t", {"url": scripted.url, "api_key": "key-canary"}).connect("transcoder")
    with pytest.raises(ProviderError, match="redirected") as caught:
        transport.perform(Call[Any]("transcoder", "videoTranscode", {"src": "a"}, "create", "x"))
    transport.close()
    assert (type(caught.value), caught.value.provider_code) == (ProviderError, str(status))

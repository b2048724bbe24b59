"""The provider `aws-batch` over HTTP: what it sends, what it makes of answers, and what it cannot express."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from mediabroker import SuperResolution
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
from mediabroker.spi import CancelOutcome, Member, Provider
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver, new_context
from mediabroker.testing.rig import attempt_of, start
from mediabroker_aws import BatchOptions, BatchProvider
from mediabroker_aws.service.original import OriginalService, original_output
from mediabroker_aws.service.provider import BatchService
from tests.unit.aws.conftest import Scripted, hang_up, reply

_ID = "abcdefghijklmnopqrstuvwxyz"
_KEY = "api-key-canary"
_VIEW = {"id": _ID, "reference": "job:1/…", "state": "QUEUED", "key": "in/a.mp4", "output": "out/a.mp4"}
_SPEC = SuperResolution(input="s3://media/in/a.mp4", output="s3://media/out/a.mp4")


def answer(status: int, content: Any, **headers: str) -> Any:
    return reply(status, json.dumps(content).encode(), **headers)


@pytest.fixture
def driver(scripted: Scripted) -> Iterator[Driver]:
    with Driver(provider(scripted.url)) as driver:
        yield driver


def provider(url: str, **more: Any) -> Provider:
    return BatchProvider("http", {"service_url": f"{url}/prod", "api_key": _KEY, "bucket": "media", **more})


@pytest.mark.parametrize(
    ("dialect", "way"),
    [({}, BatchService), ({"service_dialect": "original"}, OriginalService)],
    ids=["ours", "original"],
)
def test_the_settings_decide_which_provider_answers_for_the_type(dialect: dict[str, str], way: type[Provider]) -> None:
    made = provider("https://service.invalid", **dialect)
    assert type(made) is way
    assert made.type == BatchProvider.type


def test_a_request_is_the_originals_with_a_key_and_a_token(scripted: Scripted, driver: Driver) -> None:
    bodies: list[Any] = []

    def take(handler: BaseHTTPRequestHandler) -> None:
        bodies.append(json.loads(handler.body))  # type: ignore[attr-defined]  the scripted server keeps it there
        answer(202, _VIEW)(handler)

    scripted.answers = [take]
    ctx = new_context(_SPEC)
    driver.run(driver.provider.submit(_SPEC, BatchOptions(capacity="on_demand"), ctx))
    rich = _SPEC.model_copy(update={"debug": True, "slice_s": 30.0, "model": "quality", "overwrite": True})
    driver.run(driver.provider.submit(rich, None, ctx))
    method, path, headers = scripted.requests[0]
    assert (method, path, headers["x-api-key"]) == ("POST", "/prod", _KEY)
    assert headers["idempotency-key"] == ctx.token_of("job")
    plain = {"key": "in/a.mp4", "scale": 2, "task": "inference", "env": "onDemand", "output": "out/a.mp4"}
    more = {"overwrite": True, "model": "quality", "segment_time": 30.0}
    assert bodies == [plain, {**plain, "task": "debug", "env": "spot", **more}]


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ((400, {"error": {"code": "INVALID_SPEC", "message": "scale 3"}}), ProviderError, "INVALID_SPEC"),
        ((403, {"message": "Forbidden"}), AuthenticationError, None),
        ((401, {"message": "Unauthorized"}), AuthenticationError, None),
        ((403, {"error": {"code": "INPUT_DENIED", "message": "no"}}), ProviderError, "INPUT_DENIED"),
        ((409, {"error": {"code": "IDEMPOTENCY_CONFLICT", "message": "no"}}), ProviderError, "IDEMPOTENCY_CONFLICT"),
        ((429, {"message": "Too Many Requests"}), ThrottledError, None),
        ((500, {"error": {"code": "AUTH", "message": "no"}}), ProviderError, "AUTH"),
        ((500, {"error": {"code": "INTERNAL", "message": "?"}}), SubmissionUnknownError, "INTERNAL"),
        ((500, {"message": "Internal server error"}), SubmissionUnknownError, None),
        ((502, {"message": "Internal server error"}), SubmissionUnknownError, None),
        ((503, {"error": {"code": "PROVIDER_INTERNAL", "message": "later"}}), SubmissionUnknownError, None),
        ((504, {"message": "Endpoint request timed out"}), SubmissionUnknownError, None),
        ((500, ["odd"]), SubmissionUnknownError, None),
        ((302, {}), ProviderError, None),
    ],
)
def test_a_refused_start_says_whether_it_had_an_effect(
    scripted: Scripted, driver: Driver, said: tuple[int, Any], kind: type[ProviderError], code: str | None
) -> None:
    scripted.answers = [answer(*said, Retry_After="7", x_amzn_RequestId="r-1")]
    with pytest.raises(ProviderError) as caught:
        start(driver, _SPEC)
    assert type(caught.value) is kind
    assert code in (None, caught.value.provider_code)
    assert (caught.value.operation, caught.value.request_id) == ("POST /", "r-1")
    assert caught.value.retry_after_s == (7 if kind in (ThrottledError, SubmissionUnknownError) else None)
    assert _KEY not in repr(vars(caught.value))


@pytest.mark.parametrize(
    "spoilt",
    [hang_up, reply(202, b'{"id": "abc', send=5), reply(200, b"<html></html>"), reply(202, b"{}"), reply(202, b"[]")],
    ids=["hang-up", "cut", "html", "no-id", "list"],
)
def test_a_lost_answer_to_a_start_is_unknown(scripted: Scripted, driver: Driver, spoilt: Any) -> None:
    scripted.answers = [spoilt]
    with pytest.raises((SubmissionUnknownError, ValueError)):  # the broker takes both for "unknown"
        start(driver, _SPEC)


def test_a_lost_answer_to_a_question_is_worth_another_try(scripted: Scripted, driver: Driver) -> None:
    for spoilt in (hang_up, reply(200, b"<html></html>"), answer(503, {})):
        scripted.answers = [spoilt]
        with pytest.raises(UnavailableError):
            driver.run(driver.provider.query([Member(role="job", native_id=_ID)]))


def test_nobody_there_means_nothing_was_sent() -> None:
    with Driver(provider("http://127.0.0.1:9", connect_timeout_s=2)) as driver, pytest.raises(UnavailableError):
        start(driver, _SPEC)


@pytest.mark.parametrize(
    ("state", "seen"), [("SUBMITTING", JobState.QUEUED), ("RUNNING", JobState.RUNNING), ("DREAMING", None)]
)
def test_a_state_is_read_and_an_unheard_of_one_kept_as_phase(
    scripted: Scripted, driver: Driver, state: str, seen: JobState | None
) -> None:
    scripted.answers = [answer(200, {"jobs": [{**_VIEW, "state": state, "new_field": 1}]})]
    (observation,) = driver.run(driver.provider.query([Member(role="job", native_id=_ID)]))
    assert observation.state is seen
    assert observation.phase == (None if seen is JobState.RUNNING else "submitting" if seen else state)


def test_a_cancel_of_a_job_that_is_gone_is_too_late(scripted: Scripted, driver: Driver) -> None:
    scripted.answers = [answer(404, {"error": {"code": "NOT_FOUND", "message": "no"}})]
    assert driver.run(driver.provider.cancel([Member(role="job", native_id=_ID)])) is CancelOutcome.TOO_LATE


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"service_url": "http://example.org/prod"}, "https"),
        ({"service_url": "ftp://example.org"}, "https"),
        ({"bucket": None}, "bucket"),
        ({"service_dialect": "older"}, "service_dialect"),
        ({"queues": {"spot": "q"}}, "queues"),
        ({"settle_time_s": 0}, "settle_time_s"),
    ],
)
def test_a_wrong_setting_is_named_and_the_key_is_not(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        provider("https://example.org", **wrong)
    assert _KEY not in str(caught.value)


def test_the_key_is_in_no_text(scripted: Scripted, driver: Driver) -> None:
    scripted.answers = [answer(202, _VIEW)]
    start(driver, _SPEC)
    shown = [driver.provider, driver.provider.settings, driver.exchanges, driver.provider.connect("service")]
    assert _KEY not in repr(shown)


def test_without_a_key_requests_are_signed(scripted: Scripted) -> None:
    scripted.answers = [answer(202, _VIEW)]
    with Driver(provider(scripted.url, api_key=None, region="eu-west-1")) as driver:
        start(driver, _SPEC)
    headers = scripted.requests[0][2]
    assert "/eu-west-1/execute-api/aws4_request" in headers["authorization"]
    assert "idempotency-key" in headers["authorization"]
    assert "x-api-key" not in headers


def test_the_way_over_http_loads_no_vendor_sdk() -> None:
    code = """
import sys
from mediabroker_aws import BatchProvider
settings = {"service_url": "https://e.org", "api_key": "k", "bucket": "b-b"}
BatchProvider("p", settings).connect("service").close()
print([name for name in ("boto3", "av") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


ORIGINAL_SPEC = SuperResolution(input="s3://media/in/a.b.mp4", output="s3://media/in#a.b_BSR.mp4")


@pytest.fixture
def original(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", scripted.url)
    with Driver(provider(scripted.url, service_dialect="original", region="eu-west-1")) as driver:
        yield driver


def test_the_original_is_understood_and_its_output_looked_for(scripted: Scripted, original: Driver) -> None:
    text = b"in/a.b.mp4 started, SuperResolution Job Id is: #0f3a6c2f-8c1e-4d7e#"
    denied = reply(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")  # HEAD sends no body of it
    scripted.answers = [reply(404), reply(200, text), denied, denied, reply(200, ETag='"v"')]
    original.provider.check(ORIGINAL_SPEC, None)
    started = start(original, ORIGINAL_SPEC)
    assert [member.native_id for member in started.members] == ["0f3a6c2f-8c1e-4d7e"]
    assert attempt_of(original, started).state is JobState.RUNNING
    end = attempt_of(original, started)
    assert (end.state, end.result.outputs[0].uri) == (JobState.SUCCEEDED, ORIGINAL_SPEC.output)
    assert "idempotency-key" not in scripted.requests[1][2]


@pytest.mark.parametrize("text", [b"in/a.mp4 started", b"in/a.mp4 debug", b"{}", b""])
def test_an_answer_of_the_original_without_an_id_is_unknown(scripted: Scripted, original: Driver, text: bytes) -> None:
    scripted.answers = [reply(404), reply(200, text)]
    with pytest.raises((SubmissionUnknownError, ValueError)):
        start(original, ORIGINAL_SPEC)


def test_the_original_may_not_replace_an_output(scripted: Scripted, original: Driver) -> None:
    scripted.answers = [reply(200, ETag='"v"')]
    with pytest.raises(ProviderError) as caught:
        start(original, ORIGINAL_SPEC)
    assert caught.value.provider_code == ErrorCode.OUTPUT_EXISTS.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output", "s3://media/elsewhere.mp4"),
        ("debug", True),
        ("overwrite", True),
        ("model", "quality"),
        ("deinterlace", True),
        ("slice_s", 1.5),
        ("encoder", {"crf": 20}),
    ],
)
def test_what_the_original_has_no_word_for_is_unsupported(original: Driver, field: str, value: Any) -> None:
    fields = {**ORIGINAL_SPEC.model_dump(mode="json"), field: value}
    with pytest.raises(UnsupportedError, match=field):
        original.provider.check(SuperResolution.model_validate(fields), None)
    assert original.calls() == []


def test_the_original_cannot_be_searched_or_cancelled(original: Driver) -> None:
    able = original.provider.capabilities()
    assert (able.settle_time_s, able.cancel, able.progress) == (None, False, False)
    assert original.run(original.provider.cancel([])) is CancelOutcome.UNSUPPORTED


@pytest.mark.parametrize(("key", "output"), [("a.mp4", "a_BSR.mp4"), ("x/y.z/a.mov", "x#y.z#a_BSR.mov")])
def test_the_originals_names(key: str, output: str) -> None:
    source = SuperResolution(input=f"s3://media/{key}", output="s3://media/o.mp4").input
    assert original_output(source) == f"s3://media/{output}"


def test_a_job_that_the_service_cannot_tell_of_now_stays_what_it_was(scripted: Scripted, driver: Driver) -> None:
    error = {"code": "PROVIDER_INTERNAL", "blame": "provider", "retryable": True, "message": "its log says more"}
    scripted.answers = [answer(200, {"jobs": [{"id": _ID, "error": error}]})]
    (seen,) = driver.run(driver.provider.query([Member(role="job", native_id=_ID)]))
    assert (seen.state, seen.not_found, seen.phase) == (None, False, "not known now")

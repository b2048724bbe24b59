"""What AWS says to the super-resolution service, as the service says it to its callers: a clear status, never a 502."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from mediabroker_aws.functions.upscale.api import make_handler
from mediabroker_aws.functions.upscale.jobs import UpscaleJobs
from mediabroker_aws.functions.upscale.settings import UpscaleSettings
from tests.unit.aws.conftest import Scripted, hang_up, reply
from tests.unit.aws.upscaling import Service

Answer = Callable[[BaseHTTPRequestHandler], None]
_SETTINGS = {"bucket": "media", "job_definition": "upscale", "queue_spot": "spot"}


def s3_error(status: int, code: str, **headers: str) -> Answer:
    return reply(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode(), **headers)


def batch_error(status: int, code: str) -> Answer:
    return reply(status, json.dumps({"message": "no"}).encode(), x_amzn_ErrorType=code)


def post(jobs: UpscaleJobs) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, error and headers of the answer to a request with a key."""
    event = {
        "httpMethod": "POST",
        "path": "/",
        "headers": {"idempotency-key": "k"},
        "body": '{"key": "in/clip.mp4"}',
        "requestContext": {},
    }
    answer: Any = make_handler(jobs)(event, None)
    return answer["statusCode"], json.loads(answer["body"])["error"], answer["headers"]


@pytest.fixture
def against_s3(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[UpscaleJobs]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", scripted.url)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with closing(UpscaleJobs(UpscaleSettings(**_SETTINGS))) as jobs:  # type: ignore[arg-type]  pydantic reads text
        yield jobs


@pytest.mark.parametrize(
    ("said", "expected", "words"),
    [
        (s3_error(403, "ExpiredToken"), (500, "AUTH"), "credentials"),
        (s3_error(403, "InvalidAccessKeyId"), (500, "AUTH"), "credentials"),
        (s3_error(403, "SignatureDoesNotMatch"), (500, "AUTH"), "credentials"),
        (s3_error(403, "AccessDenied"), (500, "AUTH"), "denied"),
        (
            s3_error(301, "PermanentRedirect", x_amz_bucket_region="us-east-1"),
            (500, "AUTH"),
            "lies in us-east-1",
        ),
        (s3_error(503, "SlowDown"), (429, "RATE_LIMITED"), ""),
        (s3_error(500, "InternalError"), (503, "PROVIDER_INTERNAL"), ""),
        (hang_up, (503, "PROVIDER_INTERNAL"), ""),
    ],
    ids=["expired", "unknown-key", "signature", "denied", "region", "throttled", "internal", "hang-up"],
)
def test_what_s3_says_of_the_services_own_records(
    against_s3: UpscaleJobs, scripted: Scripted, said: Answer, expected: tuple[int, str], words: str
) -> None:
    scripted.answers = [said]
    status, error, headers = post(against_s3)
    assert (status, error["code"]) == expected
    assert words in error["message"]
    assert ("Retry-After" in headers) == (status in (429, 503))


def test_a_source_that_may_not_be_read_is_the_callers_to_mend(against_s3: UpscaleJobs, scripted: Scripted) -> None:
    nothing, stored = s3_error(404, "NoSuchKey"), reply(200, b"", ETag='"e"')
    # The job's name is looked up and stored first, then the job itself.
    scripted.answers = [nothing, nothing, stored, nothing, nothing, s3_error(403, "AccessDenied")]
    status, error, _ = post(against_s3)
    assert (status, error["code"]) == (403, "INPUT_DENIED")
    assert "in/clip.mp4" in error["message"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (batch_error(403, "ExpiredTokenException"), (500, "AUTH")),
        (batch_error(403, "AccessDeniedException"), (500, "AUTH")),
        (batch_error(400, "ClientException"), (500, "PROVIDER_INTERNAL")),
        (batch_error(429, "TooManyRequestsException"), (429, "RATE_LIMITED")),
        (batch_error(500, "ServerException"), (503, "PROVIDER_INTERNAL")),
    ],
    ids=["expired", "denied", "queue-gone", "throttled", "internal"],
)
def test_what_batch_refuses_leaves_the_key_free_to_be_used_again(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, said: Answer, expected: tuple[int, str]
) -> None:
    with closing(Service(tmp_path)) as service:
        healthy = service.account.server.url
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", scripted.url)
        scripted.answers = [said]
        settings = service.rig.jobs.settings.model_copy(update={"settle_time_s": 0.0})
        with closing(UpscaleJobs(settings)) as jobs:
            status, error, headers = post(jobs)
        assert (status, error["code"]) == expected
        assert ("Retry-After" in headers) == (status in (429, 503))
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", healthy)
        with closing(UpscaleJobs(settings)) as jobs:
            event = {"httpMethod": "POST", "path": "/", "body": '{"key": "in/clip.mp4"}', "requestContext": {}}
            again: Any = make_handler(jobs)({**event, "headers": {"idempotency-key": "k"}}, None)
        assert again["statusCode"] == 202
        assert service.steps() == ["single"]


def test_a_defect_is_a_500_that_does_not_quote_the_request(against_s3: UpscaleJobs) -> None:
    answer: Any = make_handler(against_s3)({"body": "secret-canary", "requestContext": None}, None)
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["error"]["code"] == "INTERNAL"
    assert "secret-canary" not in answer["body"]

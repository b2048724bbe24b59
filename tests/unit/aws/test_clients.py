"""The clients' promise: one request per call, and an honest word for what became of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.settings import AwsSettings
from tests.unit.aws.conftest import REGION, Scripted, hang_up, reply

JOB = {"jobName": "mb-1", "jobQueue": "q", "jobDefinition": "d"}


@pytest.fixture
def client(scripted: Scripted) -> Iterator[AwsClient]:
    client = AwsClient("batch", AwsSettings(region=REGION, endpoint_url=scripted.url))
    yield client
    client.close()


def refusal(status: int, code: str, **headers: str) -> Any:
    body = json.dumps({"message": "because", "__type": code}).encode()
    return reply(status, body, x_amzn_ErrorType=code, x_amzn_RequestId="r-1", **headers)


@pytest.mark.parametrize("answer", [hang_up, refusal(500, "ServerException"), refusal(503, "ServiceUnavailable")])
def test_S4_S6_a_create_whose_answer_is_lost_is_unknown_and_sent_once(
    scripted: Scripted, client: AwsClient, answer: Callable[[Any], None]
) -> None:
    scripted.answers = [answer]
    with pytest.raises(SubmissionUnknownError):
        client.create("submit_job", **JOB)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("answer", [hang_up, refusal(500, "ServerException")])
def test_a_read_whose_answer_is_lost_is_worth_another_try(
    scripted: Scripted, client: AwsClient, answer: Callable[[Any], None]
) -> None:
    scripted.answers = [answer]
    with pytest.raises(UnavailableError) as caught:
        client.call("describe_jobs", jobs=["1"])
    assert caught.value.retryable
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ClientException", ProviderError),
        (403, "AccessDeniedException", AuthenticationError),
        (403, "SomethingNewException", AuthenticationError),
        (429, "TooManyRequestsException", ThrottledError),
        (400, "ThrottlingException", ThrottledError),
    ],
)
def test_S7_a_refused_create_is_refused_and_carries_the_services_own_words(
    scripted: Scripted, client: AwsClient, status: int, code: str, kind: type[ProviderError]
) -> None:
    scripted.answers = [refusal(status, code, Retry_After="7")]
    with pytest.raises(ProviderError) as caught:
        client.create("submit_job", **JOB)
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is kind
    assert (error.provider, error.operation, error.provider_code) == ("batch", "submit_job", code)
    assert (error.request_id, error.retry_after_s) == ("r-1", 7.0)


def test_V6_a_create_that_was_never_sent_is_refused(scripted: Scripted) -> None:
    url = scripted.url
    scripted.close()
    client = AwsClient("batch", AwsSettings(region=REGION, endpoint_url=url))
    with pytest.raises(UnavailableError):
        client.create("submit_job", **JOB)
    client.close()


def test_a_request_that_does_not_fit_the_services_model_is_refused_before_it_is_sent(
    scripted: Scripted, client: AwsClient
) -> None:
    with pytest.raises(ProviderError, match="jobName") as caught:
        client.create("submit_job", jobQueue="q")
    assert not caught.value.retryable
    assert scripted.requests == []


def test_missing_credentials_and_regions_are_said_to_be_missing(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="region"):
        AwsClient("batch", AwsSettings()).call("describe_jobs", jobs=["1"])
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    client = AwsClient("batch", AwsSettings(region=REGION, endpoint_url=scripted.url))
    with pytest.raises(AuthenticationError, match="credentials"):
        client.create("submit_job", **JOB)
    client.close()

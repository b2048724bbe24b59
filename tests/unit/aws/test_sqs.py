"""SQS as a source: what a receiver relies on, over real HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, JobSucceeded, Transcode
from mediabroker.callbacks.sources import open_source
from mediabroker.config import BrokerSettings
from mediabroker.errors import AuthenticationError, ConfigurationError, ProviderError, ThrottledError, UnavailableError
from mediabroker.messages import InboundMessage
from mediabroker_aws import SqsSource
from tests.ledger import LedgerProvider, notice
from tests.unit.aws.conftest import REGION, Aws, Scripted, reply


@pytest.fixture
def tables(endpoint: str) -> dict[str, Any]:
    return {"sqs": {"endpoint_url": endpoint, "region": REGION, "long_poll_s": 1}}


@pytest.fixture
def queue(aws: Aws, name: str) -> str:
    return str(aws("sqs").create_queue(QueueName=name)["QueueUrl"])


@pytest.fixture
def source(tables: dict[str, Any], queue: str, name: str) -> Any:
    source = open_source(f"sqs://{name}", tables)
    yield source
    source.close()


def send(aws: Aws, queue: str, *bodies: str) -> None:
    client = aws("sqs")
    for body in bodies:
        attributes = {"tenant": {"DataType": "String", "StringValue": "a"}}
        client.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=attributes)


def test_a_message_comes_with_its_bytes_attributes_and_count(source: SqsSource, aws: Aws, queue: str) -> None:
    send(aws, queue, "größe \U0001f3ac")
    (message,) = source.receive(wait_s=5)
    assert message.body == "größe \U0001f3ac".encode()
    assert (message.source, message.receive_count) == (source.url, 1)
    assert message.attributes["tenant"] == "a"
    assert "SentTimestamp" in message.attributes
    assert message.receipt not in repr(message)


def test_an_empty_queue_is_no_error(source: SqsSource) -> None:
    assert source.receive(wait_s=0) == []


def test_a_received_message_is_hidden_until_it_is_released_and_counts(source: SqsSource, aws: Aws, queue: str) -> None:
    send(aws, queue, "{}")
    first = source.receive(wait_s=1)
    assert source.receive(wait_s=0) == []
    source.release(first)
    (again,) = source.receive(wait_s=1)
    assert (again.id, again.receive_count) == (first[0].id, 2)
    source.release([again], delay_s=600)
    assert source.receive(wait_s=0) == []


def test_deleted_messages_are_gone_also_more_than_one_batch_of_them(source: SqsSource, aws: Aws, queue: str) -> None:
    send(aws, queue, *(str(number) for number in range(12)))
    taken: list[InboundMessage] = []
    while len(taken) < 12:
        taken += source.receive(wait_s=1)
    assert source.delete(taken) == []
    found = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0"


def scripted_source(scripted: Scripted, **settings: Any) -> SqsSource:
    given = {"endpoint_url": scripted.url, "region": REGION, **settings}
    return SqsSource("sqs://sqs.eu-west-1.amazonaws.com/123456789012/media", given)


def answer(value: Any, status: int = 200) -> Any:
    return reply(status, json.dumps(value).encode(), Content_Type="application/x-amz-json-1.0")


def messages(count: int) -> list[InboundMessage]:
    return [InboundMessage(b"", id=str(number), receipt=f"r{number}") for number in range(count)]


def test_C9_only_entries_that_may_succeed_are_deleted_again(scripted: Scripted) -> None:
    server = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
    stale = {"Id": "2", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    scripted.answers = [
        answer({"Successful": [{"Id": "0"}], "Failed": [server, stale]}),
        answer({"Successful": [{"Id": "0"}], "Failed": []}),
    ]
    source = scripted_source(scripted)
    given = messages(3)
    assert source.delete(given) == [given[2]]
    assert len(scripted.requests) == 2
    source.close()


def test_C9_an_entry_that_never_succeeds_is_given_up_and_named(scripted: Scripted) -> None:
    failed = {"Id": "0", "SenderFault": False, "Code": "InternalError"}
    scripted.answers = [answer({"Successful": [], "Failed": [failed]})]
    source = scripted_source(scripted)
    given = messages(1)
    assert source.delete(given) == given
    assert len(scripted.requests) == 3
    source.close()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("QueueDoesNotExist", 400, ProviderError),
        ("AccessDeniedException", 400, AuthenticationError),
        ("KmsAccessDenied", 400, AuthenticationError),
        ("RequestThrottled", 400, ThrottledError),
        ("ServiceUnavailable", 503, UnavailableError),
    ],
)
def test_C14_what_is_wrong_with_a_queue_has_a_type(
    scripted: Scripted, code: str, status: int, kind: type[ProviderError]
) -> None:
    scripted.answers = [answer({"__type": f"com.amazonaws.sqs#{code}", "message": "because"}, status)]
    source = scripted_source(scripted)
    with pytest.raises(kind) as caught:
        source.receive(wait_s=0)
    assert type(caught.value) is kind
    assert caught.value.provider_code == code
    assert len(scripted.requests) == 1, "the SDK must not try again by itself"
    source.close()


def test_C15_expired_credentials_are_read_again_once_and_no_more(scripted: Scripted) -> None:
    scripted.answers = [answer({"__type": "x#ExpiredToken", "message": "too old"}, 400)]
    source = scripted_source(scripted)
    with pytest.raises(AuthenticationError):
        source.receive(wait_s=0)
    assert len(scripted.requests) == 2
    scripted.requests.clear()
    scripted.answers = [answer({"__type": "x#ExpiredToken", "message": "too old"}, 400), answer({})]
    assert source.receive(wait_s=0) == []
    source.close()


@pytest.mark.parametrize("url", ["sqs://", "sqs://a/b", "sqs://host/1/q", "sqs://a b", "sqs://x/123456789012/"])
def test_a_url_that_names_no_queue_is_refused_with_the_forms(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqs://queue-name"):
        SqsSource(url, {})


def test_unknown_settings_and_schemes_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"sources.sqs: regoin"):
        SqsSource("sqs://q", {"regoin": "x"})
    with pytest.raises(ConfigurationError, match="no message source 'sqz'; did you mean 'sqs'"):
        open_source("sqz://q", {})
    with pytest.raises(ConfigurationError, match="is not a URL"):
        open_source("media-events", {})


def test_a_whole_url_names_the_region(aws: Aws) -> None:
    assert scripted_region("sqs://sqs.cn-north-1.amazonaws.com.cn/123456789012/q") == "cn-north-1"
    assert scripted_region("sqs://queue-name") is None


def scripted_region(url: str) -> str | None:
    return SqsSource(url, {})._settings.region


def test_a_queue_that_is_not_there_is_named(tables: dict[str, Any]) -> None:
    source = open_source("sqs://nobody-made-it", tables)
    with pytest.raises(ProviderError, match="does not exist"):
        source.receive(wait_s=0)
    source.close()


def test_the_broker_consumes_a_real_queue_through_sns(
    tmp_path: Path, tables: dict[str, Any], aws: Aws, queue: str, name: str
) -> None:
    (tmp_path / "out.mp4").write_bytes(b"video")
    topic = aws("sns").create_topic(Name=name)["TopicArn"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor"})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}", sources=tables, reconcile_s=600)
    with Broker(settings, providers={"ledger": vendor}) as broker:
        broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4"))
        seen = []
        with broker.events(f"sqs://{name}") as stream:
            seen.append(next(stream).type)
            for each in ("job-0", "job-1"):
                vendor.ledger.say(each, "done")
                aws("sns").publish(TopicArn=topic, Message=notice(vendor.ledger, each).decode())
            for event in stream:
                seen.append(event.type)
                if isinstance(event, JobSucceeded):
                    break
    assert seen == ["job_queued", "job_started", "job_succeeded"]
    found = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert found["ApproximateNumberOfMessages"] == "0"

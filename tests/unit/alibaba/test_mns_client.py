"""The MNS client: over the simulator where it is honest, over scripted answers where it is too kind."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import md5

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker_alibaba import MnsClient
from mediabroker_alibaba.credentials import Credentials
from mediabroker_alibaba.mns.client import BATCH_LIMIT
from mediabroker_alibaba.mns.wire import ANSWER_LIMIT_BYTES, Refusal, Sent
from mediabroker_alibaba.simulator.mns import MnsService
from mediabroker_alibaba.simulator.server import LoopbackServer, Request, Response
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World

Q = "q-1"


@pytest.fixture
def client(mns_url: str, mns: MnsService, account: Account) -> Iterator[MnsClient]:
    mns.create_queue(account.id, Q)
    with MnsClient(mns_url) as client:
        yield client


Scripted = Callable[[bytes | None], MnsClient]


@pytest.fixture
def scripted() -> Iterator[Callable[..., MnsClient]]:
    """Clients of a service that always gives the same answer."""
    opened: list[LoopbackServer | MnsClient] = []

    def client(status: int, body: bytes | None) -> MnsClient:
        def answer(request: Request) -> Response | None:
            return None if body is None else Response(status, (("Content-Type", "text/xml"),), body)

        server = LoopbackServer(answer)
        opened.extend((MnsClient(server.url, lambda: Credentials("id", "secret"), read_timeout_s=5.0), server))
        found = opened[-2]
        assert isinstance(found, MnsClient)
        return found

    yield client
    for each in opened:
        each.close()


@pytest.mark.parametrize("body", ["hello", "größe \U0001f3ac", '{"a": "<&>\\r\\n"}', "a\rb\n\tc", " spaces ", "]]>"])
def test_what_is_sent_is_received_and_gone_when_deleted(client: MnsClient, body: str) -> None:
    sent = client.send(Q, body)
    assert client.peek(Q)[0].id == sent.id
    (message,) = client.receive(Q)
    assert (message.body, message.id, message.body_md5) == (body, sent.id, sent.body_md5)
    assert message.dequeue_count == 1
    assert client.receive(Q) == []
    assert client.delete(Q, [message.receipt]) == []
    assert client.queue_attributes(Q)["InactiveMessages"] == "0"


def test_a_batch_is_sent_and_received_at_once_in_order_of_priority(client: MnsClient) -> None:
    outcomes = client.send_batch(Q, [f"m{number}" for number in range(15)])
    assert all(isinstance(each, Sent) for each in outcomes)
    client.send(Q, "urgent", priority=1)
    assert [each.body for each in client.receive(Q)] == ["urgent", *(f"m{number}" for number in range(15))]


def test_of_a_batch_that_fails_in_part_every_outcome_is_told(
    client: MnsClient, mns: MnsService, account: Account
) -> None:
    mns.queue(account.id, Q).attributes["MaximumMessageSize"] = 1024
    outcomes = client.send_batch(Q, ["small", "x" * 1025, "small too"])
    assert [type(each) for each in outcomes] == [Sent, Refusal, Sent]
    message, _ = client.receive(Q)
    (refusal,) = client.delete(Q, [message.receipt, "8-" + "A" * 32])
    assert (refusal.code, refusal.receipt) == ("MessageNotExist", "8-" + "A" * 32)


def test_the_size_of_a_batch_is_one_of_bytes(client: MnsClient) -> None:
    bodies = ["\u4e2d" * 1365] * BATCH_LIMIT
    assert len(client.send_batch(Q, bodies)) == BATCH_LIMIT
    with pytest.raises(ProviderError, match="65536 bytes in all"):
        client.send_batch(Q, [*bodies[1:], "\u4e2d" * 1400])


def test_a_delayed_message_comes_when_its_time_has_come(client: MnsClient, world: World) -> None:
    sent = client.send(Q, "later", delay_s=60)
    assert sent.receipt
    assert client.receive(Q) == []
    world.clock.advance(61)
    assert [each.body for each in client.receive(Q)] == ["later"]


def test_a_new_visibility_voids_the_receipt_and_gives_another(client: MnsClient, world: World) -> None:
    client.send(Q, "x")
    (message,) = client.receive(Q)
    receipt = client.change_visibility(Q, message.receipt, 600)
    assert client.delete(Q, [message.receipt])[0].code == "MessageNotExist"
    world.clock.advance(599)
    assert client.receive(Q) == []
    assert client.delete(Q, [receipt]) == []


def test_a_control_character_is_refused_before_anything_is_sent(client: MnsClient) -> None:
    with pytest.raises(ValueError, match="Base64"):
        client.send(Q, "a\x00b")
    assert client.receive(Q) == []


def test_threads_share_a_client(client: MnsClient) -> None:
    def work(number: int) -> int:
        client.send(Q, str(number))
        return sum(len(client.delete(Q, [each.receipt])) for each in client.receive(Q, count=1))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(80))) == 0
    assert client.queue_attributes(Q)["InactiveMessages"] == "0"


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("throttled", ThrottledError, "QpsLimitExceeded"),
        ("denied", AuthenticationError, "SignatureDoesNotMatch"),
        ("error_before", UnavailableError, "InternalError"),
        ("html", UnavailableError, None),
        ("lost", UnavailableError, None),
        ("truncated", UnavailableError, None),
        ("empty", UnavailableError, None),
    ],
)
def test_every_way_to_fail_has_a_type(
    client: MnsClient, world: World, fault: str, kind: type, code: str | None
) -> None:
    client.send(Q, "x")
    world.faults.add("mns.ReceiveMessage", fault)  # type: ignore[arg-type]  # a literal, as the parameters list it
    with pytest.raises(ProviderError) as caught:
        client.receive(Q)
    assert type(caught.value) is kind
    assert caught.value.provider_code == code
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "taken"),
    [
        ("dropped", SubmissionUnknownError, 0),
        ("lost", SubmissionUnknownError, 1),
        ("truncated", SubmissionUnknownError, 1),
        ("error_after", SubmissionUnknownError, 1),
        ("html", SubmissionUnknownError, 1),
        ("error_before", SubmissionUnknownError, 0),
        ("throttled", ThrottledError, 0),
        ("denied", AuthenticationError, 0),
    ],
)
@pytest.mark.parametrize("batch", [False, True])
def test_a_send_that_may_have_been_taken_is_unknown_and_not_sent_again(
    client: MnsClient, world: World, fault: str, kind: type, *, taken: int, batch: bool
) -> None:
    world.faults.add("mns.SendMessage", fault)  # type: ignore[arg-type]  # a literal, as the parameters list it
    with pytest.raises(ProviderError) as caught:
        client.send_batch(Q, ["once"]) if batch else client.send(Q, "once")
    assert type(caught.value) is kind
    assert caught.value.retryable is (kind is ThrottledError)
    assert len(client.receive(Q)) == taken


def test_a_batch_that_tells_of_each_message_is_believed_whatever_its_status(scripted: Callable[..., MnsClient]) -> None:
    entry = b"<Message><MessageId>1</MessageId></Message><Message><ErrorCode>InternalError</ErrorCode></Message>"
    outcomes = scripted(500, b"<Messages>" + entry + b"</Messages>").send_batch(Q, ["a", "b"])
    assert [type(each) for each in outcomes] == [Sent, Refusal]


def test_nobody_there_is_unavailable_also_for_a_send() -> None:
    server = LoopbackServer(lambda _: None)
    server.close()
    with MnsClient(server.url, lambda: Credentials("id", "secret")) as client, pytest.raises(UnavailableError):
        client.send(Q, "x")


def test_wrong_secret_skewed_clock_and_missing_queue_are_told_apart(
    client: MnsClient, mns_url: str, world: World, account: Account
) -> None:
    with pytest.raises(ProviderError, match="queue none") as caught:
        client.receive("none")
    assert caught.value.provider_code == "QueueNotExist"
    for pair, code in ((("nobody", "x"), "InvalidAccessKeyId"), ((account.key.access_key_id, "x"), "SignatureDoes")):
        with MnsClient(mns_url, partial(Credentials, *pair)) as other, pytest.raises(AuthenticationError, match=code):
            other.receive(Q)
    world.clock.advance(16 * 60)
    with pytest.raises(AuthenticationError, match="clock is more than 15 minutes off"):
        client.receive(Q)


def test_temporary_credentials_are_read_again_when_they_have_expired(
    mns_url: str, mns: MnsService, world: World, account: Account
) -> None:
    mns.create_queue(account.id, Q)
    given = []

    def provide() -> Credentials:
        pair = world.tenants.add_temporary_key(account, expires_in_s=60)
        given.append(pair)
        return Credentials(pair.access_key_id, pair.access_key_secret, pair.token)

    with MnsClient(mns_url, provide) as client:
        client.send(Q, "x")
        world.clock.advance(61)
        assert len(client.receive(Q)) == 1
    assert len(given) == 2
    wrong = Credentials(given[0].access_key_id, "s", "token")
    with MnsClient(mns_url, lambda: wrong) as client, pytest.raises(AuthenticationError):
        client.receive(Q)


LOL = b'<!DOCTYPE a [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><Messages><Message>&b;</Message></Messages>'
FETCH = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Messages>&x;</Messages>'


@pytest.mark.parametrize(
    "body",
    [
        LOL,
        FETCH,
        b"<a>" * 50_000,
        b"<Messages><Message><MessageId>1</MessageId>" + b" " * ANSWER_LIMIT_BYTES + b"</Message></Messages>",
        b"not xml",
        b"\xff\xfe",
        b"<?xml version='1.0' encoding='utf-7'?><Messages/>",
        b"<Other/>",
        b"",
    ],
    ids=["bomb", "entity", "deep", "huge", "text", "bytes", "encoding", "other", "empty"],
)
@pytest.mark.parametrize("status", [200, 400])
def test_hostile_answers_are_refused_and_nothing_of_them_is_quoted(
    scripted: Callable[..., MnsClient], body: bytes, status: int
) -> None:
    with pytest.raises(ProviderError) as caught:
        scripted(status, body).receive(Q)
    assert "lol" not in str(caught.value)
    assert "passwd" not in str(caught.value)
    assert "root:" not in str(caught.value)


def test_a_damaged_message_is_left_to_come_again(
    scripted: Callable[..., MnsClient], caplog: pytest.LogCaptureFixture
) -> None:
    body = b"""<Messages xmlns="http://mns.aliyuncs.com/doc/v1/"><Message><MessageId>1</MessageId>
    <MessageBody>tampered</MessageBody><MessageBodyMD5>00</MessageBodyMD5><EnqueueTime>1</EnqueueTime>
    <DequeueCount>1</DequeueCount></Message></Messages>"""
    assert scripted(200, body).receive(Q) == []
    assert "damaged" in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        b"<Message/>",
        b"<Message><MessageId>bad</MessageId></Message>",
        b"""<Message><MessageId>bad</MessageId><MessageBody>x</MessageBody><MessageBodyMD5>x</MessageBodyMD5>
        <EnqueueTime>soon</EnqueueTime><DequeueCount>1</DequeueCount></Message>""",
    ],
    ids=["nothing", "no body", "no number"],
)
def test_a_message_that_cannot_be_read_is_reported_and_costs_no_other_its_delivery(
    scripted: Callable[..., MnsClient], caplog: pytest.LogCaptureFixture, broken: bytes
) -> None:
    good = b"""<Message><MessageId>1</MessageId><MessageBody>x</MessageBody><MessageBodyMD5>%s</MessageBodyMD5>
    <EnqueueTime>1</EnqueueTime><DequeueCount>1</DequeueCount></Message>""" % md5(b"x").hexdigest().encode()
    client = scripted(200, b"<Messages>" + good + broken + good + b"</Messages>")
    assert [each.body for each in client.receive(Q)] == ["x", "x"]
    (record,) = [each for each in caplog.records if "cannot be read" in each.message]
    assert record.__dict__["queue"] == Q
    assert record.__dict__["reason"]


def test_the_largest_batch_there_can_be_is_received(client: MnsClient) -> None:
    for _ in range(BATCH_LIMIT):
        client.send(Q, "&" * 65_536)
    assert len(client.receive(Q)) == BATCH_LIMIT
    escaped = BATCH_LIMIT * (65_536 * len("&quot;") + 2000)
    assert escaped < ANSWER_LIMIT_BYTES, "also where a service escapes what the simulated one leaves"


def test_no_secret_is_printed_or_logged(client: MnsClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client.send(Q, "x")
    (message,) = client.receive(Q)
    with pytest.raises(ProviderError) as caught:
        client.send("none", "x")
    for text in (
        caplog.text,
        repr(client),
        repr(caught.value),
        repr(message),
        repr(Credentials("id", "secret-canary")),
    ):
        assert "secret-canary" not in text
    assert message.receipt not in repr(message)


def test_an_endpoint_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="http"):
        MnsClient("1234.mns.cn-shanghai.aliyuncs.com")

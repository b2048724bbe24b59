"""The simulated MNS: what it refuses and why, tenants apart, topics, and chaos when asked for."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from email.utils import formatdate
from threading import Thread

import httpx
import pytest

from mediabroker_alibaba import MnsClient
from mediabroker_alibaba.credentials import Credentials
from mediabroker_alibaba.mns.signing import sign, string_to_sign
from mediabroker_alibaba.mns.wire import MNS_NAMESPACE, parse_messages, parse_record, parse_refusals
from mediabroker_alibaba.simulator.mns import Chaos, MnsRefusedError, MnsService
from mediabroker_alibaba.simulator.seams import PostRefusedError
from mediabroker_alibaba.simulator.tenants import Account, KeyPair
from mediabroker_alibaba.simulator.world import World
from tests.unit.alibaba.conftest import REGION

Q = "/queues/q-1"
QUEUE = f'<Queue xmlns="{MNS_NAMESPACE}"><VisibilityTimeout>60</VisibilityTimeout></Queue>'.encode()


def ask(
    url: str, pair: KeyPair, method: str, target: str, body: bytes = b"", *, without: str = "", **change: str
) -> httpx.Response:
    """A request signed by hand; `change` replaces headers after they were signed, `without` leaves one out."""
    headers = {"date": formatdate(usegmt=True), "x-mns-version": "2015-06-06"}
    headers |= {"content-type": "text/xml"} if body else {}
    headers.pop(without, None)
    headers["authorization"] = f"MNS {pair.access_key_id}:" + sign(
        pair.access_key_secret, string_to_sign(method, target, headers.items())
    )
    headers |= {name.replace("_", "-"): value for name, value in change.items()}
    if without == "authorization":
        del headers[without]
    with httpx.Client() as client:
        return client.request(method, f"{url}{target}", headers=headers, content=body)


def code(answer: httpx.Response) -> tuple[int, str]:
    assert len(answer.headers["x-mns-request-id"]) == 24
    return answer.status_code, parse_refusals(answer.content)[0].code


@pytest.mark.parametrize(
    ("without", "change", "expected"),
    [
        ("x-mns-version", {}, (400, "MissingVersionHeader")),
        ("date", {}, (400, "MissingDateHeader")),
        ("authorization", {}, (400, "MissingAuthorizationHeader")),
        ("", {"authorization": "MNS nonsense"}, (400, "InvalidAuthorizationHeader")),
        ("", {"authorization": "MNS nobody:AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, (403, "InvalidAccessKeyId")),
        ("", {"date": "yesterday"}, (400, "InvalidDateHeader")),
        ("", {"date": "Fri, 02 Jan 2015 03:04:05 GMT"}, (408, "TimeExpired")),
        ("", {"x_mns_extra": "unsigned"}, (403, "SignatureDoesNotMatch")),
        ("", {"content_type": "text/plain"}, (403, "SignatureDoesNotMatch")),
        ("", {"security_token": "token"}, (403, "InvalidSecurityToken")),
    ],
)
def test_a_request_that_is_not_rightly_signed_is_refused_with_the_services_code(
    mns_url: str, account: Account, without: str, change: dict[str, str], expected: tuple[int, str]
) -> None:
    assert code(ask(mns_url, account.key, "GET", Q, without=without, **change)) == expected


def test_disabled_keys_and_hosts_of_others_are_refused(mns_url: str, world: World, account: Account) -> None:
    disabled = world.tenants.add_key(account, active=False)
    assert code(ask(mns_url, disabled, "GET", Q)) == (403, "InvalidAccessKeyId")
    host = "999.mns.cn-shanghai.aliyuncs.com"
    assert code(ask(mns_url, account.key, "GET", Q, host=host)) == (403, "AccessDenied")


def test_both_forms_of_a_digest_are_taken_and_no_other(mns_url: str, account: Account) -> None:
    digest = hashlib.md5(QUEUE)
    for content, status in ((digest.digest(), 201), (digest.hexdigest().encode(), 204), (b"other", 400)):
        given = base64.b64encode(content).decode()
        headers = {"date": formatdate(usegmt=True), "x-mns-version": "2015-06-06", "content-md5": given}
        signature = sign(account.key.access_key_secret, string_to_sign("PUT", Q, headers.items()))
        headers["authorization"] = f"MNS {account.key.access_key_id}:{signature}"
        answer = httpx.put(f"{mns_url}{Q}", headers=headers, content=QUEUE)
        assert answer.status_code == status
    assert parse_refusals(answer.content)[0].code == "InvalidDegist"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("GET", "/nowhere", b""), (400, "InvalidRequestURL")),
        (("GET", "/queues/none", b""), (404, "QueueNotExist")),
        (("PUT", "/queues/-q", QUEUE), (400, "InvalidQueueName")),
        (("PUT", f"/queues/{'q' * 121}", QUEUE), (400, "QueueNameLengthError")),
        (("PUT", Q, b"<Queue>"), (400, "MalformedXML")),
        (("PUT", Q, b"<!DOCTYPE a [<!ENTITY x 'y'>]><Queue>&x;</Queue>"), (400, "MalformedXML")),
        (("PUT", Q, QUEUE.replace(b">60<", b">0<")), (400, "InvalidArgument")),
        (("PUT", f"{Q}/messages?VisibilityTimeout=1", b""), (400, "MissingReceiptHandle")),
        (("PUT", f"{Q}/messages?ReceiptHandle=a", b""), (400, "MissingVisibilityTimeout")),
        (("DELETE", f"{Q}/messages?ReceiptHandle=a", b""), (400, "ReceiptHandleError")),
        (("DELETE", f"{Q}/messages?ReceiptHandle=8-{'A' * 32}", b""), (404, "MessageNotExist")),
        (("GET", f"{Q}/messages?numOfMessages=17", b""), (400, "InvalidArgument")),
        (("GET", f"{Q}/messages?waitseconds=31", b""), (400, "InvalidArgument")),
        (("GET", f"{Q}/messages", b""), (404, "MessageNotExist")),
        (("POST", f"{Q}/messages", b"<Message/>"), (400, "InvalidArgument")),
        (("GET", "/topics/none", b""), (404, "TopicNotExist")),
    ],
)
def test_what_is_wrongly_asked_is_refused_with_the_services_code(
    mns_url: str, mns: MnsService, account: Account, asked: tuple[str, str, bytes], expected: tuple[int, str]
) -> None:
    mns.create_queue(account.id, "q-1")
    assert code(ask(mns_url, account.key, *asked)) == expected


def test_a_queue_is_made_once_and_differently_never(mns_url: str, account: Account) -> None:
    first = ask(mns_url, account.key, "PUT", Q, QUEUE)
    assert (first.status_code, first.headers["location"]) == (201, f"{mns_url}{Q}")
    assert ask(mns_url, account.key, "PUT", Q, QUEUE).status_code == 204
    assert code(ask(mns_url, account.key, "PUT", Q, QUEUE.replace(b"60", b"61"))) == (409, "QueueAlreadyExist")
    changed = ask(mns_url, account.key, "PUT", f"{Q}?metaoverride=true", QUEUE.replace(b"60", b"61"))
    assert changed.status_code == 204
    described = parse_record(ask(mns_url, account.key, "GET", Q).content, "Queue")
    assert (described["VisibilityTimeout"], described["QueueName"]) == ("61", "q-1")


def test_queues_are_listed_by_prefix_and_in_pages(mns_url: str, mns: MnsService, account: Account) -> None:
    for name in ("a-1", "a-2", "a-3", "b-1"):
        mns.create_queue(account.id, name)
    with httpx.Client() as client:
        found, marker = [], ""
        for _ in range(2):
            own = {"x-mns-prefix": "a-", "x-mns-ret-number": "2", "x-mns-version": "2015-06-06"}
            own |= {"x-mns-marker": marker} if marker else {}
            headers = {"date": formatdate(usegmt=True), **own}
            signature = sign(account.key.access_key_secret, string_to_sign("GET", "/queues", headers.items()))
            headers["authorization"] = f"MNS {account.key.access_key_id}:{signature}"
            answer = client.get(f"{mns_url}/queues", headers=headers)
            found += [line.partition("</QueueURL>")[0] for line in answer.text.split("<QueueURL>")[1:]]
            marker = answer.text.partition("<NextMarker>")[2].partition("<")[0]
    assert [each.rpartition("/")[2] for each in found] == ["a-1", "a-2", "a-3"]


def test_tenants_do_not_see_each_others_queues(mns_url: str, mns: MnsService, world: World, account: Account) -> None:
    other = world.tenants.add_account()
    mns.create_queue(account.id, "q-1")
    assert code(ask(mns_url, other.key, "GET", Q)) == (404, "QueueNotExist")
    with pytest.raises(PostRefusedError, match="QueueNotExist"):
        mns.post(other.id, REGION, "q-1", "x")
    with pytest.raises(PostRefusedError, match="QueueNotExist"):
        mns.post(account.id, "cn-beijing", "q-1", "x")


def test_messages_end_with_their_retention(mns: MnsService, world: World, account: Account) -> None:
    queue = mns.create_queue(account.id, "q-1", MessageRetentionPeriod=60)
    queue.send("x")
    world.clock.advance(61)
    assert queue.counts() == (0, 0, 0)


def test_a_long_poll_holds_no_other_connection_and_ends_with_the_simulator(
    mns_url: str, mns: MnsService, world: World, account: Account
) -> None:
    mns.create_queue(account.id, "q-1")
    answers = []
    target = f"{Q}/messages?waitseconds=30"
    waiting = Thread(target=lambda: answers.append(ask(mns_url, account.key, "GET", target, without="")))
    waiting.start()
    assert ask(mns_url, account.key, "GET", Q).status_code == 200
    world.stopping.set()
    waiting.join(60)
    assert code(answers[0]) == (404, "MessageNotExist")


def test_a_long_poll_ends_when_the_clock_jumps(mns: MnsService, world: World, account: Account) -> None:
    queue = mns.create_queue(account.id, "q-1", PollingWaitSeconds=30)
    answers = []

    def poll() -> None:
        try:
            queue.receive(1, None)
        except MnsRefusedError as refused:
            answers.append(refused.code)

    waiting = Thread(target=poll)
    waiting.start()
    world.clock.advance(31)
    waiting.join(60)
    assert answers == ["MessageNotExist"]


def receive(url: str, pair: KeyPair) -> list[str]:
    with MnsClient(url, lambda: Credentials(pair.access_key_id, pair.access_key_secret)) as client:
        return [each.body for each in client.receive("q-1")]


@pytest.mark.parametrize("form", ["XML", "JSON", "SIMPLIFIED"])
def test_what_is_published_reaches_the_subscribed_queue_in_its_format(
    mns_url: str, mns: MnsService, account: Account, form: str
) -> None:
    mns.create_queue(account.id, "q-1")
    key, topic, there = account.key, "/topics/t-1", "/topics/t-1/subscriptions/s-1"
    assert ask(mns_url, key, "PUT", topic, b"<Topic/>").status_code == 201
    body = (
        f"<Subscription><Endpoint>acs:mns:{REGION}:{account.id}:queues/q-1</Endpoint>"
        f"<NotifyContentFormat>{form}</NotifyContentFormat><FilterTag>media</FilterTag></Subscription>"
    ).encode()
    assert ask(mns_url, key, "PUT", there, body).status_code == 201
    assert code(ask(mns_url, key, "PUT", there, body.replace(b"media", b"other"))) == (409, "SubscriptionAlreadyExist")
    for tag in ("other", "media"):
        message = f"<Message><MessageBody>hello {tag}</MessageBody><MessageTag>{tag}</MessageTag></Message>".encode()
        assert ask(mns_url, key, "POST", f"{topic}/messages", message).status_code == 201
    (text,) = receive(mns_url, key)
    if form == "SIMPLIFIED":
        assert text == "hello media"
    elif form == "JSON":
        assert json.loads(text)["Message"] == "hello media"
    else:
        assert parse_record(text.encode(), "Notification")["Message"] == "hello media"
    assert ask(mns_url, key, "DELETE", there).status_code == 204
    assert code(ask(mns_url, key, "GET", there)) == (404, "SubscriptionNotExist")


def test_an_endpoint_that_nothing_is_delivered_to_is_refused(mns_url: str, account: Account) -> None:
    ask(mns_url, account.key, "PUT", "/topics/t-1", b"<Topic/>")
    body = b"<Subscription><Endpoint>http://192.0.2.1/notifications</Endpoint></Subscription>"
    assert code(ask(mns_url, account.key, "PUT", "/topics/t-1/subscriptions/s-1", body)) == (400, "InvalidArgument")


def test_chaos_duplicates_drops_shuffles_delays_and_brings_back_repeatably(world: World, account: Account) -> None:
    def run(chaos: Chaos) -> list[str]:
        service = MnsService(world, REGION, seed=7)
        service.misbehave(chaos)
        queue = service.create_queue(account.id, "q-1")
        for number in range(50):
            queue.send(str(number))
        return [each.body for each in queue.receive(100, 0)]

    plain = [str(number) for number in range(50)]
    assert run(Chaos()) == plain
    assert sorted(set(run(Chaos(duplicate=0.5))), key=int) == plain
    assert max(Counter(run(Chaos(duplicate=0.5))).values()) == 2
    assert 0 < len(run(Chaos(drop=0.5))) < 50
    assert run(Chaos(shuffle=True)) == run(Chaos(shuffle=True)) != plain
    with pytest.raises(MnsRefusedError, match="MessageNotExist"):
        run(Chaos(delay_s=60))


def test_a_ghost_is_deleted_and_comes_back(mns: MnsService, world: World, account: Account) -> None:
    queue = mns.create_queue(account.id, "q-1")
    queue.chaos = Chaos(ghost=1.0)
    queue.send("x")
    (message,) = queue.receive(1, 0)
    queue.delete(message.receipt)
    world.clock.advance(31)
    assert [each.id for each in queue.receive(1, 0)] == [message.id]


def test_every_element_that_the_sdk_demands_is_sent(mns_url: str, mns: MnsService, account: Account) -> None:
    mns.create_queue(account.id, "q-1")
    mns.post(account.id, REGION, "q-1", "x")
    answer = ask(mns_url, account.key, "GET", f"{Q}/messages")
    assert len(parse_messages(answer.content)) == 1
    needed = ("MessageId ReceiptHandle MessageBody MessageBodyMD5 EnqueueTime NextVisibleTime FirstDequeueTime "
              "DequeueCount Priority")  # fmt: skip
    assert set(parse_record(answer.content, "Message")) == set(needed.split())
    described = set(parse_record(ask(mns_url, account.key, "GET", Q).content, "Queue"))
    everything = (
        "ActiveMessages CreateTime DelayMessages DelaySeconds InactiveMessages LastModifyTime MaximumMessageSize "
        "MessageRetentionPeriod QueueName VisibilityTimeout PollingWaitSeconds LoggingEnabled"
    )
    assert described == set(everything.split())

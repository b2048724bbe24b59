"""aliyun-mns-sdk 1.3.0: queues, messages, batches, topics."""

from __future__ import annotations

from checks import ACCOUNT, KEY_ID, MNS, REGION, SECRET, check, refused
from mns.account import Account
from mns.mns_exception import MNSServerException
from mns.queue import Message, QueueMeta
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage, TopicMeta

account = Account(MNS, KEY_ID, SECRET)
queue = account.get_queue("sdk-queue")


def attributes() -> None:
    found = queue.get_attributes()
    assert (found.queue_name, found.visibility_timeout) == ("sdk-queue", 60)


def create() -> None:
    meta = QueueMeta()
    meta.set_visibilitytimeout(60)
    assert queue.create(meta) == queue.create(meta)


def one_message() -> None:
    sent = queue.send_message(Message("größe"))
    assert queue.peek_message().message_id == sent.message_id
    got = queue.receive_message(1)
    assert got.message_body.decode() == "größe"
    changed = queue.change_message_visibility(got.receipt_handle, 30)
    refused(lambda: queue.delete_message(got.receipt_handle), MNSServerException, "MessageNotExist")
    queue.delete_message(changed.receipt_handle)


def batches() -> None:
    queue.batch_send_message([Message(f"m{number}") for number in range(16)])
    assert len(queue.batch_peek_message(5)) == 5
    got = queue.batch_receive_message(16, 1)
    assert [each.message_body for each in got] == [f"m{number}".encode() for number in range(16)]
    queue.batch_delete_message([each.receipt_handle for each in got])


def partial_delete() -> None:
    queue.send_message(Message("x"))
    got = queue.receive_message(1)
    try:
        queue.batch_delete_message([got.receipt_handle, "8-" + "A" * 32])
    except MNSServerException as error:
        assert [each["ErrorCode"] for each in error.sub_errors] == ["MessageNotExist"]
    else:
        raise AssertionError("not refused")


def listing() -> None:
    urls, marker = account.list_queue(prefix="sdk-")
    assert [each.rpartition("/")[2] for each in urls] == ["sdk-queue"]
    assert marker == ""


def topics() -> None:
    topic = account.get_topic("sdk-topic")
    topic.create(TopicMeta())
    assert topic.get_attributes().topic_name == "sdk-topic"
    subscription = topic.get_subscription("sdk-subscription")
    meta = SubscriptionMeta(f"acs:mns:{REGION}:{ACCOUNT}:queues/sdk-queue", notify_content_format="SIMPLIFIED")
    subscription.subscribe(meta)
    assert subscription.get_attributes().topic_name == "sdk-topic"
    topic.publish_message(TopicMessage("from the topic"))
    queue.set_encoding(False)
    got = queue.receive_message(1)
    assert got.message_body == "from the topic"
    subscription.unsubscribe()
    topic.delete()


check("create queue twice", create)
check("attributes", attributes)
check("send, peek, receive, hide, delete", one_message)
check("batches of 16", batches)
check("batch delete in part", partial_delete)
check("list queues", listing)
check("empty queue", lambda: refused(lambda: queue.receive_message(0), MNSServerException, "MessageNotExist"))
check("topic to queue", topics)
other = Account(MNS, KEY_ID, "x").get_queue("sdk-queue")
check("wrong secret", lambda: refused(other.get_attributes, MNSServerException, "SignatureDoesNotMatch"))
check("delete queue", queue.delete)

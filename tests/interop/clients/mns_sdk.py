"""aliyun-mns-sdk."""

from __future__ import annotations

import warnings
from typing import Any

from checks import KEY_ID, MNS, QUEUE, SECRET, refusal, run
from mns.account import Account
from mns.queue import Message, QueueMeta
from mns.topic import TopicMessage, TopicMeta

ACCOUNT = Account(MNS, KEY_ID, SECRET)
warnings.simplefilter("ignore", DeprecationWarning)


def queue() -> Any:
    return ACCOUNT.get_queue(QUEUE)


def create_and_describe() -> None:
    meta = QueueMeta()
    meta.set_visibilitytimeout(30)
    assert queue().create(meta).endswith(f"/queues/{QUEUE}")
    assert queue().get_attributes().visibility_timeout == 30


def send_receive_delete() -> None:
    sent = queue().send_message(Message("héllo"))
    got = queue().receive_message(5)
    body = got.message_body if isinstance(got.message_body, bytes) else got.message_body.encode()
    assert (got.message_id, body.decode(), got.dequeue_count) == (sent.message_id, "héllo", 1)
    changed = queue().change_message_visibility(got.receipt_handle, 60)
    assert refusal(lambda: queue().delete_message(got.receipt_handle)).type == "MessageNotExist"  # type: ignore[attr-defined]
    queue().delete_message(changed.receipt_handle)


def batches() -> None:
    assert len(queue().batch_send_message([Message(str(number)) for number in range(16)])) == 16
    got = queue().batch_receive_message(16, 5)
    queue().batch_delete_message([each.receipt_handle for each in got])


def empty_is_a_404() -> None:
    assert refusal(lambda: queue().receive_message(0)).type == "MessageNotExist"  # type: ignore[attr-defined]


def topics() -> None:
    topic = ACCOUNT.get_topic("interop")
    topic.create(TopicMeta())
    assert topic.publish_message(TopicMessage("told")).message_id


def wrong_secret() -> None:
    error: Any = refusal(lambda: Account(MNS, KEY_ID, "wrong").get_queue(QUEUE).get_attributes())
    assert error.type == "SignatureDoesNotMatch"


run(create_and_describe, send_receive_delete, batches, empty_is_a_404, topics, wrong_secret)

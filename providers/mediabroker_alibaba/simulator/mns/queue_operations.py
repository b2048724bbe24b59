"""The operations on queues and their messages: what is asked becomes what the queue does, and an answer.

Every element is sent that the vendor's Python SDK demands. Source: MNS, API reference, queue operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mediabroker.markup import local_name
from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.mns.wire import build_document
from mediabroker_alibaba.simulator.mns.queues import LIMITS, Message, SimulatedQueue, within_limits
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.mns.requests import Ask, Said, texts, tree
from mediabroker_alibaba.simulator.mns.state import MnsState, Tenant, page

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["QUEUE_OPERATIONS", "Operation"]

_BATCH = 16
_BATCH_BYTES = 65_536
_PROPERTIES = ("UserProperties", "SystemProperties")

Operation = Callable[[MnsState, Tenant, Ask], Said]


def _create(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    given = ask.fields("Queue")
    logging = given.get("LoggingEnabled", "False").lower() == "true"
    made = state.create_queue(tenant.account, ask.name, within_limits(given, LIMITS), logging=logging)
    return Said(201 if made else 204, location=ask.url)


def _set(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    queue, given = tenant.queue(ask.name), ask.fields("Queue")
    queue.attributes |= within_limits(given, LIMITS)
    queue.logging = given.get("LoggingEnabled", str(queue.logging)).lower() == "true"
    queue.modified_ms = int(state.world.clock.now().timestamp() * 1000)
    return Said(204)


def _get(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    return Said(200, build_document("Queue", _described(tenant.queue(ask.name))))


def _described(queue: SimulatedQueue) -> Tree:
    active, inactive, delayed = queue.counts()
    return {
        "QueueName": queue.name,
        "CreateTime": str(queue.created_ms),
        "LastModifyTime": str(queue.modified_ms),
        **{name: str(value) for name, value in queue.attributes.items()},
        "LoggingEnabled": str(queue.logging),
        "ActiveMessages": str(active),
        "InactiveMessages": str(inactive),
        "DelayMessages": str(delayed),
    }


def _delete(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        tenant.queues.pop(ask.name, None)
    return Said(204)


def _list(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        names, marker = page(tenant.queues, ask.headers)
        with_meta = ask.headers.get("x-mns-with-meta") == "true"
        entries: list[Tree] = [
            {"QueueURL": f"{ask.url.rstrip('/')}/{name}", **(_described(tenant.queues[name]) if with_meta else {})}
            for name in names
        ]
    return Said(200, build_document("Queues", {"Queue": entries, **({"NextMarker": marker} if marker else {})}))


def _send(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    queue, root = tenant.queue(ask.name), ask.document("Message", "Messages")
    if local_name(root) == "Message":
        return Said(201, build_document("Message", _sent(queue, root)))
    entries = list(root)
    if (
        not 1 <= len(entries) <= _BATCH
        or sum(len(texts(each).get("MessageBody", "").encode()) for each in entries) > _BATCH_BYTES
    ):
        raise MnsRefusedError("InvalidArgument", f"A batch has 1 to {_BATCH} messages of {_BATCH_BYTES} bytes in all.")
    answers, failed = [], False
    for each in entries:
        try:
            answers.append(_sent(queue, each))
        except MnsRefusedError as refused:
            failed = True
            answers.append({"ErrorCode": refused.code, "ErrorMessage": refused.message})
    return Said(400 if failed else 201, build_document("Messages", {"Message": answers}))


def _sent(queue: SimulatedQueue, element: Element) -> Tree:
    given = texts(element)
    if not given.get("MessageBody"):
        raise MnsRefusedError("InvalidArgument", "MessageBody is required.")
    delay, priority = given.get("DelaySeconds"), given.get("Priority", "8")
    if not priority.isdecimal() or not 1 <= int(priority) <= 16:
        raise MnsRefusedError("InvalidArgument", "The value of Priority should between 1 and 16.")
    message = queue.send(
        given["MessageBody"],
        priority=int(priority),
        delay_s=None if delay is None else within_limits({"DelaySeconds": delay}, LIMITS)["DelaySeconds"],
        properties={local_name(each): tree(each) for each in element if local_name(each) in _PROPERTIES},
    )
    held = {"ReceiptHandle": message.receipt} if message.receipt else {}
    return {"MessageId": message.id, "MessageBodyMD5": message.body_md5, **held}


def _receive(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    found = tenant.queue(ask.name).receive(
        ask.number("numOfMessages", 1, _BATCH, default=1) or 1, ask.number("waitseconds", 0, 30)
    )
    return _given(ask, [_received(each) for each in found])


def _received(message: Message) -> Tree:
    return {
        **_seen(message),
        "ReceiptHandle": message.receipt,
        "NextVisibleTime": str(message.next_visible_ms),
    }


def _seen(message: Message) -> Tree:
    return {
        "MessageId": message.id,
        "MessageBodyMD5": message.body_md5,
        "MessageBody": message.body,
        "EnqueueTime": str(message.enqueued_ms),
        "FirstDequeueTime": str(message.first_dequeued_ms),
        "DequeueCount": str(message.dequeue_count),
        "Priority": str(message.priority),
        **message.properties,
    }


def _peek(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    found = tenant.queue(ask.name).peek(ask.number("numOfMessages", 1, _BATCH, default=1) or 1)
    return _given(ask, [_seen(each) for each in found])


def _given(ask: Ask, found: list[Tree]) -> Said:
    if "numOfMessages" in ask.query:
        return Said(200, build_document("Messages", {"Message": found}))
    return Said(200, build_document("Message", found[0]))


def _delete_message(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    tenant.queue(ask.name).delete(ask.query["ReceiptHandle"])
    return Said(204)


def _batch_delete(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    queue = tenant.queue(ask.name)
    receipts = [each.text or "" for each in ask.document("ReceiptHandles")]
    if not 1 <= len(receipts) <= _BATCH:
        raise MnsRefusedError("InvalidArgument", f"A batch has 1 to {_BATCH} receipt handles.")
    errors: list[Tree] = []
    for receipt in receipts:
        try:
            queue.delete(receipt)
        except MnsRefusedError as refused:
            errors.append({"ErrorCode": refused.code, "ErrorMessage": refused.message, "ReceiptHandle": receipt})
    return Said(404, build_document("Errors", {"Error": errors})) if errors else Said(204)


def _change_visibility(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    if not ask.query.get("ReceiptHandle"):
        raise MnsRefusedError("MissingReceiptHandle")
    hidden_s = ask.number("VisibilityTimeout", *LIMITS["VisibilityTimeout"][:2])
    if hidden_s is None:
        raise MnsRefusedError("MissingVisibilityTimeout")
    message = tenant.queue(ask.name).change_visibility(ask.query["ReceiptHandle"], hidden_s)
    changed = {"ReceiptHandle": message.receipt, "NextVisibleTime": str(message.next_visible_ms)}
    return Said(200, build_document("ChangeVisibility", changed))


QUEUE_OPERATIONS: Mapping[str, Operation] = {
    "BatchDeleteMessage": _batch_delete,
    "ChangeMessageVisibility": _change_visibility,
    "CreateQueue": _create,
    "DeleteMessage": _delete_message,
    "DeleteQueue": _delete,
    "GetQueueAttributes": _get,
    "ListQueue": _list,
    "PeekMessage": _peek,
    "ReceiveMessage": _receive,
    "SendMessage": _send,
    "SetQueueAttributes": _set,
}

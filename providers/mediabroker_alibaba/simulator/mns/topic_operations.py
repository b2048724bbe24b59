"""The operations on topics, subscriptions and the account itself. Source: MNS, API reference, topic operations."""

from __future__ import annotations

from collections.abc import Mapping

from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.mns.wire import build_document
from mediabroker_alibaba.simulator.mns.queue_operations import Operation
from mediabroker_alibaba.simulator.mns.queues import within_limits
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.mns.requests import Ask, Said
from mediabroker_alibaba.simulator.mns.state import MnsState, Tenant, check_name, page
from mediabroker_alibaba.simulator.mns.topics import SimulatedTopic

__all__ = ["TOPIC_OPERATIONS"]

_SIZE = "MaximumMessageSize"


def _create(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    check_name(ask.name)
    made = SimulatedTopic(ask.name, tenant.account, state.world.clock)
    _apply(made, ask)
    with state.lock:
        there = tenant.topics.setdefault(ask.name, made)
    if there is not made and (there.maximum_message_size, there.logging) != (made.maximum_message_size, made.logging):
        raise MnsRefusedError("TopicAlreadyExist")
    return Said(201 if there is made else 204, location=ask.url)


def _set(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    topic = tenant.topic(ask.name)
    _apply(topic, ask)
    topic.modified_ms = int(state.world.clock.now().timestamp() * 1000)
    return Said(204)


def _apply(topic: SimulatedTopic, ask: Ask) -> None:
    given = ask.fields("Topic")
    topic.maximum_message_size = within_limits(given, (_SIZE,)).get(_SIZE, topic.maximum_message_size)
    topic.logging = given.get("LoggingEnabled", str(topic.logging)).lower() == "true"


def _get(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    return Said(200, build_document("Topic", _described(tenant.topic(ask.name))))


def _described(topic: SimulatedTopic) -> Tree:
    return {
        "TopicName": topic.name,
        "CreateTime": str(topic.created_ms),
        "LastModifyTime": str(topic.modified_ms),
        _SIZE: str(topic.maximum_message_size),
        "MessageRetentionPeriod": "86400",
        "MessageCount": str(topic.message_count),
        "LoggingEnabled": str(topic.logging),
    }


def _delete(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        tenant.topics.pop(ask.name, None)
    return Said(204)


def _list(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        names, marker = page(tenant.topics, ask.headers)
        with_meta = ask.headers.get("x-mns-with-meta") == "true"
        entries: list[Tree] = [
            {"TopicURL": f"{ask.url.rstrip('/')}/{name}", **(_described(tenant.topics[name]) if with_meta else {})}
            for name in names
        ]
    return Said(200, build_document("Topics", {"Topic": entries, **({"NextMarker": marker} if marker else {})}))


def _publish(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    given = ask.fields("Message")
    with state.lock:
        topic = tenant.topic(ask.name)
        published = topic.publish(given.get("MessageBody", ""), given.get("MessageTag", ""), state.post)
    return Said(201, build_document("Message", {"MessageId": published.id, "MessageBodyMD5": published.body_md5}))


def _subscribe(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    check_name(ask.names[1])
    with state.lock:
        made = tenant.topic(ask.name).subscribe(ask.names[1], ask.fields("Subscription"))
    return Said(201 if made else 204, location=ask.url)


def _set_subscription(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        tenant.topic(ask.name).set_strategy(ask.names[1], ask.fields("Subscription").get("NotifyStrategy", ""))
    return Said(204)


def _get_subscription(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        topic = tenant.topic(ask.name)
        found = topic.subscription(ask.names[1])
        described: Tree = {
            "TopicOwner": topic.owner,
            "TopicName": topic.name,
            "SubscriptionName": found.name,
            "Subscriber": topic.owner,
            "Endpoint": found.endpoint,
            "NotifyStrategy": found.strategy,
            "NotifyContentFormat": found.content_format,
            **({"FilterTag": found.filter_tag} if found.filter_tag else {}),
            "CreateTime": str(found.created_ms),
            "LastModifyTime": str(found.modified_ms),
        }
    return Said(200, build_document("Subscription", described))


def _unsubscribe(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        tenant.topic(ask.name).subscriptions.pop(ask.names[1], None)
    return Said(204)


def _list_subscriptions(state: MnsState, tenant: Tenant, ask: Ask) -> Said:
    with state.lock:
        names, marker = page(tenant.topic(ask.name).subscriptions, ask.headers)
    entries: list[Tree] = [{"SubscriptionURL": f"{ask.url.rstrip('/')}/{name}"} for name in names]
    document = build_document("Subscriptions", {"Subscription": entries, **({"NextMarker": marker} if marker else {})})
    return Said(200, document)


def _get_account(_: MnsState, tenant: Tenant, ask: Ask) -> Said:  # noqa: ARG001  all operations look alike
    return Said(200, build_document("Account", {"LoggingBucket": tenant.logging_bucket}))


def _set_account(_: MnsState, tenant: Tenant, ask: Ask) -> Said:
    tenant.logging_bucket = ask.fields("Account").get("LoggingBucket", "")
    return Said(204)


TOPIC_OPERATIONS: Mapping[str, Operation] = {
    "CreateTopic": _create,
    "DeleteTopic": _delete,
    "GetAccountAttributes": _get_account,
    "GetSubscriptionAttributes": _get_subscription,
    "GetTopicAttributes": _get,
    "ListSubscriptionByTopic": _list_subscriptions,
    "ListTopic": _list,
    "PublishMessage": _publish,
    "SetAccountAttributes": _set_account,
    "SetSubscriptionAttributes": _set_subscription,
    "SetTopicAttributes": _set,
    "Subscribe": _subscribe,
    "Unsubscribe": _unsubscribe,
}

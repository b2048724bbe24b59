"""One simulated topic: what is published goes to the queues that have subscribed, each in its own format.

Source: MNS, API reference, `Subscribe`, `PublishMessage`, "NotifyContentFormat".
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mediabroker.clock import Clock
from mediabroker_alibaba.mns.wire import build_document
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError

__all__ = ["Published", "SimulatedTopic", "Subscription", "queue_of_endpoint"]

_ENDPOINT = re.compile(r"acs:mns:(?P<region>[a-z0-9-]+):(?P<account>\d+):(?:queues|/queues)/(?P<queue>[A-Za-z0-9-]+)")
_FORMATS = ("XML", "JSON", "SIMPLIFIED")
_STRATEGIES = ("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY")
_TAG_LIMIT = 16

Post = Callable[[str, str, str, str], object]
"""Puts a body into a queue: account, region, queue, body."""


@dataclass
class Subscription:
    """A queue that gets what is published."""

    name: str
    endpoint: str
    strategy: str
    content_format: str
    filter_tag: str
    created_ms: int
    modified_ms: int


@dataclass(frozen=True)
class Published:
    """What `PublishMessage` answers."""

    id: str
    body_md5: str


@dataclass
class SimulatedTopic:
    """Not thread-safe; its service locks around it."""

    name: str
    owner: str
    clock: Clock
    maximum_message_size: int = 65_536
    logging: bool = False
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    message_count: int = 0
    created_ms: int = 0
    modified_ms: int = 0

    def __post_init__(self) -> None:
        self.created_ms = self.modified_ms = self._now_ms()

    def subscribe(self, name: str, given: Mapping[str, str]) -> bool:
        """Add a subscription; False when it is there already, equal.

        Raises:
            MnsRefusedError: a value is wrong, or it is there and different.
        """
        endpoint = given.get("Endpoint", "")
        queue_of_endpoint(endpoint)
        strategy, content_format = given.get("NotifyStrategy", _STRATEGIES[0]), given.get("NotifyContentFormat", "XML")
        tag = given.get("FilterTag", "")
        if strategy not in _STRATEGIES or content_format not in _FORMATS or len(tag) > _TAG_LIMIT:
            raise MnsRefusedError("InvalidArgument", "NotifyStrategy, NotifyContentFormat or FilterTag is invalid.")
        wanted = (endpoint, strategy, content_format, tag)
        if there := self.subscriptions.get(name):
            if (there.endpoint, there.strategy, there.content_format, there.filter_tag) != wanted:
                raise MnsRefusedError("SubscriptionAlreadyExist")
            return False
        self.subscriptions[name] = Subscription(name, *wanted, self._now_ms(), self._now_ms())
        return True

    def set_strategy(self, name: str, strategy: str) -> None:
        """Change how a subscription is retried."""
        if strategy not in _STRATEGIES:
            raise MnsRefusedError("InvalidArgument", f"NotifyStrategy is one of {', '.join(_STRATEGIES)}.")
        there = self.subscription(name)
        there.strategy, there.modified_ms = strategy, self._now_ms()

    def subscription(self, name: str) -> Subscription:
        """The subscription of that name."""
        if name not in self.subscriptions:
            raise MnsRefusedError("SubscriptionNotExist")
        return self.subscriptions[name]

    def publish(self, body: str, tag: str, post: Post) -> Published:
        """Give the message to every subscribed queue whose filter lets it through; a queue that is gone gets none."""
        if not body or len(body.encode()) > self.maximum_message_size or len(tag) > _TAG_LIMIT:
            raise MnsRefusedError("InvalidArgument", "MessageBody or MessageTag is empty or too long.")
        published = Published(secrets.token_hex(16).upper(), _md5(body))
        self.message_count += 1
        for each in self.subscriptions.values():
            if each.filter_tag and each.filter_tag != tag:
                continue
            region, account, queue = queue_of_endpoint(each.endpoint)
            try:
                post(account, region, queue, self._wrapped(each, published, body, tag))
            except MnsRefusedError:
                continue
        return published

    def _wrapped(self, subscription: Subscription, published: Published, body: str, tag: str) -> str:
        if subscription.content_format == "SIMPLIFIED":
            return body
        fields = {
            "TopicOwner": self.owner,
            "TopicName": self.name,
            "Subscriber": self.owner,
            "SubscriptionName": subscription.name,
            "MessageId": published.id,
            "MessageMD5": published.body_md5,
            **({"MessageTag": tag} if tag else {}),
            "Message": body,
            "PublishTime": str(self._now_ms()),
        }
        if subscription.content_format == "JSON":
            return json.dumps({**fields, "PublishTime": int(fields["PublishTime"])}, ensure_ascii=False)
        return build_document("Notification", fields).decode()

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def queue_of_endpoint(endpoint: str) -> tuple[str, str, str]:
    """Region, account and queue of an endpoint. Only queues can subscribe here; nothing is pushed over HTTP.

    Raises:
        MnsRefusedError: it names no queue.
    """
    if not (match := _ENDPOINT.fullmatch(endpoint)):
        raise MnsRefusedError(
            "InvalidArgument", "Endpoint: this simulator delivers to acs:mns:<region>:<account>:queues/<queue> only."
        )
    return match["region"], match["account"], match["queue"]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()

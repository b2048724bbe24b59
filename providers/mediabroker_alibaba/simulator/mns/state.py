"""All queues and topics of one region, each tenant's for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import RLock

from mediabroker_alibaba.simulator.mns.queues import Chaos, SimulatedQueue
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.mns.topics import SimulatedTopic
from mediabroker_alibaba.simulator.world import World

__all__ = ["MnsState", "Tenant", "check_name", "page"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_NAME_LIMIT = 120


@dataclass
class Tenant:
    """What one account has."""

    account: str
    queues: dict[str, SimulatedQueue] = field(default_factory=dict)
    topics: dict[str, SimulatedTopic] = field(default_factory=dict)
    logging_bucket: str = ""

    def queue(self, name: str) -> SimulatedQueue:
        """The queue of that name."""
        if name not in self.queues:
            raise MnsRefusedError("QueueNotExist")
        return self.queues[name]

    def topic(self, name: str) -> SimulatedTopic:
        """The topic of that name."""
        if name not in self.topics:
            raise MnsRefusedError("TopicNotExist")
        return self.topics[name]


class MnsState:
    """Thread-safe where it says so; its queues are. Errors are `MnsRefusedError`s."""

    def __init__(self, world: World, region: str, seed: int = 0) -> None:
        self.world, self.region = world, region
        self.lock = RLock()
        self.chaos = Chaos()
        self._seed = seed
        self._tenants: dict[str, Tenant] = {}

    def tenant(self, account: str) -> Tenant:
        """The account's; thread-safe."""
        with self.lock:
            return self._tenants.setdefault(account, Tenant(account))

    def create_queue(self, account: str, name: str, attributes: Mapping[str, int], *, logging: bool = False) -> bool:
        """Make a queue; False when it is there already, equal. Thread-safe."""
        check_name(name)
        made = SimulatedQueue(name, attributes, self.world.clock, self.world.stopping, self._seed)
        made.chaos, made.logging = self.chaos, logging
        with self.lock:
            there = self.tenant(account).queues.setdefault(name, made)
        if there is made:
            return True
        if (there.attributes, there.logging) != (made.attributes, made.logging):
            raise MnsRefusedError("QueueAlreadyExist")
        return False

    def post(self, account: str, region: str, queue: str, body: str) -> str:
        """Put a message in from inside the cloud; its id. Thread-safe."""
        if region != self.region:
            raise MnsRefusedError("QueueNotExist")
        return self.tenant(account).queue(queue).send(body).id

    def publish(self, account: str, region: str, topic: str, body: str, tag: str = "") -> str:
        """Publish from inside the cloud; the message's id. Thread-safe."""
        if region != self.region:
            raise MnsRefusedError("TopicNotExist")
        with self.lock:
            return self.tenant(account).topic(topic).publish(body, tag, self.post).id


def check_name(name: str) -> None:
    """Refuse what can be no queue's and no topic's name."""
    if not 1 <= len(name) <= _NAME_LIMIT:
        raise MnsRefusedError("QueueNameLengthError")
    if not _NAME.fullmatch(name):
        raise MnsRefusedError("InvalidQueueName")


def page(names: Iterable[str], headers: Mapping[str, str]) -> tuple[list[str], str]:
    """The sorted names that `x-mns-prefix`, `-marker` and `-ret-number` ask for, and what begins the next page."""
    number = headers.get("x-mns-ret-number", "1000")
    if not number.isdecimal() or not 1 <= int(number) <= 1000:
        raise MnsRefusedError("InvalidArgument", "The value of x-mns-ret-number should between 1 and 1000.")
    prefix, marker = headers.get("x-mns-prefix", ""), headers.get("x-mns-marker", "")
    found = [each for each in sorted(names) if each.startswith(prefix) and each >= marker]
    return found[: int(number)], found[int(number)] if len(found) > int(number) else ""

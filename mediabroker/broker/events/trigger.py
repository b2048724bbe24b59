"""A function behind a queue's trigger: take the batch in, query its jobs, run the handlers, name what comes again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mediabroker.broker.core import Core
from mediabroker.broker.events.feed import Feed
from mediabroker.broker.events.handlers import Handlers
from mediabroker.broker.events.ingesting import ingest, look
from mediabroker.broker.following.watching import Watcher
from mediabroker.messages import TRIGGER_GROUP, Trigger
from mediabroker.plugins import load_plugin

__all__ = ["TriggerHandler", "make_trigger"]

TriggerHandler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


def make_trigger(core: Core, watcher: Watcher, handlers: Handlers, consumer: str, queue: str) -> TriggerHandler:
    """Return the function that the vendor's service calls with an event and a context.

    Events that are not handled in the function's time stay in the store, for the next call.

    Raises:
        ConfigurationError: no installed package offers a trigger of that name.
    """
    trigger: Trigger = load_plugin(TRIGGER_GROUP, queue, what="queue trigger", where="lambda_handler")()

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        messages = trigger.messages(event)
        outcomes = ingest(core, messages)
        look(core, [job_id for outcome in outcomes for job_id in outcome.jobs])
        feed = Feed(core, watcher, (), consumer)
        feed.register()
        while trigger.has_time(context) and (delivery := feed.claim()) is not None:
            handlers.deliver(feed, delivery)
        return trigger.answer([each for each, came in zip(messages, outcomes, strict=True) if not came.settled])

    return handle

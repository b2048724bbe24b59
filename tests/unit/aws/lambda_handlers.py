"""Handlers for the tests of the Lambda simulator; some run in processes of their own."""

from __future__ import annotations

import os
import time
from typing import Any

calls = 0


def echo(event: Any, context: Any) -> Any:
    return {"event": event, "id": context.aws_request_id, "left_ms": context.get_remaining_time_in_millis()}


def environment(event: Any, context: Any) -> Any:
    global calls  # noqa: PLW0603  what stays between two invocations is the subject
    calls += 1
    print("a handler may print")  # noqa: T201
    return {"seen": {name: os.environ.get(name) for name in event}, "calls": calls}


def fall_over(event: Any, context: Any) -> Any:
    raise ValueError(f"cannot do {event!r}")


def crash(event: Any, context: Any) -> Any:
    os._exit(3)


def sleep(event: Any, context: Any) -> Any:
    time.sleep(60)


def page(event: Any, context: Any) -> Any:
    return {"statusCode": 201, "headers": {"X-Mine": "yes"}, "body": event["path"]}

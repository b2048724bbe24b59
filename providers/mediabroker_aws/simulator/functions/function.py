"""What a simulated Lambda function is, and one invocation of it: the real handler, called as Lambda calls it.

Source: AWS Lambda Developer Guide, "Lambda function handler in Python" and "Using the Lambda context object".
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Context", "Function", "Handler", "Outcome", "call_handler", "failure"]

Handler: TypeAlias = Callable[[Any, Any], Any]

_ANSWER_LIMIT_BYTES = 6_291_556
"""Source: AWS Lambda Developer Guide, "Lambda quotas": 6 MB for a synchronous answer."""


@dataclass(frozen=True)
class Function:
    """One function of the account.

    Args:
        handler: a callable, which runs in threads of this process and sees its environment; or `module.function`,
            which runs in processes of its own, sees only `environment`, and is killed at `timeout_s`.
        concurrency: how many invocations may run at once (reserved concurrency); None: as many as come.
        retries: how often an asynchronous invocation that failed is tried again.
        on_failure: takes the record of an asynchronous invocation that failed for good, as a destination would.
    """

    name: str
    handler: Handler | str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 900.0
    memory_mb: int = 1024
    concurrency: int | None = None
    retries: int = 2
    on_failure: Callable[[dict[str, Any]], None] | None = None

    def __post_init__(self) -> None:
        if self.environment and not isinstance(self.handler, str):
            raise ValueError(f"{self.name}: threads share one environment; name the handler as 'module.function'")


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to: the answer as JSON, or the error as JSON and its kind."""

    payload: bytes
    function_error: str | None = None


class Context:
    """What a handler is told of its invocation.

    Args:
        deadline_s: when the invocation is killed, in seconds since the epoch.
    """

    function_version = "$LATEST"
    identity = None
    client_context = None

    def __init__(self, name: str, arn: str, request_id: str, deadline_s: float, memory_mb: int) -> None:
        self.function_name, self.invoked_function_arn = name, arn
        self.aws_request_id = request_id
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name, self.log_stream_name = f"/aws/lambda/{name}", f"simulated/{request_id}"
        self._deadline_s = deadline_s

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is killed."""
        return max(0, round((self._deadline_s - time.time()) * 1000))


def call_handler(handler: Handler, payload: bytes, context: Context) -> Outcome:
    """Call a handler as Lambda's runtime does; what it raises becomes the error that the runtime reports."""
    try:
        answer = handler(json.loads(payload or b"null"), context)
    except SystemExit as error:
        return failure("Runtime.ExitError", f"RequestId: {context.aws_request_id} Error: exit status {error.code}")
    except Exception as error:  # noqa: BLE001, RUF100  whatever it is, it is the answer
        trace = traceback.format_tb(error.__traceback__)
        return failure(type(error).__name__, str(error), requestId=context.aws_request_id, stackTrace=trace)
    try:
        body = json.dumps(answer).encode()
    except (TypeError, ValueError) as error:
        return failure("Runtime.MarshalError", f"Unable to marshal response: {error}")
    if len(body) > _ANSWER_LIMIT_BYTES:
        limit = f"Response payload size exceeded maximum allowed payload size ({_ANSWER_LIMIT_BYTES} bytes)."
        return failure("Function.ResponseSizeTooLarge", limit)
    return Outcome(body)


def failure(kind: str, message: str, **more: Any) -> Outcome:
    """An invocation that the function did not survive."""
    return Outcome(json.dumps({"errorMessage": message, "errorType": kind, **more}).encode(), "Unhandled")

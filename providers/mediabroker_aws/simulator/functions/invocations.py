"""The simulated account's functions: invoked and answered, or taken on and run at least once.

Source: AWS Lambda Developer Guide, "Invoking a function synchronously", "Invoking a function asynchronously" and "Error
handling for asynchronous invocations"; API Reference, "Invoke".
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mediabroker_aws.simulator.batch.wire import WireError
from mediabroker_aws.simulator.faults import Faults
from mediabroker_aws.simulator.functions.environments import Environments
from mediabroker_aws.simulator.functions.function import Function, Outcome

__all__ = ["Invocation", "LambdaSimulator"]

SYNC_LIMIT_BYTES, ASYNC_LIMIT_BYTES = 6 << 20, 1 << 20


@dataclass(frozen=True)
class Invocation:
    """One run of a function; `attempt` counts from 1 and is more than that only where Lambda tried again."""

    function: str
    request_id: str
    payload: Any
    attempt: int = 1
    is_async: bool = False


class LambdaSimulator:
    """The functions of one account in one region. Thread-safe.

    `faults` under the name `Event` spoil what becomes of accepted asynchronous invocations: `duplicated`, `delayed`
    (until `release`), `dropped`.

    Args:
        retry_delay_s: how long Lambda waits before it runs a failed asynchronous invocation again (really a minute,
            then two).
    """

    def __init__(
        self,
        *,
        account: str = "123456789012",
        region: str = "eu-west-1",
        retry_delay_s: float = 0.0,
        log_folder: Path | None = None,
    ) -> None:
        self.account, self.region = account, region
        self.faults = Faults()
        self.invocations: list[Invocation] = []
        """Every run so far, in the order in which they began."""
        self._retry_delay_s = retry_delay_s
        self._environments = Environments(log_folder)
        self._functions: dict[str, Function] = {}
        self._running: dict[str, int] = {}
        self._delayed: list[tuple[Function, bytes, str]] = []
        self._pending = 0
        self._changed = threading.Condition()
        self._closed = threading.Event()

    def add(self, function: Function) -> str:
        """Make a function, or replace one; its ARN."""
        self._functions[function.name] = function
        return self._arn(function.name)

    def find(self, name: str) -> Function:
        """The function of a name, a partial or a whole ARN, with or without a qualifier.

        Raises:
            WireError: 404.
        """
        bare = name.rpartition("function:")[2].partition(":")[0]
        if bare not in self._functions:
            raise WireError(404, "ResourceNotFoundException", f"Function not found: {self._arn(bare)}")
        return self._functions[bare]

    def start(self, function: Function, payload: bytes) -> Future[Outcome]:
        """Run a function now; the future is its outcome.

        Raises:
            WireError: 413, its payload is too large; 429, as many as may run are running.
        """
        _check_size(payload, SYNC_LIMIT_BYTES)
        request_id = str(uuid.uuid4())
        with self._changed:
            if self._is_full(function):
                raise WireError(429, "TooManyRequestsException", "Rate Exceeded.")
            self._begin(function, payload, request_id)
        return self._spawn(function, payload, request_id)

    def accept(self, function: Function, payload: bytes) -> str:
        """Take on an asynchronous invocation, which runs when there is room; its request id.

        Raises:
            WireError: 413, its payload is too large.
        """
        _check_size(payload, ASYNC_LIMIT_BYTES)
        request_id = str(uuid.uuid4())
        fault = self.faults.take("Event", {"function": function.name, "payload": json.loads(payload or b"null")})
        if fault == "delayed":
            self._delayed.append((function, payload, request_id))
        elif fault != "dropped":
            for _ in range(2 if fault == "duplicated" else 1):
                self._queue(function, payload, request_id)
        return request_id

    def release(self) -> None:
        """Let the delayed asynchronous invocations go."""
        delayed, self._delayed = self._delayed, []
        for each in delayed:
            self._queue(*each)

    def wait_idle(self, timeout_s: float = 60.0) -> bool:
        """Wait until every invocation that is not delayed has ended; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending and not any(self._running.values()), timeout_s)

    def close(self) -> None:
        """Take nothing more on and kill the processes that still run; threads of handlers end with this process."""
        self._closed.set()
        self._environments.close()
        with self._changed:
            self._changed.notify_all()

    def _queue(self, function: Function, payload: bytes, request_id: str) -> None:
        with self._changed:
            self._pending += 1
        threading.Thread(target=self._run_async, args=(function, payload, request_id), daemon=True).start()

    def _run_async(self, function: Function, payload: bytes, request_id: str) -> None:
        try:
            for attempt in range(1, function.retries + 2):
                with self._changed:
                    self._changed.wait_for(lambda: self._closed.is_set() or not self._is_full(function))
                    if self._closed.is_set():
                        return
                    self._begin(function, payload, request_id, attempt, is_async=True)
                outcome = self._perform(function, payload, request_id)
                if outcome.function_error is None or self._closed.wait(self._retry_delay_s):
                    return
            if function.on_failure is not None:
                function.on_failure(self._record(function, payload, request_id, outcome))
        finally:
            with self._changed:
                self._pending -= 1
                self._changed.notify_all()

    def _spawn(self, function: Function, payload: bytes, request_id: str) -> Future[Outcome]:
        future: Future[Outcome] = Future()

        def run() -> None:
            try:
                future.set_result(self._perform(function, payload, request_id))
            except BaseException as error:  # noqa: BLE001, RUF100  whoever waits gets it
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def _is_full(self, function: Function) -> bool:
        return function.concurrency is not None and self._running.get(function.name, 0) >= function.concurrency

    def _begin(
        self, function: Function, payload: bytes, request_id: str, attempt: int = 1, *, is_async: bool = False
    ) -> None:
        self._running[function.name] = self._running.get(function.name, 0) + 1
        body = json.loads(payload or b"null")
        self.invocations.append(Invocation(function.name, request_id, body, attempt, is_async))

    def _perform(self, function: Function, payload: bytes, request_id: str) -> Outcome:
        context = {
            "name": function.name,
            "arn": self._arn(function.name),
            "request_id": request_id,
            "deadline_s": time.time() + function.timeout_s,
            "memory_mb": function.memory_mb,
        }
        try:
            return self._environments.run(function, payload, context)
        finally:
            with self._changed:
                self._running[function.name] -= 1
                self._changed.notify_all()

    def _record(self, function: Function, payload: bytes, request_id: str, outcome: Outcome) -> dict[str, Any]:
        now = datetime.now(timezone.utc)
        return {
            "version": "1.0",
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
            "requestContext": {
                "requestId": request_id,
                "functionArn": f"{self._arn(function.name)}:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": function.retries + 1,
            },
            "requestPayload": json.loads(payload or b"null"),
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": outcome.function_error,
            },
            "responsePayload": json.loads(outcome.payload),
        }

    def _arn(self, name: str) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"


def _check_size(payload: bytes, limit_bytes: int) -> None:
    if len(payload) > limit_bytes:
        limit = f"Request must be smaller than {limit_bytes} bytes for the InvokeFunction operation"
        raise WireError(413, "RequestTooLargeException", limit)

"""Where handlers run: in threads of this process, or in processes of their own that stay warm between invocations.

Source: AWS Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from mediabroker_aws.simulator.functions.function import Context, Function, Outcome, call_handler, failure

__all__ = ["Environments"]

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")


class Environments:
    """The execution environments of one account. Thread-safe.

    Args:
        log_folder: where what handlers print goes, as `<function>.log`; without it, nowhere. Of processes only.
    """

    def __init__(self, log_folder: Path | None = None) -> None:
        self._log_folder = log_folder
        self._idle: dict[str, list[_Process]] = {}
        self._all: set[_Process] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, function: Function, payload: bytes, context: dict[str, Any]) -> Outcome:
        """One invocation, to its end or to its timeout. `context` holds the arguments of `Context`."""
        if not isinstance(function.handler, str):
            return _run_in_thread(function, payload, context)
        process = self._take(function)
        outcome = process.invoke(payload, context, function.timeout_s)
        self._give_back(function, process)
        return outcome

    def _take(self, function: Function) -> _Process:
        with self._lock:
            if self._closed:
                raise RuntimeError("the simulator is closed")
            if idle := self._idle.get(function.name):
                return idle.pop()
            process = _Process(function, self._log_folder)
            self._all.add(process)
            return process

    def _give_back(self, function: Function, process: _Process) -> None:
        with self._lock:
            if process.is_alive and not self._closed:
                self._idle.setdefault(function.name, []).append(process)
                return
            self._all.discard(process)
        process.kill()

    def close(self) -> None:
        """Kill every process, the busy ones too."""
        with self._lock:
            self._closed = True
            processes = list(self._all)
            self._all.clear()
            self._idle.clear()
        for process in processes:
            process.kill()


def _run_in_thread(function: Function, payload: bytes, context: dict[str, Any]) -> Outcome:
    """A thread cannot be killed: after a timeout the handler goes on, and nobody sees what it answers."""
    assert not isinstance(function.handler, str)
    handler, outcomes = function.handler, list[Outcome]()
    thread = threading.Thread(
        target=lambda: outcomes.append(call_handler(handler, payload, Context(**context))), daemon=True
    )
    thread.start()
    thread.join(function.timeout_s)
    return outcomes[0] if outcomes else _timed_out(context, function.timeout_s)


def _timed_out(context: dict[str, Any], timeout_s: float) -> Outcome:
    return failure(
        "Sandbox.Timedout", f"RequestId: {context['request_id']} Error: Task timed out after {timeout_s:.2f} seconds"
    )


class _Process:
    """One environment of one function; it serves one invocation at a time."""

    def __init__(self, function: Function, log_folder: Path | None) -> None:
        own = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment = {**own, "AWS_LAMBDA_FUNCTION_NAME": function.name, **function.environment}
        log = open(log_folder / f"{function.name}.log", "ab") if log_folder else None  # noqa: SIM115, PTH123
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mediabroker_aws.simulator.functions.runtime", str(function.handler)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log or subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            if log:
                log.close()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def invoke(self, payload: bytes, context: dict[str, Any], timeout_s: float) -> Outcome:
        late = threading.Event()

        def kill_late() -> None:
            late.set()
            self._signal()

        timer = threading.Timer(timeout_s, kill_late)
        timer.daemon = True
        timer.start()
        try:
            line = self._exchange({"payload": payload.decode(), "context": context})
        finally:
            timer.cancel()
        if line:
            answer = json.loads(line)
            return Outcome(answer["payload"].encode(), answer["function_error"])
        if late.is_set():
            return _timed_out(context, timeout_s)
        status = self._process.wait()
        return failure("Runtime.ExitError", f"RequestId: {context['request_id']} Error: exit status {status}")

    def _exchange(self, asked: dict[str, Any]) -> bytes:
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        return b""

    def _signal(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        if self.is_alive:
            self._signal()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

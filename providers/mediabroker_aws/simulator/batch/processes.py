"""Runs the attempts of simulated jobs as real processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediabroker_aws.simulator.batch.executors import Exited, Run, Task

__all__ = ["ProcessExecutor"]

_SIGNALLED = 128
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
"""What a program needs to start here at all. Nothing else: a container sees none of its host's variables."""


@dataclass(frozen=True)
class ProcessExecutor:
    """Starts each attempt's command in a process group of its own, with Batch's variables in its environment.

    Args:
        environment: the image's and the agent's part, beside the job's own.
        entrypoint: what the image puts before every command.
        command: what the image runs when the job names no command.
        log_folder: where each attempt's output goes, as `<job id>.<attempt>.log`; without it, nowhere.
    """

    environment: Mapping[str, str]
    log_folder: Path | None = None
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()

    def start(self, task: Task) -> Run:
        own = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment = {**own, **self.environment, **task.environment}
        output = self._log(task)
        try:
            process = subprocess.Popen(
                [*self.entrypoint, *(task.command or self.command)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return _Ended(Exited(None, f"CannotStartContainerError: {error}", "Task failed to start"))
        finally:
            if output != subprocess.DEVNULL:
                os.close(output)
        return _Process(process)

    def _log(self, task: Task) -> int:
        if self.log_folder is None:
            return subprocess.DEVNULL
        path = self.log_folder / f"{task.job_id}.{task.attempt}.log"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


@dataclass(frozen=True)
class _Ended:
    """An attempt that never began."""

    outcome: Exited

    def poll(self) -> Exited | None:
        return self.outcome

    def terminate(self) -> None:
        return None

    def kill(self) -> None:
        return None


@dataclass(frozen=True)
class _Process:
    process: subprocess.Popen[bytes]

    def poll(self) -> Exited | None:
        status = self.process.poll()
        if status is None:
            return None
        return Exited(status if status >= 0 else _SIGNALLED - status)

    def terminate(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()  # the container's first process alone is told, as ECS does

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

"""The supervisor: a small detached process that runs jobs of one spool, one after another, until none is left.

`python -m mediabroker_local.processes.runner --root R --slot FD`: there are at most `max_parallel` of them, because
each holds one of the spool's slots. The job's lock and the slot are inherited by the worker, so nothing is taken twice
when only the supervisor dies. A worker that dies without a word is started again, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mediabroker_local.jobs.folder import JobFolder
from mediabroker_local.jobs.spool import Spool
from mediabroker_local.processes.commands import start_worker
from mediabroker_local.processes.locks import FileLock

__all__ = ["Supervisor", "main"]

_LOOK_S = 0.05


class Supervisor(NamedTuple):
    """Runs the jobs of `spool` as long as it holds `slot`."""

    spool: Spool
    slot: FileLock
    max_attempts: int
    grace_s: float

    def run(self) -> None:
        """Run jobs until none waits; the slot is free afterwards."""
        while job := self._next():
            folder, lock = job
            with lock:
                self._finish(folder, lock)

    def _next(self) -> tuple[JobFolder, FileLock] | None:
        with self.spool.locked():
            job = self.spool.take()
            if job is None:
                # Inside the lock: whoever adds a job after this look finds the slot free and starts a supervisor.
                self.slot.release()
            return job

    def _finish(self, folder: JobFolder, lock: FileLock) -> None:
        """Run the job until it has ended, one way or another."""
        status: int | None = None
        while not self.spool.settle(folder):
            state = folder.state()
            if state["attempt"] >= self.max_attempts:
                last_words = {"status": status, "log": folder.log_tail()}
                folder.end(state="FAILED", phase="crashed", exit=last_words)
            else:
                begun = {"state": "RUNNING", "phase": "starting", "attempt": state["attempt"] + 1}
                folder.write_state({**begun, "progress": state.get("progress")})
                status = self._run_worker(folder, lock)

    def _run_worker(self, folder: JobFolder, lock: FileLock) -> int:
        """Exit status of one worker: its code, or the negative number of the signal that killed it."""
        log_fd = folder.open_log()
        try:
            worker = start_worker(folder.path, log_fd, (lock.fd, self.slot.fd), grace_s=self.grace_s)
        finally:
            os.close(log_fd)
        asked: float | None = None
        while not _has_exited(worker):
            if asked is None and folder.cancel_requested():
                asked = time.monotonic()  # the worker has seen the mark too, and stops its group by itself
            if asked is not None and time.monotonic() - asked > self.grace_s:
                _kill_group(worker.pid)
            time.sleep(_LOOK_S)
        _kill_group(worker.pid)
        return worker.wait()


def _has_exited(worker: subprocess.Popen[bytes]) -> bool:
    """Whether the worker is gone; it is not collected yet, so that its number still names its process group."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return worker.poll() is not None
    return os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
        os.killpg(leader, signal.SIGKILL)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="mediabroker_local.processes.runner", description="Runs queued local jobs.")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--slot", type=int, required=True, help="descriptor of the slot's lock, inherited")
    parser.add_argument("--max-attempts", type=int, required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    given = parser.parse_args(arguments)
    os.set_inheritable(given.slot, False)
    Supervisor(Spool(given.root), FileLock(given.slot), given.max_attempts, given.grace_s).run()


if __name__ == "__main__":
    main()

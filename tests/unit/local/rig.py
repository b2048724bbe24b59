"""What the tests of the local provider share: a workshop with a real clip, and an ffmpeg that waits at a gate."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from mediabroker.jobs import JobSpec, Transcode
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.spi import CancelOutcome, Member, Observation
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver, new_context
from mediabroker_local import LocalProvider

__all__ = ["Workshop", "until"]

_LOOK_S = 0.02


def until(fulfilled: Callable[[], Any], what: str, *, timeout_s: float = 30.0) -> Any:
    """Wait for something that other processes bring about; what it came to."""
    limit = time.monotonic() + timeout_s
    while not (found := fulfilled()):
        assert time.monotonic() < limit, f"waited {timeout_s:g} s for {what}"
        time.sleep(_LOOK_S)
    return found


class Workshop:
    """A local provider with a root of its own, and the processes that work for it.

    `gated()` gives settings with an ffmpeg that starts only when `open_gate()` was called: a job stays RUNNING for
    exactly as long as a test wants.
    """

    def __init__(self, folder: Path, clip: Path) -> None:
        self.folder, self.clip, self.root = folder, clip, folder / "root"
        self._gate = folder / "gate"
        self._drivers: list[Driver] = []

    def driver(self, **settings: Any) -> Driver:
        self._drivers.append(Driver(LocalProvider("local", {"root": str(self.root), **settings})))
        return self._drivers[-1]

    def gated(self, **settings: Any) -> Driver:
        script = self.folder / "gated-ffmpeg"
        if not script.exists():
            real, gate = shlex.quote(str(find_ffmpeg())), shlex.quote(str(self._gate))
            wait = f"echo $$ >> {gate}.waiting; while [ ! -e {gate} ]; do sleep 0.05; done"
            wait = f'case "$*" in *-encoders*) ;; *) {wait} ;; esac'
            script.write_text(f'#!/bin/sh\n{wait}\nexec {real} "$@"\n')
            script.chmod(0o755)
        return self.driver(ffmpeg=str(script), **settings)

    def wait_at_gate(self, times: int = 1) -> int:
        """Wait until an ffmpeg has come to the gate for the n-th time; its process id."""
        waiting = self._gate.with_name("gate.waiting")

        def came() -> int | None:
            pids = waiting.read_text().split() if waiting.exists() else []
            return int(pids[times - 1]) if len(pids) >= times else None

        return int(until(came, f"ffmpeg number {times} at the gate"))

    def open_gate(self) -> None:
        self._gate.touch()

    def transcode(self, name: str = "out.mp4", **more: Any) -> Transcode:
        return Transcode(input=self.clip, output=self.folder / name, **more)

    def submit(self, driver: Driver, spec: JobSpec[Any], token: str | None = None) -> Member:
        return driver.run(driver.provider.submit(spec, None, new_context(spec, token=token))).members[0]

    def look(self, member: Member, driver: Driver | None = None) -> Observation:
        driver = driver or self._drivers[0]
        return driver.run(driver.provider.query([member]))[0]

    def wait(self, member: Member, *states: JobState, driver: Driver | None = None) -> Observation:
        """Ask until the job is in one of `states`, or has ended when none is given."""

        def reached() -> Observation | None:
            seen = self.look(member, driver)
            wanted = seen.state in states if states else seen.state is not None and seen.state.is_terminal
            return seen if wanted else None

        found = until(reached, f"{states or 'an end'} of {member.native_id}")
        assert isinstance(found, Observation)
        return found

    def products(self) -> set[str]:
        """The names of what stands in the workshop's folder, without the tools of the test."""
        return {path.name for path in self.folder.iterdir()} - {"root", "gate", "gate.waiting", "gated-ffmpeg"}

    def cancel(self, member: Member, driver: Driver | None = None) -> CancelOutcome:
        driver = driver or self._drivers[0]
        return driver.run(driver.provider.cancel([member]))

    def python(self, code: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `code` in another process, in a session of its own; `folder`, `clip` and `root` are at hand there."""
        names = f"folder, clip, root = {str(self.folder)!r}, {str(self.clip)!r}, {str(self.root)!r}\n"
        return subprocess.run(
            [sys.executable, "-c", names + code],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )

    def pids(self, module: str) -> list[int]:
        """The live processes of this workshop that run `module` (or any program, by a word of its command line)."""
        parents = self._parents(module)
        # Between fork and exec a child still bears its parent's command line.
        return [pid for pid, parent in parents.items() if parent not in parents]

    def _parents(self, module: str) -> dict[int, int]:
        """Every process with that word in its command line, forks included, and its parent."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
                if module in words and str(self.folder) in words:
                    found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        return found

    def kill(self, *modules: str) -> None:
        """SIGKILL to all processes of these modules, and wait until they are gone."""
        victims = {pid for module in modules for pid in self._strike(module)}
        until(lambda: not any(map(_holds_files, victims)), f"{modules} to be gone")

    def _strike(self, module: str) -> list[int]:
        pids = list(self._parents(module))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    def wait_gone(self, module: str, *, timeout_s: float = 10.0) -> None:
        until(lambda: not self.pids(module), f"{module} to be gone", timeout_s=timeout_s)

    def close(self) -> None:
        """Leave no process behind."""
        for driver in self._drivers:
            driver.close()
        # Again and again: one that is being killed may just have started another.
        for module in ("mediabroker_local", "gated-ffmpeg", "neuron_worker"):
            until(partial(self._extinct, module), f"{module} to be gone")

    def _extinct(self, module: str) -> bool:
        return not self._strike(module)


def _holds_files(pid: int) -> bool:
    """Whether a process may still hold its locks: one that dies loses its command line first, and its files when the
    last of its threads has ended, which need not be the one that bears its number."""
    try:
        return any(map(_is_alive, Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_alive(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False

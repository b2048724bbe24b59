"""One ffmpeg child: started without a shell, limited, listened to, ended when it hangs, is cancelled or orphaned."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.failures import classify_exit
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, PROCESS_LIMITS, MediaLimits, ProcessLimits
from mediabroker.media.ffmpeg.progress import Progress, ProgressParser

__all__ = ["Finished", "build_input_options", "run_ffmpeg"]

_GUARDIAN = Path(__file__).with_name("guardian.py")
_POLL_S = 0.1
_READ_BYTES = 64 << 10
_REAP_S = 10.0
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class Finished(NamedTuple):
    """A child that ended with exit code 0: its last progress and the end of what it said."""

    progress: Progress
    stderr: str
    elapsed_s: float


def build_input_options(demuxer: str, limits: MediaLimits = MEDIA_LIMITS) -> dict[str, str]:
    """Options that must stand before every `-i`: one demuxer, files only, nothing oversized."""
    return {
        "f": demuxer,
        "format_whitelist": demuxer,
        "protocol_whitelist": "file,pipe",
        "max_streams": str(limits.max_streams),
        "max_pixels": str(limits.max_pixels),
    }


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    binary: Path,
    cwd: Path,
    limits: ProcessLimits = PROCESS_LIMITS,
    total_s: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> Finished:
    """Run `binary` with `arguments` (all that follows the program's name) in `cwd` and wait for its end.

    The child gets a process group of its own, a minimal environment and no terminal. It dies within a second of this
    process, however that dies. `on_progress` is called in this thread; what it raises ends the child and reaches the
    caller.

    Raises:
        MediaError: `CANCELLED` within a quarter of a second of `cancel`; `TIMEOUT` when it hung or took longer than
            `limits.wall_s`; otherwise the code that exit code and messages stand for.
    """
    command = [str(binary), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+warning"]
    child = _spawn([*command, "-progress", "pipe:1", "-stats_period", "0.25", *arguments], cwd, limits)
    listener = _Listener(child, limits, ProgressParser(total_s), on_progress, cancel)
    started = time.monotonic()
    try:
        listener.listen()
    finally:
        _end(child)
    stderr = listener.stderr.decode(errors="replace")
    if child.returncode != 0:
        raise classify_exit(child.returncode, stderr)
    return Finished(listener.progress, stderr, time.monotonic() - started)


def _spawn(command: list[str], cwd: Path, limits: ProcessLimits) -> subprocess.Popen[bytes]:
    wanted = limits.model_dump(include={"cpu_s", "memory_bytes", "file_size_bytes", "open_files"}, exclude_none=True)
    environment = {"LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1"}
    environment.update({name: os.environ[name] for name in _PASSED_ON if name in os.environ})
    guardian = [sys.executable, "-I", "-S", str(_GUARDIAN), json.dumps({**wanted, "core_bytes": 0}), str(os.getpid())]
    try:
        return subprocess.Popen(
            [*guardian, *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        code = ErrorCode.OUT_OF_RESOURCES if isinstance(error, BlockingIOError) else ErrorCode.OUTPUT_DENIED
        raise MediaError(code, f"ffmpeg cannot be started in {cwd}: {error.strerror}") from error


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's group; returns when its pipes have closed, so the last of the group is gone."""
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.communicate(timeout=_REAP_S)


class _Listener:
    """Reads both pipes until they close, so that neither can fill up and block the child."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        limits: ProcessLimits,
        parser: ProgressParser,
        on_progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
    ) -> None:
        self.progress = Progress()
        self.stderr = b""
        self._child, self._limits, self._parser = child, limits, parser
        self._on_progress, self._cancel = on_progress, cancel
        self._line = b""
        self._started = self._moved = time.monotonic()

    def listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for pipe, take in ((self._child.stdout, self._take_progress), (self._child.stderr, self._take_messages)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, take)
            while selector.get_map():
                for key, _ in selector.select(_POLL_S):
                    if data := os.read(key.fd, _READ_BYTES):
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
                self._check()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=_REAP_S)

    def _take_messages(self, data: bytes) -> None:
        self.stderr = (self.stderr + data)[-self._limits.stderr_bytes :]

    def _take_progress(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[-_READ_BYTES:]
        for line in lines:
            if progress := self._parser.feed(line.decode(errors="replace")):
                self._report(progress)

    def _report(self, progress: Progress) -> None:
        done = (progress.frames, progress.out_time_s, progress.size_bytes)
        if done != (self.progress.frames, self.progress.out_time_s, self.progress.size_bytes):
            self._moved = time.monotonic()
        self.progress = progress
        if self._on_progress is not None:
            self._on_progress(progress)

    def _check(self) -> None:
        now = time.monotonic()
        if self._cancel is not None and self._cancel.is_set():
            raise MediaError(ErrorCode.CANCELLED, "cancelled while ffmpeg was running")
        if now - self._moved > self._limits.stall_s:
            raise MediaError(ErrorCode.TIMEOUT, f"ffmpeg hung: nothing moved for {self._limits.stall_s:g} s")
        if self._limits.wall_s is not None and now - self._started > self._limits.wall_s:
            raise MediaError(ErrorCode.TIMEOUT, f"ffmpeg took longer than {self._limits.wall_s:g} s")

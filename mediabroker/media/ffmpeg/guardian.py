"""Stands between a worker and its ffmpeg: sets limits, starts it, and ends it when the worker dies, however it dies.

Run by path as its own small process with nothing but the standard library: `guardian.py LIMITS PARENT_PID COMMAND...`.
A parent-death signal alone is not enough: it follows the *thread* that started the child, and macOS has none. This
process has one thread and lives exactly as long as ffmpeg, so the signal is safe between these two, and it notices by
itself when its own parent changes. It ends as ffmpeg ended, by exit code or by signal.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys

__all__ = ["main"]

_CHECK_S = 0.25
_PR_SET_PDEATHSIG = 1
"""Source: Linux, include/uapi/linux/prctl.h."""
_LIMITS = {
    "cpu_s": resource.RLIMIT_CPU,
    "memory_bytes": resource.RLIMIT_AS,
    "file_size_bytes": resource.RLIMIT_FSIZE,
    "open_files": resource.RLIMIT_NOFILE,
    "core_bytes": resource.RLIMIT_CORE,
}


def _limit(wanted: dict[str, int]) -> None:
    for name, value in wanted.items():
        hard = resource.getrlimit(_LIMITS[name])[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # One above: at the hard limit of processor time the kernel kills without saying why.
        ceiling = soft + 1 if hard == resource.RLIM_INFINITY else min(soft + 1, hard)
        try:
            resource.setrlimit(_LIMITS[name], (soft, ceiling))
        except (ValueError, OSError):
            continue  # this platform does not enforce that one


def _die_with(guardian: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  loads only where it is used: starting fast matters

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)


def _start(limits: dict[str, int], command: list[str]) -> int:
    guardian = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        _limit(limits)
        _die_with(guardian)
        os.execv(command[0], command)  # noqa: S606  no shell is the point
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _wake_on_child() -> int:
    """The end of a pipe that becomes readable whenever a child changes its state."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return woken


def _watch(child: int, parent: int, woken: int) -> int:
    """Wait status of `child`, which is killed as soon as `parent` is no longer our parent."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
        if select.select([woken], [], [], _CHECK_S)[0]:
            os.read(woken, 512)


def main(limits: str, parent: str, *command: str) -> None:
    woken = _wake_on_child()
    status = _watch(_start(json.loads(limits), list(command)), int(parent), woken)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        _limit({"core_bytes": 0})
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])

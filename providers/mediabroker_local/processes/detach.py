"""Starts a program that has no tie to whoever started it: no parent that waits, no terminal, no open files.

Run by path, with nothing but the standard library: `detach.py LOG KEPT_FD COMMAND...`. It returns at once; the
descriptor KEPT_FD stays open in the program.
"""

from __future__ import annotations

import os
import signal
import sys

_LOG_LIMIT_BYTES = 1 << 20


def main(log: str, kept_fd: str, *command: str) -> None:
    if os.fork():
        os._exit(0)  # the caller collects this process; the other one belongs to nobody
    os.setsid()
    os.chdir("/")
    # What the caller ignores or blocks is inherited; ignored children, for one, could never be waited for.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    if os.fstat(fd).st_size > _LOG_LIMIT_BYTES:
        os.ftruncate(fd, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.set_inheritable(int(kept_fd), True)
    os.execv(command[0], command)  # noqa: S606  no shell is the point


if __name__ == "__main__":
    main(*sys.argv[1:])

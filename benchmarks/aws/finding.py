"""What a measurement found, and the runs it compares."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["Finding", "Setting", "Spent", "run_child", "spending"]

_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


class Setting(NamedTuple):
    """A folder for clips and results, how large they are, and how often what is quickly done takes its turn."""

    folder: Path
    seconds: int
    slices: int
    height_px: int
    rounds: int

    def fresh(self, name: str) -> Path:
        """A new folder."""
        path = self.folder / name
        path.mkdir()
        return path


class Spent(NamedTuple):
    """Wall time, and the processor time and largest memory of the processes that were started and ended meanwhile."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int = 0


class Finding(NamedTuple):
    """One row. `ratio` is of wall time, `by_cpu` of processor time, which other programs on the machine disturb less;
    `goal` is the most that they may be."""

    what: str
    runs: dict[str, Spent]
    ratio: float | None = None
    by_cpu: float | None = None
    goal: float | None = None
    remark: str = ""


@contextmanager
def spending() -> Iterator[Callable[[], Spent]]:
    """What the children that end within the body took; `Spent` once it has ended."""
    began, before = time.perf_counter(), _children_cpu_s()
    yield lambda: Spent(time.perf_counter() - began, _children_cpu_s() - before)


def run_child(command: list[str], environment: dict[str, str], log: Path) -> Spent:
    """Run one process to its end.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    with log.open("wb") as output:
        opened = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)]
        pid = os.posix_spawn(command[0], command, environment, file_actions=opened)
    _, status, used = os.wait4(pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{command} ended with {code}: {log.read_text()[-2000:]}")
    return Spent(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * _RSS_UNIT_BYTES)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

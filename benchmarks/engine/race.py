"""Runs that alternate, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine.order import Measured, Order

__all__ = ["Summary", "race", "run_once", "run_together"]

_ROOT = Path(__file__).parent.parent.parent
_LIMIT_S = 120


class Summary(NamedTuple):
    """Medians of several runs of one way; `peak_rss_bytes` is the largest."""

    runs: int
    fps: float
    cpu_ms: float
    peak_rss_bytes: int
    others: float | None

    @classmethod
    def of(cls, runs: Sequence[Measured]) -> Summary:
        """At least one run."""
        known = [each.others for each in runs if each.others is not None]
        return cls(
            len(runs),
            statistics.median(each.fps for each in runs),
            statistics.median(each.cpu_ms for each in runs),
            max(each.peak_rss_bytes for each in runs),
            statistics.median(known) if known else None,
        )


def race(orders: Sequence[Order], *, rounds: int) -> list[Summary]:
    """Each order in turn, `rounds` times: A B C A B C."""
    runs = [[run_once(order) for order in orders] for _ in range(rounds)]
    return [Summary.of(each) for each in zip(*runs, strict=True)]


def run_once(order: Order) -> Measured:
    """One run in a fresh process."""
    return run_together([order])[0]


def run_together(orders: Sequence[Order]) -> list[Measured]:
    """Several processes that start at the same moment, after all have prepared."""
    with ExitStack() as stack:
        children = []
        for order in orders:
            if order.piece is None:
                shutil.rmtree(order.folder, ignore_errors=True)
            order.folder.mkdir(parents=True, exist_ok=True)
            child = stack.enter_context(_start(order))
            children.append(child)
            # One after the other: slices of one job share its plan, which one process makes.
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError(f"{order.way} could not be prepared")
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [child.communicate(timeout=_LIMIT_S)[0] for child in children]
    for order, child in zip(orders, children, strict=True):
        if child.returncode:
            raise RuntimeError(f"{order.way} failed")
        shutil.rmtree(order.folder, ignore_errors=True)
    return [Measured(*json.loads(each)) for each in told]


def _start(order: Order) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.engine.child", order.to_json()]
    return subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

"""One measured run in a process of its own: prepare, say so, wait for the word, run, tell what it took.

The order is the only argument; a line on stdin starts the clock; the last line on stdout is the `Measured`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from benchmarks.engine.order import Measured, Order
from benchmarks.engine.rivals import RIVALS
from benchmarks.engine.ways import PARTS

_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
_STAT = Path("/proc/stat")


def main() -> None:
    order = Order.from_json(sys.argv[1])
    run = {**PARTS, **RIVALS}[order.way](order)
    print("ready", flush=True)
    sys.stdin.readline()
    own_s, all_s, began = _own_cpu_s(), _machine_cpu_s(), time.perf_counter()
    frames = run()
    wall_s = time.perf_counter() - began
    own_s, all_s = _own_cpu_s() - own_s, _machine_cpu_s() - all_s
    due = order.frames if order.piece is None else order.frames // order.slices
    if frames != due:
        raise RuntimeError(f"{order.way} made {frames} frames of {due}")
    others = max(0.0, all_s - own_s) / wall_s / (os.cpu_count() or 1) if _STAT.exists() else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES
    print(json.dumps(Measured(frames, wall_s, own_s, peak, others)))


def _own_cpu_s() -> float:
    total = 0.0
    for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(whose)
        total += used.ru_utime + used.ru_stime
    return total


def _machine_cpu_s() -> float:
    """What all processors did since the start, for anybody; 0 where the system does not tell."""
    if not _STAT.exists():
        return 0.0
    # Source: proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
    ticks = [int(word) for word in _STAT.read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

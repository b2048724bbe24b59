"""Measure the engine beside its model and beside what scripts do: `make bench-engine`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.engine.clip import find_footage
from benchmarks.engine.report import describe_machine, print_table, write_json, write_page
from benchmarks.engine.sections import SECTIONS, Finding, Setting
from neuron_worker.runtimes import usable_cores

_ROOT = Path(__file__).parent.parent.parent
_PAGE = _ROOT / "docs/reference/benchmarks.md"
_RESULTS = _ROOT / "build/benchmarks/engine.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="one question; may be repeated")
    parser.add_argument("--frames", type=int, default=60, help="of most runs")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way; their median counts")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="where the figures go")
    parser.add_argument("--page", action="store_true", help="write the page of the documentation, too")
    options = parser.parse_args()
    before, began = os.getloadavg()[0], time.monotonic()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as folder:
        setting = Setting(find_footage(), Path(folder), options.frames, options.rounds, usable_cores())
        for name in options.only or SECTIONS:
            print(f"{time.monotonic() - began:4.0f} s  {SECTIONS[name].__doc__}", flush=True)
            findings += SECTIONS[name](setting)
        machine = describe_machine(setting, (before, os.getloadavg()[0]))
    print_table(machine, findings)
    write_json(options.json, machine, findings)
    if options.page:
        write_page(_PAGE, machine, findings)


if __name__ == "__main__":
    main()

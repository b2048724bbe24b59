"""Measure the services on the simulators beside the tools they are made of: `make bench-aws`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from benchmarks.aws.chain import chain, memory
from benchmarks.aws.finding import Finding, Setting
from benchmarks.aws.transcoding import function, ladder
from neuron_worker.runtimes import usable_cores

_RESULTS = Path(__file__).parent.parent.parent / "build/benchmarks/aws.json"
SECTIONS = {"chain": chain, "memory": memory, "function": function, "ladder": ladder}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aws", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="one question; may be repeated")
    parser.add_argument("--seconds", type=int, default=150, help="of the clips")
    parser.add_argument("--slices", type=int, default=10, help="that the chain makes of it")
    parser.add_argument("--height", type=int, default=180, help="of the clip of the chain, in pixels; 16:9")
    parser.add_argument("--rounds", type=int, default=3, help="of function and ladder; their medians count")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="where the figures go")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="bench-aws-") as folder:
        setting = Setting(Path(folder), options.seconds, options.slices, options.height, options.rounds)
        for name in options.only or SECTIONS:
            print(f"{SECTIONS[name].__doc__}", flush=True)
            for finding in SECTIONS[name](setting):
                print("\n".join(_lines(finding)), flush=True)
                findings.append(finding)
    machine = {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processors": usable_cores(),
        "python": platform.python_version(),
        "load average, before and after": f"{before:.1f} -> {os.getloadavg()[0]:.1f}",
    }
    print(json.dumps(machine))
    rows = [{**each._asdict(), "runs": {name: run._asdict() for name, run in each.runs.items()}} for each in findings]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine, "findings": rows}, indent=1) + "\n", encoding="utf-8")


def _lines(finding: Finding) -> list[str]:
    lines = [f"  {finding.what}"]
    for name, run in finding.runs.items():
        peak = f", {run.peak_rss_bytes / 2**20:.0f} MiB" if run.peak_rss_bytes else ""
        lines.append(f"    {name:10} {run.wall_s:7.1f} s, {run.cpu_s:7.1f} s of processor time{peak}")
    if finding.ratio is not None:
        by_cpu = "" if finding.by_cpu is None else f", by processor time {finding.by_cpu:.2f}"
        goal = "" if finding.goal is None else f" (goal <= {finding.goal:g})"
        lines.append(f"    ratio {finding.ratio:.2f}{by_cpu}{goal}")
    return [*lines, f"    {finding.remark}"] if finding.remark else lines


if __name__ == "__main__":
    main()

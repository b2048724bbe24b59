"""How long `import mediabroker` takes, beside `import boto3`, as CPU time of fresh processes.

python benchmarks/import_time.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
from importlib.util import find_spec

_RUNS = 7


def cpu_s(statement: str) -> float:
    """The least CPU time of several fresh interpreters, in seconds, start-up included."""
    measured = []
    for _ in range(_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", statement], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        measured.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(measured)


def main() -> None:
    start_s = cpu_s("pass")
    rows = {"mediabroker": "import mediabroker", "mediabroker, Broker used": "from mediabroker import Broker"}
    if find_spec("boto3"):
        rows["boto3"] = "import boto3"
    measured = {name: cpu_s(statement) - start_s for name, statement in rows.items()}
    for name, took_s in measured.items():
        ratio = f"{took_s / measured['boto3']:6.2f} x boto3" if "boto3" in measured else ""
        print(f"{name:26} {took_s * 1000:6.0f} ms {ratio}")


if __name__ == "__main__":
    main()

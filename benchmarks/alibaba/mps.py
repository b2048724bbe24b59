"""Submit and query smart production through the provider, without a store, beside the bare SDK: `make bench-alibaba`.

The simulated cloud runs in a process of its own. Both sides send the same requests and parse the answers; rounds
alternate, and the ratio is the median of the rounds' ratios. Goal: at least 0.85 of the SDK's rate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from aliyunsdkcore.client import AcsClient
from aliyunsdkmts.request.v20140618.QueryIProductionJobRequest import QueryIProductionJobRequest
from aliyunsdkmts.request.v20140618.SubmitIProductionJobRequest import SubmitIProductionJobRequest

from mediabroker.production import VideoClip
from mediabroker.testing.driver import Driver, new_context
from mediabroker_alibaba import MpsProvider

_KEY, _SECRET, _REGION = "LTAIbench", "secret-of-the-benchmark", "cn-shanghai"
_SOURCE = "oss://media/in/a.mp4"
_GOAL = 0.85
_CORRELATION = json.dumps({"job": "x" * 28, "kind": "video_clip", "token": "y" * 24, "step": "production", "v": 1})
"""As much as the provider sends to find its job again; MPS has no token, so everybody needs some."""
_SERVER = f"""
import sys
from mediabroker_alibaba.simulator import AlibabaSimulator
from mediabroker_alibaba.simulator.mps import ScriptedExecutor
with AlibabaSimulator(executor=lambda _: ScriptedExecutor()) as cloud:
    account = cloud.add_account(access_key_id={_KEY!r}, access_key_secret={_SECRET!r})
    cloud.create_bucket(account, "media")
    print(cloud.endpoints().mps, flush=True)
    sys.stdin.read()
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alibaba.mps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--jobs", type=int, default=60, help="submitted and queried in each round")
    options = parser.parse_args()
    os.environ |= {"ALIBABA_CLOUD_ACCESS_KEY_ID": _KEY, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": _SECRET}
    os.environ["NO_PROXY"] = "127.0.0.1"
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        measure(url, options.rounds, options.jobs)
    finally:
        server.communicate()


def measure(url: str, rounds: int, jobs: int) -> None:
    """Print both rates and their ratio."""
    sdk = AcsClient(_KEY, _SECRET, _REGION)
    driver = Driver(MpsProvider("mps", {"region": _REGION, "endpoint_url": url}))
    sides: dict[str, Callable[[int], None]] = {
        "sdk": lambda number: with_sdk(sdk, url.removeprefix("http://"), number),
        "provider": lambda number: with_provider(driver, number),
    }
    for side in sides.values():
        side(0)  # imports and connections
    walls: dict[str, list[float]] = {name: [] for name in sides}
    cpus: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(rounds):
        for name in sorted(sides, reverse=bool(index % 2)):
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            for number in range(jobs):
                sides[name](number)
            walls[name].append(time.perf_counter() - wall_s)
            cpus[name].append(time.process_time() - cpu_s)
        driver.exchanges.clear()
    driver.close()
    for name, taken in walls.items():
        print(f"{name:9} {2 * jobs / statistics.median(taken):7.0f} calls/s (median of {rounds} rounds)")
    ratio = statistics.median(bare / ours for bare, ours in zip(walls["sdk"], walls["provider"], strict=True))
    by_cpu = statistics.median(bare / ours for bare, ours in zip(cpus["sdk"], cpus["provider"], strict=True))
    print(f"ratio     {ratio:.2f} of the SDK's rate (goal >= {_GOAL}); by this process's CPU time {by_cpu:.2f}")


def with_sdk(client: Any, netloc: str, number: int) -> None:
    """One job as a user of the SDK would write it."""
    submit = SubmitIProductionJobRequest()
    submit.set_endpoint(netloc)
    submit.set_FunctionName("VideoClip")
    submit.set_Input(f"oss://media.oss-{_REGION}.aliyuncs.com/in/a.mp4")
    submit.set_Output(f"oss://media.oss-{_REGION}.aliyuncs.com/out/{number}.mp4")
    submit.set_UserData(_CORRELATION)
    job = json.loads(client.do_action_with_exception(submit))
    query = QueryIProductionJobRequest()
    query.set_endpoint(netloc)
    query.set_JobId(job["JobId"])
    assert json.loads(client.do_action_with_exception(query))["State"]


def with_provider(driver: Driver, number: int) -> None:
    """The same through the provider's flows, as the broker drives them."""
    spec = VideoClip(input=_SOURCE, output=f"oss://media/out/{number}.mp4", overwrite=True)
    submitted = driver.run(driver.provider.submit(spec, None, new_context(spec)))
    (seen,) = driver.run(driver.provider.query(submitted.members))
    assert seen.state is not None


if __name__ == "__main__":
    main()

"""Runs every client against one simulated cloud and prints what came of each check.

    python -m tests.interop              all clients
    python -m tests.interop mns ali-oss  those whose name contains one of the words

Ends with 1 when a check failed. A client whose packages cannot be had here is left out, with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mediabroker_alibaba.simulator import AlibabaSimulator
from tests.interop.environments import MNS_SDK, NotToBeHadError, npm_folder, oss2_source, python_with

CLIENTS = Path(__file__).parent / "clients"
OSS2 = "2.19.1"
NPM = ("ali-oss@6.23.0", "@alicloud/mns@1.2.0", "@alicloud/pop-core@1.8.0")
LIMIT_S = 100


@dataclass(frozen=True)
class Start:
    """How a client's script is started."""

    command: list[str]
    folder: Path = CLIENTS
    environment: Mapping[str, str] | None = None


def _python(script: str, *arguments: str, home: str, packages: tuple[str, ...]) -> Callable[[], Start]:
    return lambda: Start([str(python_with(home, *packages)), "-W", "ignore", script, *arguments])


def _node(script: str) -> Callable[[], Start]:
    return lambda: Start(["node", script], environment={"NODE_PATH": str(npm_folder(*NPM) / "node_modules")})


def _suite() -> Start:
    python = python_with("oss2", *ALIYUN)
    script = str(CLIENTS / "oss2_suite.py")
    return Start([str(python), "-W", "ignore", script], oss2_source(python, OSS2))


ALIYUN = ("aliyun-python-sdk-mts==3.3.46", f"oss2=={OSS2}", "mock")
MATRIX: Mapping[str, Callable[[], Start]] = {
    "aliyun-python-sdk-mts 3.3.46": _python("mts.py", home="oss2", packages=ALIYUN),
    f"oss2 {OSS2}, V1": _python("oss2_client.py", "v1", home="oss2", packages=ALIYUN),
    f"oss2 {OSS2}, V4": _python("oss2_client.py", "v4", home="oss2", packages=ALIYUN),
    f"oss2 {OSS2}, its own suite, V4": _suite,
    MNS_SDK.replace("==", " "): _python("mns_sdk.py", home="mns", packages=(MNS_SDK,)),
    "alibabacloud-oss-v2": _python("oss_v2.py", home="oss-v2", packages=("alibabacloud-oss-v2",)),
    "ali-oss 6.23.0 (npm)": _node("ali_oss.js"),
    "@alicloud/mns 1.2.0 (npm)": _node("alicloud_mns.js"),
    "@alicloud/pop-core 1.8.0 (npm)": _node("pop_core.js"),
}


def main(words: list[str]) -> int:
    wanted = {name: start for name, start in MATRIX.items() if not words or any(word in name for word in words)}
    failed = 0
    with AlibabaSimulator() as cloud:
        settings = _prepared(cloud)
        for name, prepare in wanted.items():
            try:
                outcomes = _outcomes(prepare(), settings)
            except NotToBeHadError as error:
                _tell(f"{name:34} left out: {error}")
                continue
            failed += _table(name, outcomes)
    return 1 if failed else 0


def _prepared(cloud: AlibabaSimulator) -> dict[str, str]:
    account = cloud.add_account()
    cloud.create_bucket(account, "interop")
    there = cloud.endpoints()
    own = {
        "KEY_ID": account.key.access_key_id,
        "KEY_SECRET": account.key.access_key_secret,
        "ACCOUNT": account.id,
        "REGION": cloud.region,
        "BUCKET": "interop",
        "PIPELINE": cloud.mps.add_pipeline(account.id, cloud.region, "interop"),
        "MPS_URL": there.mps,
        "MNS_URL": there.mns,
        "OSS_URL": there.oss,
    }
    suite = {
        "OSS_TEST_ACCESS_KEY_ID": own["KEY_ID"],
        "OSS_TEST_ACCESS_KEY_SECRET": own["KEY_SECRET"],
        "OSS_TEST_ENDPOINT": there.oss,
        "OSS_TEST_BUCKET": "suite-",
        "OSS_TEST_REGION": cloud.region,
        "OSS_TEST_AUTH_VERSION": "v4",
    }
    return {**own, **suite}


def _outcomes(start: Start, settings: Mapping[str, str]) -> dict[str, str]:
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    clean = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    environment = {**clean, **settings, **(start.environment or {})}
    try:
        done = subprocess.run(
            start.command,
            cwd=start.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"the whole script": f"takes more than {LIMIT_S} s"}
    except OSError as error:
        raise NotToBeHadError(f"{start.command[0]}: {error.strerror}") from error
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = {each["check"]: each["outcome"] for each in lines}
    if done.returncode or not told:
        told["the whole script"] = (done.stderr.strip().splitlines() or ["says nothing"])[-1]
    return told


def _table(name: str, outcomes: Mapping[str, str]) -> int:
    counts = Counter("left" if each.startswith("not begun") else each == "ok" for each in outcomes.values())
    left = f", {counts['left']} not begun in time" if counts["left"] else ""
    _tell(f"{name:34} {counts[True]:3} ok, {counts[False]} failed{left}")
    for check, outcome in outcomes.items():
        if (outcome != "ok" and not outcome.startswith("not begun")) or len(outcomes) < 20:
            _tell(f"    {check:40} {outcome}")
    return counts[False]


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs clients that nobody here wrote against the simulated Alibaba Cloud, and prints what each could do.

    python -m tests.interop.run [CLIENT ...]

Every client gets an environment of its own under `build/interop`: some cannot be installed together. A client whose
package cannot be had, or whose language is not here, is left out and named. Exit code 1: something failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mediabroker_alibaba.simulator import AlibabaSimulator

CLIENTS = Path(__file__).parent / "clients"
WORK = Path("build") / "interop"
_INSTALL_S, _RUN_S = 600, 300


@dataclass(frozen=True)
class Client:
    """One package, its version, and the script that uses it."""

    script: str
    packages: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.packages[-1]


ALL = (
    Client("mts.py", ("setuptools", "aliyun-python-sdk-core==2.16.1", "aliyun-python-sdk-mts==3.3.46")),
    Client("mns_sdk.py", ("aliyun-mns-sdk==1.3.0",)),
    Client("oss2_sdk.py", ("setuptools", "oss2==2.19.1")),
    Client("oss_v2.py", ("alibabacloud-oss-v2==1.4.1",)),
    Client("pop_core.cjs", ("@alicloud/pop-core@1.8.0",)),
    Client("alicloud_mns.cjs", ("@alicloud/mns@1.2.0",)),
    Client("ali_oss.cjs", ("ali-oss@6.23.0",)),
)


def main(wanted: list[str]) -> int:
    table = Table("client", "can", "cannot", title="Clients against the simulated Alibaba Cloud")
    failed = False
    for client in ALL:
        if wanted and not any(each in client.name for each in wanted):
            continue
        command = _install(client)
        if command is None:
            table.add_row(client.name, "", "not available here")
            continue
        results = _run(command)
        bad = [name for name, is_ok in results.items() if not is_ok]
        failed = failed or bool(bad) or not results
        good = [name for name, is_ok in results.items() if is_ok]
        table.add_row(client.name, ", ".join(good), ", ".join(bad) if results else "did not start")
    Console(width=120).print(table)
    return int(failed)


def _install(client: Client) -> list[str] | None:
    """The command that runs the client's script, with its package installed; None where that cannot be."""
    folder = (WORK / client.script.replace(".", "-")).absolute()
    script = folder / client.script
    folder.mkdir(parents=True, exist_ok=True)
    for each in (CLIENTS / client.script, CLIENTS / f"checks{script.suffix}"):
        shutil.copy(each, folder)
    done = folder / "installed"
    if script.suffix == ".py":
        python = folder / "venv" / "bin" / "python"
        command, run = [str(python), "-m", "pip", "install", "--quiet", *client.packages], [str(python), str(script)]
        if not python.exists():
            venv.create(folder / "venv", with_pip=True)
    else:
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            return None
        command, run = [npm, "install", "--silent", "--prefix", str(folder), *client.packages], [node, str(script)]
    if not done.exists() or done.read_text() != " ".join(client.packages):
        try:
            subprocess.run(command, check=True, timeout=_INSTALL_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
        done.write_text(" ".join(client.packages))
    return run


def _run(command: list[str]) -> dict[str, bool]:
    """The outcome of each check, in a cloud of its own."""
    with AlibabaSimulator() as cloud:
        account = cloud.add_account("1234567890123456")
        cloud.create_bucket(account, "media")
        endpoints = cloud.endpoints()
        facts = {
            "MPS": endpoints.mps,
            "MNS": endpoints.mns,
            "OSS": endpoints.oss,
            "REGION": cloud.region,
            "ACCOUNT": account.id,
            "KEY_ID": account.key.access_key_id,
            "SECRET": account.key.access_key_secret,
        }
        done = subprocess.run(
            command, env=_environment(facts), stdout=subprocess.PIPE, text=True, timeout=_RUN_S, check=False
        )
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return {line[1]: line[0] == "ok" for line in lines if len(line) == 2 and line[0] in ("ok", "FAILED")}


def _environment(facts: Mapping[str, str]) -> dict[str, str]:
    """This one without proxies, which some of the clients heed for loopback as well."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, **{f"INTEROP_{name}": value for name, value in facts.items()}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

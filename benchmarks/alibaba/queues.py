"""MNS: receive and delete with `MnsClient` beside aliyun-mns-sdk, over one simulated queue.

    python -m benchmarks.alibaba.queues [--messages 800]

Each as it is used best: the SDK one by one on one thread, as in its samples, for it is not thread-safe; ours in batches
of 16. Beside it the SDK in batches of 16. It runs in an environment of its own, which is made where it is missing.
"""

from __future__ import annotations

import argparse
import base64
import os
import subprocess
import time

from mediabroker_alibaba import MnsClient
from mediabroker_alibaba.credentials import Credentials
from mediabroker_alibaba.simulator import AlibabaSimulator
from tests.interop.environments import MNS_SDK, python_with

_BATCH = 16
_SDK = """
import os, sys, time
from mns.account import Account
queue = Account(os.environ["URL"], os.environ["ID"], os.environ["SECRET"]).get_queue("bench")
count, size = int(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter()
while count:
    if size == 1:
        got = [queue.receive_message(0)]
        queue.delete_message(got[0].receipt_handle)
    else:
        got = queue.batch_receive_message(size, 0)
        queue.batch_delete_message([each.receipt_handle for each in got])
    count -= len(got)
print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=800)
    given = parser.parse_args()
    sdk = python_with("mns", MNS_SDK)
    with AlibabaSimulator() as cloud:
        account = cloud.add_account()
        queue = cloud.create_queue(account, "bench")
        url, key = cloud.endpoints().mns, account.key
        environment = {**os.environ, "URL": url, "ID": key.access_key_id, "SECRET": key.access_key_secret}

        def fill() -> None:
            for number in range(given.messages):
                queue.send(base64.b64encode(f"message {number}".encode()).decode())  # the SDK expects it

        def ours(size: int) -> float:
            left = given.messages
            with MnsClient(url, lambda: Credentials(key.access_key_id, key.access_key_secret)) as client:
                began_s = time.perf_counter()
                while left:
                    got = client.receive("bench", count=size)
                    client.delete("bench", [each.receipt for each in got])
                    left -= len(got)
                return time.perf_counter() - began_s

        def theirs(size: int) -> float:
            command = [str(sdk), "-c", _SDK, str(given.messages), str(size)]
            return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)

        rows = {
            "ours, 16 at a time": (ours, _BATCH),
            "SDK, one by one": (theirs, 1),
            "SDK, 16 at a time": (theirs, _BATCH),
        }
        rates = {}
        for name, (work, size) in rows.items():
            fill()
            rates[name] = given.messages / work(size)
            print(f"{name:20} {rates[name]:8.0f} messages/s")
        ours_rate = rates["ours, 16 at a time"]
        print(f"each as used best    {ours_rate / rates['SDK, one by one']:8.2f} x")
        print(f"at equal batch size  {ours_rate / rates['SDK, 16 at a time']:8.2f} x")


if __name__ == "__main__":
    main()

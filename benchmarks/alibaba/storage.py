"""OSS: one large object up and down, `OssStore` beside plain oss2, over a static sink.

    python -m benchmarks.alibaba.storage [--mib 1024]

The sink reads and forgets, or sends zeros, in a process of its own. Goal: at least 0.95 of oss2's rate; the memory that
the upload adds is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import oss2

from mediabroker.refs import MediaURI
from mediabroker_alibaba import OssStore

_MIB = 1 << 20
_GOAL = 0.95
_WHERE = MediaURI("oss://media/large.bin")
_SINK = """
import sys
from mediabroker_alibaba.simulator.server import LoopbackServer, Response
size, zeros = int(sys.argv[1]), bytes(1 << 20)
class Zeros:
    def read(self, wanted): return zeros[:wanted]
    def close(self): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
UPLOAD = b"<Begun><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></Begun>"
LISTED = b"<Listed><IsTruncated>false</IsTruncated><NextKeyMarker/><NextUploadIdMarker/></Listed>"
def answer(request):
    while request.stream.read(1 << 20): pass
    if request.method == "GET":
        if "uploads" in request.query: return Response(200, (), LISTED)
        return Response(200, (("ETag", '"v1"'),), Zeros(), size)
    return Response(200, (("ETag", '"v1"'),), UPLOAD if "uploads" in request.query else b"")
server = LoopbackServer(answer)
print(server.url, flush=True)
sys.stdin.read()
server.close()
"""


def chunks(mib: int) -> Iterator[bytes]:
    return (bytes(_MIB) for _ in range(mib))


def rate(work: Callable[[], None], mib: int) -> float:
    began_s = time.perf_counter()
    work()
    return mib / (time.perf_counter() - began_s)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    mib: int = parser.parse_args().mib
    os.environ |= {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret"}
    command = [sys.executable, "-c", _SINK, str(mib * _MIB)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdin
        assert sink.stdout
        url = sink.stdout.readline().strip()
        measure(url, mib)
        sink.stdin.close()


def measure(url: str, mib: int) -> None:
    store = OssStore({"endpoint_url": url, "region": "cn-shanghai"})
    plain = oss2.Bucket(oss2.AuthV4("id", "secret"), url, "media", region="cn-shanghai")

    def plain_down_all() -> None:
        answer = plain.get_object("large.bin")
        while answer.read(_MIB):
            pass

    def ours_down_all() -> None:
        for _ in store.read(_WHERE):
            pass

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours_up = rate(lambda: void(store.write(_WHERE, chunks(mib), overwrite=True)), mib)
    added_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    theirs_up = rate(lambda: void(plain.put_object("large.bin", chunks(mib))), mib)
    ours_down = rate(ours_down_all, mib)
    theirs_down = rate(plain_down_all, mib)
    store.close()
    for name, ours, theirs in (("up", ours_up, theirs_up), ("down", ours_down, theirs_down)):
        print(f"{name:5} {ours:7.0f} MiB/s, oss2 {theirs:7.0f} MiB/s: {ours / theirs:5.2f} x (goal {_GOAL})")
    print(f"memory added by the upload: {added_mib:.0f} MiB; parts of 8 MiB, 4 at a time")


def void(_: object) -> None:
    return None


if __name__ == "__main__":
    main()

"""The engine says nothing to the makers of its libraries."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from tests import clips

_QUIET = """
import ctypes, platform, struct, sys, time
from threading import Event

# The kernel ends this process at its first socket, whichever library asks for one.
call = {"x86_64": 41, "aarch64": 198}[platform.machine()]
words = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
filter = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in words))
libc = ctypes.CDLL(None, use_errno=True)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(Program(len(words), ctypes.addressof(filter))), 0, 0) == 0  # PR_SET_SECCOMP

began = time.monotonic()
from neuron_worker.document import JobDocument
from neuron_worker.video.pipeline import upscale_video

source, folder, runtime = sys.argv[1:]
for number in range(1000):
    document = JobDocument(
        input=source, output=f"{folder}/{number}.mp4", work_dir=f"{folder}/{number}", runtime=runtime, threads=1
    )
    upscale_video(document, lambda progress: None, Event())
    if time.monotonic() - began > 21:
        break
    Event().wait(1)
"""
_OPENED = re.compile(r'"([^"]*)", [A-Z_|]*(?:O_WRONLY|O_RDWR|O_CREAT)')


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the filter is one of Linux")
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_the_engine_looks_up_no_host_and_writes_nothing_outside_its_folders(tmp_path: Path, runtime: str) -> None:
    """onnxruntime 1.31 reports to its maker 9 s after its import and writes below the cache folder; OpenVINO 2026.4
    does both when it is imported, below the home folder."""
    if find_spec(runtime.replace("onnx", "onnxruntime")) is None:
        pytest.skip(f"{runtime} is an extra; `make test-torch` runs this")
    source = clips.make_clip(tmp_path / "in.mp4", frames=10)
    folders = {name: tmp_path / name for name in ("home", "job", "tmp")}
    for folder in folders.values():
        folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # OpenVINO is quiet where it is
    environment |= {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"XDG_CACHE_HOME": str(folders["home"] / "cache"), "XDG_DATA_HOME": str(folders["home"] / "data")}
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=openat,creat,socket", "-o", str(trace)] if which("strace") else []
    command = [sys.executable, "-c", _QUIET, str(source), str(folders["job"]), runtime]
    subprocess.run([*strace, *command], env=environment, cwd=folders["home"], check=True, timeout=180)
    assert list(folders["home"].rglob("*")) == []
    seen = trace.read_text() if strace else ""  # shows also what the filter stops in processes that this one starts
    assert "socket(" not in seen
    opened = set(_OPENED.findall(seen))
    assert not [path for path in opened if not path.startswith((str(folders["job"]), "/dev/"))]


def test_what_loads_a_runtime_outside_the_engine_has_its_reports_switched_off_before() -> None:
    """The switches are thrown when the engine is imported, and too late when the runtime was imported already."""
    root = Path(__file__).parents[2]
    loading = re.compile(r"^\s*(?:import|from) (onnxruntime|openvino)\b", re.MULTILINE)
    files = [
        path for room in ("mediabroker", "providers", "benchmarks", "examples") for path in root.glob(f"{room}/**/*.py")
    ]
    loud = {path: found for path in files for found in loading.findall(path.read_text(encoding="utf-8"))}
    assert loud, "the benchmarks compare the engine with a bare onnxruntime"
    for path, runtime in loud.items():
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        check = (
            f"import sys, {module}; names = [*sys.modules].index; print(names('neuron_worker') < names('{runtime}'))"
        )
        told = subprocess.run([sys.executable, "-c", check], cwd=root, check=True, capture_output=True, timeout=60)
        assert told.stdout == b"True\n", module

"""One ffmpeg child: limited, heard, and never left behind. Fakes are real programs; the limits are real limits."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.media.ffmpeg.limits import ProcessLimits
from mediabroker.media.ffmpeg.process import build_input_options, run_ffmpeg
from mediabroker.media.ffmpeg.progress import Progress
from tests import clips

_PATTERN = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=600", "-f", "null", "-"]
_SLOW = ["-f", "lavfi", "-re", "-i", "testsrc=s=64x48:d=600", "-f", "null", "-"]


def _program(path: Path, body: str) -> Path:
    # The shell starts Python: a first line cannot name an interpreter whose path holds a space.
    starter = f"#!/bin/sh\n''':'\nexec {shlex.quote(sys.executable)} -I \"$0\" \"$@\"\n'''\n"
    path.write_text(f"{starter}import os, sys, time\n{body}\n")
    path.chmod(0o755)
    return path


def _code(call: Callable[[], object]) -> ErrorCode:
    with pytest.raises(MediaError) as caught:
        call()
    return caught.value.error.code


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def test_a_child_that_succeeds_reports_progress_to_the_end(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "a%d x:y.mp4", frames=30)
    options = [part for name, value in build_input_options("mov").items() for part in (f"-{name}", value)]
    seen: list[Progress] = []
    arguments = [*options, "-i", f"file:{source}", "-y", "out.mp4"]
    done = run_ffmpeg(arguments, binary=find_ffmpeg(), cwd=tmp_path, total_s=1.2, on_progress=seen.append)
    assert seen[-1] == done.progress
    assert done.progress.frames == 30
    assert done.progress.fraction == pytest.approx(1.0, abs=0.1)
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_X4_the_forced_demuxer_refuses_a_playlist_named_mp4(tmp_path: Path) -> None:
    target = clips.make_clip(tmp_path / "secret.ts")
    lure = clips.make_hls_as_mp4(tmp_path / "lure.mp4", target)
    options = [part for name, value in build_input_options("mov").items() for part in (f"-{name}", value)]
    arguments = [*options, "-i", f"file:{lure}", "-y", "out.mp4"]
    assert _code(lambda: run_ffmpeg(arguments, binary=find_ffmpeg(), cwd=tmp_path)) is ErrorCode.MEDIA_CORRUPT
    assert not (tmp_path / "out.mp4").exists()


def test_X3_the_child_opens_no_network_even_when_told_to(tmp_path: Path) -> None:
    options = ["-protocol_whitelist", "file,pipe", "-i", "http://127.0.0.1:9/x.mp4", "-f", "null", "-"]
    with pytest.raises(MediaError) as caught:
        run_ffmpeg(options, binary=find_ffmpeg(), cwd=tmp_path)
    assert "not on whitelist" in str(caught.value.error.raw)


def test_cancel_ends_the_child_within_a_second(tmp_path: Path) -> None:
    cancel = threading.Event()
    started = time.monotonic()

    def on_progress(progress: Progress) -> None:
        cancel.set()

    call = lambda: run_ffmpeg(_SLOW, binary=find_ffmpeg(), cwd=tmp_path, cancel=cancel, on_progress=on_progress)  # noqa: E731
    assert _code(call) is ErrorCode.CANCELLED
    assert time.monotonic() - started < 5


def test_what_the_callback_raises_ends_the_child_and_reaches_the_caller(tmp_path: Path) -> None:
    def on_progress(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_ffmpeg(_SLOW, binary=find_ffmpeg(), cwd=tmp_path, on_progress=on_progress)


def test_W8_a_child_that_hangs_is_killed_and_reported(tmp_path: Path) -> None:
    body = "open('pid','w').write(str(os.getpid()))\nprint('frame=1\\nprogress=continue', flush=True)\ntime.sleep(600)"
    hanging = _program(tmp_path / "ffmpeg", body)
    limits = ProcessLimits(stall_s=0.5)
    assert _code(lambda: run_ffmpeg([], binary=hanging, cwd=tmp_path, limits=limits)) is ErrorCode.TIMEOUT
    assert _until(lambda: not _alive(int((tmp_path / "pid").read_text())), 2)


def test_W8_repeated_lines_without_movement_are_no_progress(tmp_path: Path) -> None:
    body = "while True:\n  print('frame=1\\nout_time_us=5\\nprogress=continue', flush=True)\n  time.sleep(0.05)"
    babbling = _program(tmp_path / "ffmpeg", body)
    limits = ProcessLimits(stall_s=0.5)
    assert _code(lambda: run_ffmpeg([], binary=babbling, cwd=tmp_path, limits=limits)) is ErrorCode.TIMEOUT


def test_W8_a_stopped_child_is_killed_too(tmp_path: Path) -> None:
    body = (
        "import signal\nopen('pid','w').write(str(os.getpid()))\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(600)"
    )
    stopped = _program(tmp_path / "ffmpeg", body)
    limits = ProcessLimits(stall_s=0.5)
    assert _code(lambda: run_ffmpeg([], binary=stopped, cwd=tmp_path, limits=limits)) is ErrorCode.TIMEOUT
    assert _until(lambda: not _alive(int((tmp_path / "pid").read_text())), 2)


def test_W9_a_flood_of_messages_neither_blocks_nor_fills_memory(tmp_path: Path) -> None:
    body = "for _ in range(160): sys.stderr.write('x' * 65536 + '\\n')\nprint('frame=3\\nprogress=end')"
    flooding = _program(tmp_path / "ffmpeg", body)
    done = run_ffmpeg([], binary=flooding, cwd=tmp_path, limits=ProcessLimits(stderr_bytes=4096))
    assert len(done.stderr) <= 4096
    assert done.progress.frames == 3


def test_X12_processor_time_file_size_and_wall_time_are_limited(tmp_path: Path) -> None:
    binary = find_ffmpeg()
    raw = ["-f", "lavfi", "-i", "testsrc=s=320x240:d=60", "-f", "rawvideo", "big.raw"]
    spinning = _program(tmp_path / "spin", "while True: pass")
    cases = [
        (spinning, [], ProcessLimits(cpu_s=1), ErrorCode.OUT_OF_RESOURCES),
        (binary, raw, ProcessLimits(file_size_bytes=200_000), ErrorCode.OUT_OF_RESOURCES),
        (binary, _SLOW, ProcessLimits(wall_s=0.3), ErrorCode.TIMEOUT),
    ]
    for program, arguments, limits, code in cases:
        found = _code(lambda: run_ffmpeg(arguments, binary=program, cwd=tmp_path, limits=limits))  # noqa: B023
        assert found is code, limits
    assert (tmp_path / "big.raw").stat().st_size <= 200_000


def test_W10_memory_is_limited(tmp_path: Path) -> None:
    greedy = _program(tmp_path / "ffmpeg", "x = bytearray(1 << 30)")
    with pytest.raises(MediaError):
        run_ffmpeg([], binary=greedy, cwd=tmp_path, limits=ProcessLimits(memory_bytes=256 << 20))


def test_W10_a_child_killed_from_outside_is_reported_as_out_of_resources(tmp_path: Path) -> None:
    killed = _program(tmp_path / "ffmpeg", "import signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert _code(lambda: run_ffmpeg([], binary=killed, cwd=tmp_path)) is ErrorCode.OUT_OF_RESOURCES


def test_X1_the_child_sees_no_secret_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    nosy = _program(tmp_path / "ffmpeg", "open('env','w').write(repr(dict(os.environ)))")
    run_ffmpeg([], binary=nosy, cwd=tmp_path)
    assert "canary" not in (tmp_path / "env").read_text()


def test_a_binary_that_does_not_exist_is_a_typed_error(tmp_path: Path) -> None:
    assert _code(lambda: run_ffmpeg([], binary=tmp_path / "no", cwd=tmp_path)) is ErrorCode.UNKNOWN
    assert _code(lambda: run_ffmpeg([], binary=find_ffmpeg(), cwd=tmp_path / "no")) is ErrorCode.OUTPUT_DENIED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_W15_ffmpeg_dies_with_its_guardian_and_the_caller_is_told(tmp_path: Path) -> None:
    body = (
        "print('progress=continue', flush=True)\nopen('pid','w').write(f'{os.getpid()} {os.getppid()}')\n"
        "time.sleep(0.1)\nprint('progress=continue', flush=True)\ntime.sleep(600)"
    )
    program = _program(tmp_path / "ffmpeg", body)

    def kill_guardian(progress: Progress) -> None:
        if (tmp_path / "pid").exists():
            os.kill(int((tmp_path / "pid").read_text().split()[1]), signal.SIGKILL)

    call = lambda: run_ffmpeg([], binary=program, cwd=tmp_path, on_progress=kill_guardian)  # noqa: E731
    assert _code(call) is ErrorCode.OUT_OF_RESOURCES
    assert _until(lambda: not _alive(int((tmp_path / "pid").read_text().split()[0])), 2)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("from_thread", [False, True])
def test_W15_ffmpeg_dies_with_its_worker_and_outlives_the_thread_that_started_it(
    tmp_path: Path, from_thread: bool
) -> None:
    """The worker starts a sleeping child, from its main thread or from another, and is killed with SIGKILL."""
    _program(
        tmp_path / "ffmpeg", "open('pid.new','w').write(str(os.getpid()))\nos.rename('pid.new','pid')\ntime.sleep(600)"
    )
    call = f"run_ffmpeg([], binary=Path({str(tmp_path / 'ffmpeg')!r}), cwd=Path({str(tmp_path)!r}))"
    if from_thread:
        call = f"threading.Thread(target=lambda: {call}).start(); time.sleep(600)"
    code = "import threading, time\nfrom pathlib import Path\nfrom mediabroker.media.ffmpeg.process import run_ffmpeg\n"
    code += call
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    try:
        assert _until((tmp_path / "pid").exists, 20)
        pid = int((tmp_path / "pid").read_text())
        assert _alive(pid)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=10)
    assert _until(lambda: not _alive(pid), 2)
    assert os.getpgid(0) != pid

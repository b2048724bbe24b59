"""Whatever is killed, the job goes on or its end is told: real processes, real signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode
from mediabroker.jobs import MediaInfo
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from tests.unit.local.rig import Workshop

_SUBMIT = """
import os, signal
from mediabroker.jobs import Transcode
from mediabroker.testing.driver import Driver, new_context
from mediabroker_local import LocalProvider
driver = Driver(LocalProvider('local', {'root': root, 'ffmpeg': folder + '/gated-ffmpeg'}))
spec = Transcode(input=clip, output=folder + '/out.mp4')
member = driver.run(driver.provider.submit(spec, None, new_context(spec, token='left'))).members[0]
print(member.model_dump_json(), flush=True)
"""
_RUNNER, _WORKER, _FFMPEG = "mediabroker_local.processes.runner", "mediabroker_local.processes.worker", "gated-ffmpeg"


@pytest.mark.parametrize("death", ["os.kill(0, signal.SIGINT)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_job_survives_the_death_of_its_submitter(shop: Workshop, death: str) -> None:
    driver = shop.gated()
    submitter = shop.python(_SUBMIT + death)
    assert submitter.returncode < 0, submitter.stderr
    member = shop.submit(driver, shop.transcode(), token="left")
    assert member.model_dump_json() == submitter.stdout.strip()
    shop.wait_at_gate()
    shop.open_gate()
    assert shop.wait(member).state is JobState.SUCCEEDED


def test_job_runs_whatever_signals_its_submitter_ignores(shop: Workshop) -> None:
    shop.gated()
    careless = "import signal\nfor number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):\n"
    careless += (
        "    signal.signal(number, signal.SIG_IGN)\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
    )
    submitter = shop.python(careless + _SUBMIT)
    assert submitter.returncode == 0, submitter.stderr
    driver = shop.gated()
    member = shop.submit(driver, shop.transcode(), token="left")
    shop.wait_at_gate()
    assert shop.cancel(member) is CancelOutcome.REQUESTED
    assert shop.wait(member).state is JobState.CANCELLED


def test_detached_processes_keep_nothing_of_the_submitter(shop: Workshop) -> None:
    shop.gated()
    read, write = os.pipe()
    os.set_inheritable(write, True)
    shop.submit(shop.gated(), shop.transcode())
    os.close(write)
    assert os.read(read, 1) == b""  # at once: nobody else holds the other end
    os.close(read)
    shop.wait_at_gate()
    (runner,), (worker,) = shop.pids(_RUNNER), shop.pids(_WORKER)
    assert os.getsid(runner) != os.getsid(0)
    assert os.getpgid(worker) == worker
    for pid in (runner, worker):
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")


def test_killed_worker_is_replaced_and_its_children_die(shop: Workshop) -> None:
    member = shop.submit(shop.gated(), shop.transcode())
    orphan = shop.wait_at_gate()
    shop.kill(_WORKER)
    shop.wait_at_gate(2)
    assert orphan not in shop.pids(_FFMPEG)
    seen = shop.look(member)
    assert (seen.state, seen.vendor_attempt) == (JobState.RUNNING, 1)
    shop.open_gate()
    assert shop.wait(member).state is JobState.SUCCEEDED
    assert shop.products() == {"out.mp4"}


def test_worker_that_always_dies_fails_the_job_with_its_last_words(shop: Workshop) -> None:
    driver = shop.gated(max_worker_attempts=2)
    member = shop.submit(driver, shop.transcode())
    for attempt in (1, 2):
        shop.wait_at_gate(attempt)
        for pid in shop.pids(_WORKER):
            os.kill(pid, signal.SIGSEGV)
        shop.wait_gone(_FFMPEG)
    seen = shop.wait(member)
    assert seen.state is JobState.FAILED
    assert seen.error is not None
    assert (seen.error.code, seen.error.retryable) == (ErrorCode.WORKER_CRASHED, True)
    assert "signal 11, 2 times" in seen.error.message
    assert not (shop.folder / "out.mp4").exists()
    assert shop.wait(shop.submit(driver, MediaInfo(input=shop.clip))).state is JobState.SUCCEEDED


def test_terminated_worker_goes_on_without_being_told_to_stop(shop: Workshop) -> None:
    member = shop.submit(shop.gated(), shop.transcode())
    shop.wait_at_gate()
    for pid in shop.pids(_WORKER):
        os.kill(pid, signal.SIGTERM)
    shop.wait_gone(_FFMPEG)
    shop.open_gate()
    seen = shop.wait(member)
    assert (seen.state, seen.vendor_attempt) == (JobState.SUCCEEDED, 1)


def test_killed_supervisor_leaves_its_worker_and_the_order_alone(shop: Workshop) -> None:
    driver = shop.gated(max_parallel=1)
    first, second = (shop.submit(driver, shop.transcode(f"{name}.mp4")) for name in ("one", "two"))
    shop.wait_at_gate()
    (worker,) = shop.pids(_WORKER)
    shop.kill(_RUNNER)
    assert shop.look(first).state is JobState.RUNNING
    assert shop.look(second).state is JobState.QUEUED
    assert not shop.pids(_RUNNER)  # the slot is the worker's now
    assert shop.pids(_WORKER) == [worker]
    shop.open_gate()
    assert shop.wait(first).vendor_attempt == 0
    assert shop.wait(second).state is JobState.SUCCEEDED


def test_job_is_healed_by_a_question_when_everything_was_killed(shop: Workshop) -> None:
    shop.gated()
    submitter = shop.python(_SUBMIT + "os.kill(os.getpid(), signal.SIGKILL)")
    assert submitter.returncode == -signal.SIGKILL
    member = shop.submit(shop.gated(), shop.transcode(), token="left")
    shop.wait_at_gate()
    shop.kill(_RUNNER, _WORKER, _FFMPEG)
    shop.open_gate()
    third = shop.gated()
    seen = shop.wait(member, driver=third)
    assert (seen.state, seen.vendor_attempt) == (JobState.SUCCEEDED, 1)


def test_job_that_kills_everything_time_and_again_fails(shop: Workshop) -> None:
    member = shop.submit(shop.gated(max_worker_attempts=1), shop.transcode())
    shop.wait_at_gate()
    shop.kill(_RUNNER, _WORKER, _FFMPEG)
    seen = shop.wait(member)
    assert seen.error is not None
    assert seen.error.code is ErrorCode.WORKER_CRASHED
    assert "vanished" in seen.error.message


def test_accepted_job_runs_although_nobody_could_be_started_for_it(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = shop.driver()
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", "/nonexistent/python")
        member = shop.submit(driver, MediaInfo(input=shop.clip))
        assert shop.look(member).state is JobState.QUEUED
    assert shop.wait(member).state is JobState.SUCCEEDED


def test_output_larger_than_the_disk_gives_fails_without_a_trace(shop: Workshop) -> None:
    driver = shop.driver(process_limits={"file_size_bytes": 3000})
    seen = shop.wait(shop.submit(driver, shop.transcode()))
    assert seen.state is JobState.FAILED
    assert seen.error is not None
    assert seen.error.code is ErrorCode.OUT_OF_RESOURCES
    assert not shop.products()

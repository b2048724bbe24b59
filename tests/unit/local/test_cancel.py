"""Honest answers to a cancel, and nothing left running or half-written."""

from __future__ import annotations

import os
import signal

from mediabroker.errors import ErrorCode
from mediabroker.jobs import MediaInfo
from mediabroker.spi import CancelOutcome, Observation
from mediabroker.states import JobState
from tests.unit.local.rig import Workshop

_RUNNER, _WORKER, _FFMPEG = "mediabroker_local.processes.runner", "mediabroker_local.processes.worker", "gated-ffmpeg"


def _assert_cancelled(shop: Workshop, seen: Observation) -> None:
    assert seen.state is JobState.CANCELLED
    assert seen.error is not None
    assert seen.error.code is ErrorCode.CANCELLED
    assert not shop.products()


def test_queued_job_is_cancelled_at_once_and_never_runs(shop: Workshop) -> None:
    driver = shop.gated(max_parallel=1)
    first, second = (shop.submit(driver, shop.transcode(f"{name}.mp4")) for name in ("one", "two"))
    shop.wait_at_gate()
    assert shop.cancel(second) is CancelOutcome.CANCELLED
    assert shop.look(second).state is JobState.CANCELLED
    assert shop.cancel(second) is CancelOutcome.CANCELLED
    shop.open_gate()
    assert shop.wait(first).state is JobState.SUCCEEDED
    shop.wait_gone(_RUNNER)
    seen = shop.look(second)
    assert (seen.state, seen.raw["attempt"]) == (JobState.CANCELLED, 0)  # type: ignore[index,call-overload]  # JSON
    assert not (shop.folder / "two.mp4").exists()


def test_running_job_stops_with_all_its_processes(shop: Workshop) -> None:
    member = shop.submit(shop.gated(), shop.transcode())
    shop.wait_at_gate()
    stranger = shop.driver()
    assert shop.cancel(member, stranger) is CancelOutcome.REQUESTED
    _assert_cancelled(shop, shop.wait(member))
    shop.wait_gone(_FFMPEG)
    shop.wait_gone(_WORKER)
    assert shop.cancel(member, stranger) is CancelOutcome.CANCELLED


def test_job_can_be_cancelled_by_another_process(shop: Workshop) -> None:
    member = shop.submit(shop.gated(), shop.transcode())
    shop.wait_at_gate()
    other = shop.python(
        "from mediabroker.spi import Member\n"
        "from mediabroker.testing.driver import Driver\n"
        "from mediabroker_local import LocalProvider\n"
        "driver = Driver(LocalProvider('local', {'root': root}))\n"
        f"print(driver.run(driver.provider.cancel([Member(role='run', native_id={member.native_id!r})])))\n"
    )
    assert other.stdout.strip() == "REQUESTED", other.stderr
    _assert_cancelled(shop, shop.wait(member))


def test_worker_that_does_not_listen_is_killed_after_the_grace_period(shop: Workshop) -> None:
    member = shop.submit(shop.gated(cancel_grace_s=0.3), shop.transcode())
    shop.wait_at_gate()
    (worker,) = shop.pids(_WORKER)
    os.kill(worker, signal.SIGSTOP)
    assert shop.cancel(member) is CancelOutcome.REQUESTED
    _assert_cancelled(shop, shop.wait(member))
    shop.wait_gone(_FFMPEG)


def test_worker_without_supervisor_stops_by_itself(shop: Workshop) -> None:
    member = shop.submit(shop.gated(), shop.transcode())
    shop.wait_at_gate()
    shop.kill(_RUNNER)
    assert shop.cancel(member) is CancelOutcome.REQUESTED
    _assert_cancelled(shop, shop.wait(member))
    shop.wait_gone(_WORKER)


def test_job_of_dead_processes_is_cancelled_at_once(shop: Workshop) -> None:
    member = shop.submit(shop.gated(), shop.transcode())
    shop.wait_at_gate()
    shop.kill(_RUNNER, _WORKER, _FFMPEG)
    assert shop.cancel(member) is CancelOutcome.CANCELLED
    _assert_cancelled(shop, shop.look(member))
    assert not shop.pids(_RUNNER)


def test_finished_job_keeps_its_result(shop: Workshop) -> None:
    member = shop.submit(shop.driver(), MediaInfo(input=shop.clip))
    shop.wait(member)
    assert shop.cancel(member) is CancelOutcome.TOO_LATE
    assert shop.look(member).state is JobState.SUCCEEDED

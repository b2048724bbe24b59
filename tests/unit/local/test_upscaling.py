"""Super-resolution through the real engine: to its end, over a kill, and cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode
from mediabroker.jobs import SuperResolution
from mediabroker.media.probe import probe
from mediabroker.results import VideoResult
from mediabroker.spi import CancelOutcome, Member, Observation
from mediabroker.states import JobState
from tests.clips import make_clip
from tests.unit.local.rig import Workshop, until

_WORKER, _ENGINE = "mediabroker_local.processes.worker", "neuron_worker run"
_FRAMES = 150


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "long.mp4", width=160, height=120, frames=_FRAMES)


def _upscale(shop: Workshop, clip: Path, *, debug: bool = False) -> SuperResolution:
    return SuperResolution(input=clip, output=shop.folder / "large.mp4", scale=2, slice_s=0.5, debug=debug)


def _wait_for_frames(shop: Workshop, member: Member) -> Observation:
    def underway() -> Observation | None:
        seen = shop.look(member)
        assert seen.state not in (JobState.FAILED, JobState.SUCCEEDED), seen
        return seen if seen.frames and seen.frames.done else None

    seen = until(underway, "the first frames", timeout_s=60)
    assert isinstance(seen, Observation)
    return seen


def test_upscaled_video_is_published_frame_for_frame(shop: Workshop) -> None:
    member = shop.submit(shop.driver(), _upscale(shop, shop.clip))
    seen = shop.wait(member)
    assert seen.state is JobState.SUCCEEDED, seen.error
    assert isinstance(seen.result, VideoResult)
    assert (seen.result.width_px, seen.result.height_px, seen.result.frame_count) == (128, 96, 12)
    assert seen.result.outputs[0].uri.path == shop.folder / "large.mp4"
    assert probe(shop.folder / "large.mp4").video[0].width_px == 128
    assert seen.frames is not None
    assert (seen.frames.done, seen.frames.total) == (12, 12)
    assert shop.products() == {"large.mp4"}
    assert not (shop.root / "jobs" / member.native_id / "work").exists()


def test_killed_upscaling_goes_on_from_its_finished_slices(shop: Workshop, long_clip: Path) -> None:
    member = shop.submit(shop.driver(), _upscale(shop, long_clip, debug=True))
    work = shop.root / "jobs" / member.native_id / "work"
    (first,) = until(lambda: list(work.glob("**/*00000*.json"))[:1], "a finished slice", timeout_s=60)
    made_ns = first.stat().st_mtime_ns
    assert shop.look(member).phase == "upscaling"
    shop.kill(_WORKER)
    seen = shop.wait(member)
    assert (seen.state, seen.vendor_attempt) == (JobState.SUCCEEDED, 1), seen.error
    assert isinstance(seen.result, VideoResult)
    assert seen.result.frame_count == _FRAMES
    assert first.stat().st_mtime_ns == made_ns


def test_cancelled_upscaling_leaves_no_process_and_no_file(shop: Workshop, long_clip: Path) -> None:
    member = shop.submit(shop.driver(), _upscale(shop, long_clip))
    _wait_for_frames(shop, member)
    assert shop.cancel(member) is CancelOutcome.REQUESTED
    seen = shop.wait(member)
    assert seen.state is JobState.CANCELLED, seen.error
    assert not shop.products()
    shop.wait_gone(_WORKER)
    shop.wait_gone("neuron_worker")


def test_engine_dies_with_its_worker(shop: Workshop, long_clip: Path) -> None:
    member = shop.submit(shop.driver(max_worker_attempts=1), _upscale(shop, long_clip))
    _wait_for_frames(shop, member)
    shop.kill("mediabroker_local.processes.runner", _WORKER)
    shop.wait_gone("neuron_worker", timeout_s=2)
    assert shop.wait(member).state is JobState.FAILED
    assert not shop.products()


def test_refusal_of_the_engine_is_the_jobs_error(shop: Workshop) -> None:
    spec = SuperResolution(input=shop.clip, output=shop.folder / "large.mp4", model="unheard-of")
    seen = shop.wait(shop.submit(shop.driver(), spec))
    assert seen.state is JobState.FAILED
    assert seen.error is not None
    assert seen.error.code is ErrorCode.UNSUPPORTED
    assert "unheard-of" in seen.error.message
    assert seen.vendor_attempt == 0

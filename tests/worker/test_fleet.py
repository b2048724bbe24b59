"""One job on many machines: whatever order, whatever is lost, whoever comes twice, one right output."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from mediabroker.errors import ConfigurationError, ErrorCode, InvalidJobError, MediaError
from mediabroker.results import VideoResult
from mediabroker.storage import Stores
from neuron_worker.failures import Exit, InterruptedWorkError
from neuron_worker.fleet.slices import make_slices
from neuron_worker.fleet.tasks import open_worker
from tests import clips
from tests.worker.fleet import SharedJob, upscale_directly
from tests.worker.looking import frame_digests, frame_times, packets


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slices of ten frames, with sound."""
    return clips.make_clip(tmp_path_factory.mktemp("source") / "in.mp4", frames=30)


@pytest.fixture(scope="module")
def direct(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return upscale_directly(source, tmp_path_factory.mktemp("direct") / "job")


@pytest.fixture
def job(source: Path, tmp_path: Path) -> SharedJob:
    return SharedJob(tmp_path, source)


def make(folder: Path, source: Path, **fields: Any) -> SharedJob:
    return SharedJob(folder, source, **fields)


def code_of(error: pytest.ExceptionInfo[MediaError]) -> ErrorCode:
    return error.value.error.code


def test_slices_in_any_order_and_a_merge_give_what_one_machine_gives(job: SharedJob, direct: Path) -> None:
    job.run_all()
    assert frame_digests(job.output) == frame_digests(direct)
    assert frame_times(job.output) == frame_times(direct)
    assert packets(job.output, "audio") == packets(direct, "audio")
    result = VideoResult.model_validate(job.read("result.json")["result"])
    assert (result.frame_count, result.width_px, result.frame_rate) == (30, 128, "25/1")
    assert result.outputs[0].size_bytes == job.output.stat().st_size
    assert job.told[-1]["result"] == result.model_dump(mode="json")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_more_or_fewer_workers_than_slices_make_every_slice_once(
    count: int, source: Path, direct: Path, tmp_path: Path
) -> None:
    job = make(tmp_path, source, slice_count=count, debug=True)
    job.run_all()
    assert frame_digests(job.output) == frame_digests(direct)
    assert len([name for name in job.names() if name.endswith(".mp4")]) == 3


def test_a_single_worker_does_it_all_and_finds_what_was_done_before(source: Path, direct: Path, tmp_path: Path) -> None:
    job = make(tmp_path, source, slice_count=1, debug=True)
    stop = Event()

    def stop_after_the_first(event: str, **_: Any) -> None:
        stop.set()

    job._tell = stop_after_the_first  # type: ignore[method-assign]  # told of the plan
    with pytest.raises(InterruptedWorkError):
        job.run("slice", 0, stop=stop)
    del job._tell
    job.run("slice", 0)
    finished = {name: (job.wip / name).stat().st_mtime_ns for name in job.names() if name.startswith("slice")}
    job.run("single")
    assert finished.items() <= {name: (job.wip / name).stat().st_mtime_ns for name in job.names()}.items()
    assert frame_digests(job.output) == frame_digests(direct)
    assert job.told[-1]["result"]["elapsed_s"] > 0


def test_a_finished_slice_is_not_done_again_and_needs_no_source(job: SharedJob, tmp_path: Path) -> None:
    moved = clips.make_clip(tmp_path / "own.mp4", frames=30)
    job = make(tmp_path / "job", moved)
    job.run("slice", 1)
    before = job.names()
    moved.unlink()
    job.run("slice", 1, AWS_BATCH_JOB_ID="another")
    assert job.names() == before
    assert job.told[-1] == {"event": "slice", "index": 1, "slices": 1, "made": 0}


def test_the_first_plan_counts_for_all(job: SharedJob) -> None:
    job.run("slice", 0)
    plan = job.read("plan.json")
    job.run("slice", 1)
    job.run("slice", 2)
    assert job.read("plan.json") == plan
    assert {job.read(f"slice-00000{index}.json")["key"] for index in range(3)} == {plan["key"]}


def test_a_plan_that_came_second_is_as_if_it_had_never_been_made(job: SharedJob) -> None:
    job.run("slice", 0)
    first = {**job.read("plan.json"), "variant": "int8"}  # another machine might choose so
    job.write("plan.json", first)
    with closing(Stores()) as stores:
        worker = open_worker(job.order("slice", 1), stores, lambda progress: None, Event())
        with worker.open(None) as opened:  # it looked before the first was stored
            assert opened.plan.model_dump(mode="json") == first


def test_a_plan_of_another_release_is_not_obeyed(job: SharedJob) -> None:
    job.run("slice", 0)
    job.write("plan.json", {**job.read("plan.json"), "key": "0" * 64})
    with pytest.raises(ConfigurationError, match="another release"):
        job.run("slice", 1)


@pytest.mark.parametrize("task", ["slice", "merge", "single"])
def test_a_source_that_was_replaced_is_said_so_and_not_mixed_in(task: str, tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=30)
    job = make(tmp_path / "job", source)
    if task == "merge":
        for index in range(3):
            job.run("slice", index)
    source.unlink()
    clips.make_clip(source, frames=20)
    with pytest.raises(MediaError, match="replaced") as caught:
        job.run(task, 0)
    assert code_of(caught) is ErrorCode.INPUT_CHANGED
    left = job.read("slice-000000.error.json" if task == "slice" else f"{task}.error.json")
    assert (left["exit_code"], left["error"]["code"], left["error"]["blame"]) == (
        Exit.BAD_INPUT,
        "INPUT_CHANGED",
        "caller",
    )
    assert not job.output.exists()


def test_what_is_wrong_with_the_source_is_told_by_its_own_name(tmp_path: Path) -> None:
    job = make(tmp_path / "job", clips.make_text(tmp_path / "a text.mp4"))
    with pytest.raises(MediaError, match=r"a%20text\.mp4 is text") as caught:
        job.run("slice", 0)
    assert code_of(caught) is ErrorCode.MEDIA_UNSUPPORTED
    assert "scratch" not in str(caught.value)


@pytest.mark.parametrize("harm", ["missing", "record missing", "changed", "of another plan"])
def test_a_merge_refuses_slices_that_are_not_what_the_plan_asks_for(harm: str, job: SharedJob) -> None:
    for index in range(3):
        job.run("slice", index)
    video = next(job.wip.glob("slice-000001-*.mp4"))
    if harm == "missing":
        video.unlink()
    elif harm == "record missing":
        (job.wip / "slice-000001.json").unlink()
    elif harm == "changed":
        video.write_bytes(video.read_bytes()[:-1] + b"?")
    else:
        job.write("slice-000001.json", {**job.read("slice-000001.json"), "key": "0" * 64})
    with pytest.raises(MediaError, match=r"slice.000001|slice 1"):
        job.run("merge")
    assert not job.output.exists()
    assert "result.json" not in job.names()


def test_an_output_that_is_there_is_not_replaced_unless_asked(source: Path, tmp_path: Path) -> None:
    for overwrite in (False, True):
        job = make(tmp_path / str(overwrite), source, slice_count=1, overwrite=overwrite)
        job.output.write_bytes(b"somebody's")
        if overwrite:
            job.run("single")
            assert job.output.stat().st_size > 1000
            continue
        with pytest.raises(MediaError) as caught:
            job.run("single")
        assert code_of(caught) is ErrorCode.OUTPUT_EXISTS
        assert job.output.read_bytes() == b"somebody's"


def test_a_merge_that_was_lost_after_it_published_knows_its_own_output(job: SharedJob) -> None:
    job.manifest["job"]["debug"] = True
    job.write("manifest.json", job.manifest)
    job.run_all()
    result, written = job.read("result.json"), job.output.stat().st_mtime_ns
    (job.wip / "result.json").unlink()
    job.run("merge")
    assert job.read("result.json") == result
    assert job.output.stat().st_mtime_ns == written
    (job.wip / "result.json").unlink()
    (job.wip / "merged.json").unlink()
    with pytest.raises(MediaError, match="exists"):
        job.run("merge")


def test_what_led_to_the_output_goes_away_unless_debug(source: Path, tmp_path: Path) -> None:
    job = make(tmp_path / "plain", source)
    job.run_all()
    assert job.names() == ["manifest.json", "result.json"]
    job.run("slice", 0)
    job.run("merge")
    assert job.names() == ["manifest.json", "result.json"]
    kept = make(tmp_path / "debug", source, debug=True)
    kept.run_all()
    assert {"plan.json", "merged.json", "slice-000002.json", "slice-000002.claim"} <= set(kept.names())
    assert len(list(kept.wip.glob("*.mp4"))) == 3


def test_two_workers_on_one_slice_have_one_effect(job: SharedJob) -> None:
    threads = [
        Thread(
            target=job.run, args=("slice", 1), kwargs={"AWS_BATCH_JOB_ID": name, "MEDIABROKER_CLAIM_PATIENCE_S": "1"}
        )
        for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(job.wip.glob("slice-000001-*.mp4"))) == 1
    assert job.read("slice-000001.json")["frames"] == 10


def test_a_slice_that_came_second_leaves_no_orphan(job: SharedJob) -> None:
    job.run("slice", 1)
    first = {**job.read("slice-000001.json"), "index": 0, "sha256": "0" * 64}
    with closing(Stores()) as stores:
        order = job.order("slice", 0)
        worker = open_worker(order, stores, lambda progress: job.write("slice-000000.json", first), Event())
        with worker.open(worker.plan()) as opened:
            make_slices(worker, opened, [0])
    assert job.read("slice-000000.json") == first
    assert list(job.wip.glob("slice-000000-*.mp4")) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"MEDIABROKER_TASK": "split"}, "MEDIABROKER_TASK is 'split'"),
        ({"MEDIABROKER_MANIFEST": ""}, "MEDIABROKER_MANIFEST is not set"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": ""}, "AWS_BATCH_JOB_ARRAY_INDEX is ''"),
        ({"MEDIABROKER_THREADS": "-1"}, "MEDIABROKER_THREADS"),
        ({"MEDIABROKER_CLAIM_PATIENCE_S": "0"}, "whole number from 1 on"),
    ],
)
def test_a_wrong_environment_is_told_by_the_variable(changes: dict[str, str], named: str, job: SharedJob) -> None:
    with pytest.raises(InvalidJobError, match=named):
        job.order("slice", 0, **changes)


@pytest.mark.parametrize(
    ("where", "changes", "named"),
    [
        ("job", {"scale": 3}, "job.scale"),
        ("job", {"sharpen": True}, "job.sharpen"),
        ("manifest", {"version": 2}, "version"),
        ("manifest", {"slice_count": 0}, "slice_count"),
    ],
)
def test_a_wrong_manifest_is_told_by_the_field(where: str, changes: dict[str, Any], named: str, job: SharedJob) -> None:
    (job.manifest["job"] if where == "job" else job.manifest).update(changes)
    job.write("manifest.json", job.manifest)
    with pytest.raises(InvalidJobError, match=named):
        job.run("slice", 0)


def test_a_worker_outside_the_array_is_refused(job: SharedJob) -> None:
    with pytest.raises(InvalidJobError, match="knows 3 workers"):
        job.run("slice", 3)

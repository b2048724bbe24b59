"""The worker as a process: JSON lines, exit codes, and what survives a signal at any moment."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mediabroker.errors import MediaError
from mediabroker.results import VideoResult
from neuron_worker.__main__ import _work_name
from neuron_worker.document import JobDocument
from neuron_worker.failures import DuplicateWorkError, Exit, InterruptedWorkError, exit_code_of
from neuron_worker.job import Job
from neuron_worker.video.pipeline import make_slice, merge_slices, plan_job, upscale_video
from neuron_worker.video.plan import Plan
from neuron_worker.workspace import claim, claim_folder, write_record
from tests import clips
from tests.worker.looking import frame_digests

Describe = Callable[..., JobDocument]
_SLICE_S = 0.4
_WAIT_S = 60.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video long enough to be caught in the middle of: 6 slices."""
    return clips.make_clip(tmp_path_factory.mktemp("source") / "in.mp4", width=192, height=108, frames=60)


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The digests of the frames that an uninterrupted run gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    output = folder / "out.mp4"
    document = JobDocument(input=str(source), output=str(output), work_dir=folder / "work", slice_s=_SLICE_S, threads=2)
    upscale_video(document, lambda progress: None, Event())
    return frame_digests(output)


def start(document: JobDocument, folder: Path, *, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    path = folder / "job.json"
    path.write_text(document.model_dump_json())

    restrict = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes},) * 2)" if limit_bytes else "pass"
    program = f"import resource, sys; {restrict}; from neuron_worker.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "run", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    out, err = process.communicate(timeout=_WAIT_S)
    assert "Traceback" not in err, err
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def wait_for_slices(document: JobDocument, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while len(list(document.work_dir.glob("*/0*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_run_tells_plan_progress_and_result_and_exits_zero(source: Path, tmp_path: Path, describe: Describe) -> None:
    document = describe(source, slice_s=_SLICE_S)
    code, events = finish(start(document, tmp_path))
    assert code == Exit.OK
    assert {name: events[0][name] for name in ("event", "slices", "frames")} == {
        "event": "plan",
        "slices": 6,
        "frames": 60,
    }
    assert events[0]["runtime"] in ("onnx", "openvino")
    progress = [each for each in events if each["event"] == "progress"]
    assert progress[-1]["frames_done"] == progress[-1]["frames_total"] == 60
    assert [each["frames_done"] for each in progress] == sorted(each["frames_done"] for each in progress)
    result = VideoResult.model_validate(events[-1]["result"])
    assert (result.frame_count, result.width_px, result.height_px) == (60, 384, 216)
    assert result.outputs[0].size_bytes == (tmp_path / "out.mp4").stat().st_size


def test_failure_is_told_as_an_event_and_an_exit_code(tmp_path: Path, describe: Describe) -> None:
    code, events = finish(start(describe(clips.make_text(tmp_path / "in.mp4")), tmp_path))
    assert code == Exit.BAD_INPUT
    assert events[-1]["error"]["code"] == "MEDIA_UNSUPPORTED"


def upscaled(
    source: Path, output: Path | str, *options: str, cwd: Path | None = None
) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "neuron_worker", "upscale", str(source), str(output), *options]
    return finish(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd))


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """What an interrupted `upscale` to `out.mp4` has left in its work folder."""
    folder = tmp_path / _work_name(tmp_path / "out.mp4")
    folder.mkdir()
    (folder / "slice").write_text("made with effort")
    return folder / "slice"


@pytest.mark.parametrize("name", ["in.mp4", "missing.mp4"])
def test_second_upscale_to_the_same_output_is_a_duplicate_and_touches_nothing(
    name: str, begun: Path, tmp_path: Path
) -> None:
    clips.make_one_frame(tmp_path / "in.mp4")
    with claim_folder(begun.parent, "it"):
        code, events = upscaled(tmp_path / name, tmp_path / "out.mp4")
        assert (code, events[-1]["error"]["provider_code"]) == (Exit.DUPLICATE, "duplicate")
        assert sorted(path.name for path in begun.parent.iterdir()) == ["folder.lock", "slice"]
    assert not (tmp_path / "out.mp4").exists()


def test_upscale_whose_work_folder_is_a_link_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    source, users = clips.make_one_frame(tmp_path / "in.mp4"), tmp_path / "users"
    users.mkdir()
    (users / "film.mp4").touch()
    (tmp_path / _work_name(tmp_path / "out.mp4")).symlink_to(users)
    code, events = upscaled(source, tmp_path / "out.mp4")
    assert (code, events[-1]["error"]["code"]) == (Exit.OUTPUT, "OUTPUT_DENIED")
    assert "it is a link" in events[-1]["error"]["message"]
    assert [path.name for path in users.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("in.mp4", ["--model", "fasst"], Exit.INVALID),
        ("in.mp4", ["--scale", "3"], Exit.INVALID),
        ("missing.mp4", [], Exit.BAD_INPUT),
    ],
)
def test_refused_upscale_keeps_the_work_of_an_earlier_one(
    name: str, options: list[str], code: Exit, begun: Path, tmp_path: Path
) -> None:
    clips.make_one_frame(tmp_path / "in.mp4")
    assert upscaled(tmp_path / name, tmp_path / "out.mp4", *options)[0] == code
    assert begun.read_text() == "made with effort"
    assert upscaled(tmp_path / "in.mp4", tmp_path / "out.mp4")[0] == Exit.OK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_upscale_into_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    code, events = upscaled(clips.make_one_frame(tmp_path / "in.mp4"), tmp_path / "none" / "out.mp4")
    assert code == Exit.OUTPUT
    assert "create it first" in events[-1]["error"]["message"]


def test_output_that_is_given_as_a_uri_leaves_only_the_output(tmp_path: Path) -> None:
    source = clips.make_one_frame(tmp_path / "in.mp4")
    assert upscaled(source, f"file://{tmp_path}/out.mp4", cwd=tmp_path)[0] == Exit.OK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["upscale"], "required: input, output"),
        (["images", "in", "out", "--scale", "3"], "--scale"),
        (["images", "in", "out", "--threads", "-1"], "--threads is -1; from 1 to 256"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_command_line_is_told_as_an_event_with_its_exit_code(words: list[str], message: str) -> None:
    command = [sys.executable, "-m", "neuron_worker", *words]
    code, events = finish(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    assert (code, events[-1]["error"]["code"]) == (Exit.INVALID, "INVALID_SPEC")
    assert message in events[-1]["error"]["message"]


def test_name_as_long_as_the_file_system_takes_is_written(tmp_path: Path) -> None:
    output = tmp_path / ("映" * 83 + ".mp4")  # 253 bytes
    code, _ = upscaled(clips.make_one_frame(tmp_path / "in.mp4"), output)
    assert code == Exit.OK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", output.name]


def test_refusal_for_good_leaves_no_work_behind(tmp_path: Path) -> None:
    code, _ = upscaled(clips.make_interlaced(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    assert code == Exit.BAD_INPUT
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_scale_that_is_no_number_is_the_callers_to_mend(tmp_path: Path) -> None:
    code, events = upscaled(clips.make_one_frame(tmp_path / "in.mp4"), tmp_path / "out.mp4", "--scale", "²")
    assert (code, events[-1]["error"]["code"]) == (Exit.INVALID, "INVALID_SPEC")


def test_wrong_document_exits_with_its_own_code(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text('{"scale": 3}')
    done = subprocess.run(
        [sys.executable, "-m", "neuron_worker", "run", str(path)],
        capture_output=True,
        text=True,
        timeout=_WAIT_S,
        check=False,
    )
    assert done.returncode == Exit.INVALID
    assert "scale" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize("slices", [0, 2, 5])
def test_killed_worker_is_resumed_with_the_same_frames(
    slices: int, source: Path, undisturbed: list[str], tmp_path: Path, describe: Describe
) -> None:
    document = describe(source, slice_s=_SLICE_S)
    process = start(document, tmp_path)
    wait_for_slices(document, slices, process)
    process.kill()
    process.communicate()
    finished = {path.name: path.stat().st_mtime_ns for path in document.work_dir.glob("*/0*.mp4")}
    code, events = finish(start(document, tmp_path))
    assert code == Exit.OK
    assert frame_digests(tmp_path / "out.mp4") == undisturbed
    assert len(finished) >= slices
    progress = [each["frames_done"] for each in events if each["event"] == "progress"]
    assert progress[0] >= 10 * slices or slices == 0
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_terminated_worker_ends_soon_with_the_code_for_interrupted(
    source: Path, undisturbed: list[str], tmp_path: Path, describe: Describe
) -> None:
    document = describe(source, slice_s=_SLICE_S)
    process = start(document, tmp_path)
    wait_for_slices(document, 1, process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, events = finish(process)
    assert time.monotonic() - began < 10
    assert code == Exit.INTERRUPTED
    assert events[-1]["error"]["code"] == "PREEMPTED"
    assert not (tmp_path / "out.mp4").exists()
    assert not list(document.work_dir.glob("*/*.part"))
    code, _ = finish(start(document, tmp_path))
    assert code == Exit.OK
    assert frame_digests(tmp_path / "out.mp4") == undisturbed


def test_disk_that_fills_up_is_a_limit_and_leaves_nothing(source: Path, tmp_path: Path, describe: Describe) -> None:
    document = describe(source, encoder={"crf": 1})
    code, events = finish(start(document, tmp_path, limit_bytes=30_000))
    assert code == Exit.LIMIT
    assert events[-1]["error"]["code"] == "OUT_OF_RESOURCES"
    assert not (tmp_path / "out.mp4").exists()
    assert not list(document.work_dir.glob("*/*.part"))


def test_finished_job_run_again_does_nothing_even_without_its_source(tmp_path: Path, describe: Describe) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    document = describe(source)
    first = upscale_video(document, lambda progress: None, Event())
    written = (tmp_path / "out.mp4").stat().st_mtime_ns
    source.unlink()
    assert upscale_video(document, lambda progress: None, Event()) == first
    assert (tmp_path / "out.mp4").stat().st_mtime_ns == written


def test_killed_between_record_and_publication_the_result_is_published(tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4"), debug=True)
    first = upscale_video(document, lambda progress: None, Event())
    (tmp_path / "out.mp4").unlink()
    again = upscale_video(document, lambda progress: None, Event())
    assert again.outputs == first.outputs
    assert (tmp_path / "out.mp4").exists()


def test_steps_run_one_by_one_give_the_same_video(
    source: Path, undisturbed: list[str], tmp_path: Path, describe: Describe
) -> None:
    document = describe(source, slice_s=_SLICE_S)
    plan = plan_job(document, Event())
    order = [*range(len(plan.slices))][::-1]
    for index in order:
        make_slice(document, index, on_progress=lambda progress: None, stop=Event())
    assert make_slice(document, len(order), on_progress=lambda progress: None, stop=Event()) is None
    assert merge_slices(document, Event()).frame_count == 60
    assert frame_digests(tmp_path / "out.mp4") == undisturbed


@pytest.mark.parametrize("harm", ["missing", "shortened", "changed", "swapped"])
def test_merge_refuses_slices_that_are_not_as_they_were_written(harm: str, tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4", frames=20), slice_s=0.2)
    plan = plan_job(document, Event())
    for piece in plan.slices:
        make_slice(document, piece.index, on_progress=lambda progress: None, stop=Event())
    first, second = (Job.open(document, Event()).folder.video(index) for index in (0, 1))
    content = first.read_bytes()
    if harm == "missing":
        first.unlink()
    elif harm == "shortened":
        first.write_bytes(content[:-1])
    elif harm == "changed":
        first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        first.write_bytes(second.read_bytes())
    with pytest.raises(MediaError, match="slice 0"):
        merge_slices(document, Event())
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("name", ["job.lock", "000000.lock"])
def test_second_worker_on_the_same_work_is_a_duplicate(name: str, tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4"))
    root = Job.open(document, Event()).root
    with claim(root / name, "it"), pytest.raises(DuplicateWorkError) as caught:
        upscale_video(document, lambda progress: None, Event())
    assert exit_code_of(caught.value) == Exit.DUPLICATE
    assert upscale_video(document, lambda progress: None, Event()).frame_count == 12


def test_plan_that_another_process_is_making_is_awaited_and_obeyed(tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4"))
    job = Job.open(document, Event())
    stored = job.root / "plan.json"
    stored.unlink()
    with ExitStack() as other:
        other.enter_context(claim(job.root / "plan.lock", "it"))

        class Waiting(Event):
            def wait(self, timeout: float | None = None) -> bool:
                write_record(stored, job.plan.model_copy(update={"variant": "of the other"}))
                other.close()
                return False

        assert plan_job(document, Waiting()).variant == "of the other"


def test_stop_ends_the_wait_for_a_plan(tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4"))
    root = Job.open(document, Event()).root

    class Stopped(Event):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return True

    with claim(root / "plan.lock", "it"), pytest.raises(InterruptedWorkError):
        plan_job(document, Stopped())


def test_leftovers_of_killed_workers_are_removed_with_the_next_attempt(tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4", frames=20), slice_s=0.2)
    root = Job.open(document, Event()).root
    for name in ("000000.17.part", "000000.18.part", "000000.1st try.part", "000001.17.part"):
        (root / name).write_bytes(b"half a slice")
    make_slice(document, 0, on_progress=lambda progress: None, stop=Event())
    assert sorted(path.name for path in root.glob("*.part")) == ["000000.1st try.part", "000001.17.part"]


def test_claim_on_a_file_that_its_holder_removes_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, flock = tmp_path / "it.lock", fcntl.flock

    def late(descriptor: int, how: int) -> None:
        lock.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(DuplicateWorkError), claim(lock, "it"):
        pass


def test_stored_plan_is_reused_and_other_settings_get_their_own(tmp_path: Path, describe: Describe) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    first, again = plan_job(describe(source), Event()), plan_job(describe(source), Event())
    other = plan_job(describe(source, slice_s=0.2), Event())
    assert first == again
    assert other.key != first.key


def test_leftovers_of_another_job_do_no_harm(tmp_path: Path, describe: Describe) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4"))
    root = Job.open(document, Event()).root
    (root / "000000.mp4").write_bytes(b"not a slice")
    (root / "000000.json").write_text('{"key": "of another"}')
    (document.work_dir / "result.json").write_text("{")
    assert upscale_video(document, lambda progress: None, Event()).frame_count == 12


def test_source_that_changed_since_the_job_was_done_is_told(tmp_path: Path, describe: Describe) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    document = describe(source)
    upscale_video(document, lambda progress: None, Event())
    clips.make_clip(source, frames=8)
    with pytest.raises(MediaError, match="INPUT_CHANGED"):
        upscale_video(document, lambda progress: None, Event())


def test_source_that_is_replaced_during_the_work_is_told_and_nothing_of_it_kept(
    tmp_path: Path, describe: Describe
) -> None:
    source, other = clips.make_clip(tmp_path / "in.mp4", frames=30), clips.make_clip(tmp_path / "other.mp4", frames=30)
    document = describe(source, slice_s=0.4)

    def replace(plan: Plan) -> None:
        other.rename(source)

    with pytest.raises(MediaError, match="INPUT_CHANGED"):
        upscale_video(document, lambda progress: None, Event(), on_plan=replace)
    assert not document.job.output.path.exists()
    assert not list(document.work_dir.rglob("000000.json"))


def test_listener_that_goes_away_does_not_end_the_work(source: Path, tmp_path: Path, describe: Describe) -> None:
    document = describe(source)
    process = start(document, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=_WAIT_S) == Exit.OK
    assert (tmp_path / "out.mp4").stat().st_size > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("words", ["upscale", "runtimes"])
def test_output_that_cannot_be_written_does_not_end_the_work(words: str, tmp_path: Path) -> None:
    files = [str(clips.make_one_frame(tmp_path / "in.mp4")), str(tmp_path / "out.mp4")] if words == "upscale" else []
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-m", "neuron_worker", words, *files]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=_WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert (tmp_path / "out.mp4").exists() == (words == "upscale")

"""The parts by themselves: publishing after a crash, what children are told, what exits mean, locks, queue order."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import workplace
from mediabroker.refs import MediaURI
from mediabroker.results import Output, VideoResult
from mediabroker.states import JobState
from mediabroker_local.jobs.folder import JobFolder, write_atomically
from mediabroker_local.jobs.progress import Reporter
from mediabroker_local.jobs.spool import Spool
from mediabroker_local.jobs.staging import Staging
from mediabroker_local.jobs.verdicts import crash_error, parse_observation
from mediabroker_local.processes.commands import build_environment
from mediabroker_local.processes.locks import LockTimeoutError, take_lock, try_lock
from tests.watching import half_done, unflushable


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "root")
    made.prepare()
    return made


def _add(spool: Spool, token: str, output: Path | None = None) -> JobFolder:
    with spool.locked():
        spool.add(token, {"spec": {"kind": "transcode"}, "claim": str(output) if output else None})
    return spool.folder(token)


def _staging(folder: JobFolder, output: Path) -> Staging:
    staged = folder.staging_path()
    assert staged is not None
    return Staging(folder, output, staged, overwrite=False)


def _made(staging: Staging) -> VideoResult:
    staging.open()
    staging.target.write_bytes(b"video")
    return VideoResult(outputs=(Output(uri=MediaURI(staging.target)),))


def test_result_that_was_published_is_known_again_after_a_crash(spool: Spool, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = _add(spool, "job", output)
    staging = _staging(folder, output)
    published = staging.publish(_made(staging))
    assert _staging(folder, output).recover() == published
    assert output.read_bytes() == b"video"


def test_result_that_was_finished_is_published_after_a_crash(spool: Spool, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = _add(spool, "job", output)
    staging = _staging(folder, output)
    published = staging.publish(_made(staging))
    output.rename(staging.target)  # as it stood one step before
    assert _staging(folder, output).recover() == published
    assert output.read_bytes() == b"video"


def test_result_that_was_killed_between_two_names_is_completed_by_the_next_run(spool: Spool, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = _add(spool, "job", output)
    staging = _staging(folder, output)
    made = _made(staging)
    pid = os.fork()
    if pid == 0:
        try:
            sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "os.remove" else None)
            staging.publish(made)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert staging.target.samefile(output)
    recovered = _staging(folder, output).recover()
    assert recovered is not None
    assert recovered["outputs"][0]["uri"] == MediaURI(output)
    assert output.read_bytes() == b"video"
    assert not staging.target.exists()


@pytest.mark.parametrize("token", ["job", "8letters", "a" * 26])
def test_a_folder_in_which_a_job_makes_its_result_is_not_swept_by_others(
    spool: Spool, tmp_path: Path, token: str
) -> None:
    staging = _staging(_add(spool, token, tmp_path / "out.mp4"), tmp_path / "out.mp4")
    _made(staging)
    os.utime(staging.folder, (1, 1))
    with workplace(tmp_path / "another"):
        pass
    assert staging.target.read_bytes() == b"video"


def test_somebody_elses_file_is_never_taken_for_the_result(spool: Spool, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = _add(spool, "job", output)
    staging = _staging(folder, output)
    made = _made(staging)
    output.write_bytes(b"a stranger's")
    with pytest.raises(MediaError) as caught:
        staging.publish(made)
    assert caught.value.error.code is ErrorCode.OUTPUT_EXISTS
    staging.open()
    assert staging.recover() is None
    assert output.read_bytes() == b"a stranger's"


def test_a_record_is_whole_at_every_step_and_flushed_before_it_gets_its_name(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert half_done(path, lambda: write_atomically(path, {"state": "QUEUED"})) == []
    assert half_done(path, lambda: write_atomically(path, {"state": "RUNNING"})) == []
    with unflushable(tmp_path / "state.json.new"), pytest.raises(OSError, match="Invalid argument"):
        write_atomically(path, {"state": "SUCCEEDED"})
    assert path.read_text() == '{"state": "RUNNING"}'


def test_children_are_told_where_things_are_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "MEDIABROKER_STORE": "postgresql://user:canary@db/jobs",
        "MEDIABROKER_PROVIDERS__AWS__SECRET": "canary",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "DATABASE_PASSWORD": "canary",
    }
    for name, value in {**secrets, "MEDIABROKER_DATA_DIR": "/data", "PYTHONPATH": "relative"}.items():
        monkeypatch.setenv(name, value)
    told = build_environment()
    assert "canary" not in str(told)
    assert told["MEDIABROKER_DATA_DIR"] == "/data"
    assert told["PATH"] == os.environ["PATH"]
    assert all(Path(entry).is_absolute() for entry in told["PYTHONPATH"].split(os.pathsep))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (-signal.SIGKILL, ErrorCode.WORKER_CRASHED, "memory"),
        (128 + signal.SIGKILL, ErrorCode.WORKER_CRASHED, "memory"),
        (-signal.SIGXCPU, ErrorCode.OUT_OF_RESOURCES, "processor time"),
        (-signal.SIGSEGV, ErrorCode.WORKER_CRASHED, "signal 11"),
        (1, ErrorCode.WORKER_CRASHED, "exit code 1"),
        (None, ErrorCode.WORKER_CRASHED, "vanished"),
    ],
)
def test_exit_of_a_worker_becomes_a_job_error(status: int | None, code: ErrorCode, words: str) -> None:
    error = crash_error({"status": status, "log": "first\nlast line"}, 3)
    assert error.code is code
    assert words in error.message
    assert "3 times: last line" in error.message
    assert error.raw == {"status": status, "log": "first\nlast line"}


def test_unknown_word_keeps_the_state_and_becomes_the_phase() -> None:
    seen = parse_observation({"job": "a-run", "kind": "transcode", "state": "HIBERNATING", "attempt": 1})
    assert (seen.state, seen.phase) == (None, "HIBERNATING")


def test_lock_is_held_by_one_and_waited_for_in_vain(tmp_path: Path) -> None:
    with take_lock(tmp_path / "lock", timeout_s=1):
        assert try_lock(tmp_path / "lock") is None
        with pytest.raises(LockTimeoutError):
            take_lock(tmp_path / "lock", timeout_s=0.01)
    taken = try_lock(tmp_path / "lock")
    assert taken is not None
    taken.release()


def test_inherited_lock_outlives_its_first_holder(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "lock", timeout_s=1)
    inherited = os.dup(lock.fd)
    lock.release()
    assert try_lock(tmp_path / "lock") is None
    os.close(inherited)
    again = try_lock(tmp_path / "lock")
    assert again is not None
    again.release()


def test_queue_keeps_its_order_and_drops_what_was_never_finished(spool: Spool) -> None:
    for token in ("b", "a", "c"):
        _add(spool, token)
    (spool.root / "queue" / "000000000002.ghost").touch()
    with spool.locked():
        assert [folder.token for folder in spool.unfinished()] == ["b", "a", "c"]
        assert spool.positions() == {"b": 0, "a": 1, "c": 2}
        taken = spool.take()
        assert taken is not None
        following = spool.take()
        assert following is not None
    assert (taken[0].token, following[0].token) == ("b", "a")
    for _, lock in (taken, following):
        lock.release()


def test_state_that_a_power_cut_emptied_counts_as_an_interrupted_run(spool: Spool) -> None:
    folder = _add(spool, "job")
    (folder.path / "state.json").write_bytes(b"")
    assert folder.state()["state"] == "RUNNING"
    assert not folder.has_ended()


def test_forgetting_sweeps_up_what_killed_processes_left(spool: Spool) -> None:
    ended, live = _add(spool, "ended"), _add(spool, "live")
    ended.end(state="SUCCEEDED")
    (spool.root / "jobs" / ".new-abandoned").mkdir()
    with spool.locked():
        assert [spool.forget(folder) for folder in (ended, live)] == [True, False]
        spool.sweep()
    assert [path.name for path in (spool.root / "jobs").iterdir()] == ["live"]
    assert spool.positions() == {"live": 0}


def test_log_stays_within_its_limit(spool: Spool) -> None:
    folder = _add(spool, "job")
    folder.log_path.write_bytes(b"x" * (2 << 20))
    os.close(folder.open_log())
    assert folder.log_path.stat().st_size == 0
    folder.log_path.write_text("early\n" * 5000 + "late\n")
    assert folder.log_tail().endswith("late")
    assert len(folder.log_tail()) <= 4096


def test_progress_is_written_now_and_then_and_never_goes_back(spool: Spool) -> None:
    folder, now_s = _add(spool, "job"), [0.0]
    report = Reporter(folder, clock_s=lambda: now_s[0])

    def stored() -> dict[str, Any]:
        return folder.state()

    report.phase("upscaling")
    report.progress(0.5)
    assert (stored()["phase"], stored().get("progress")) == ("upscaling", None)
    now_s[0] = 1.0
    report.progress(0.4)
    assert stored()["progress"] == 0.5
    report.end(state=JobState.SUCCEEDED.value, progress=1.0)
    assert (stored()["state"], stored()["progress"]) == ("SUCCEEDED", 1.0)

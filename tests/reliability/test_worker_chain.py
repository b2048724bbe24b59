"""Broker, Batch, S3 and the real worker, each in processes of its own: the whole chain, and what may happen to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, ErrorCode, Job, JobFailedError, SuperResolution
from mediabroker.config import BrokerSettings
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker.storage import Stores
from mediabroker_aws import BatchProvider
from mediabroker_aws.simulator.batch.records import Job as BatchJob
from mediabroker_aws.simulator.sandbox import AwsSandbox
from tests import clips
from tests.worker.fleet import upscale_directly
from tests.worker.looking import frame_digests, frame_times, packets

_SLICE_S = 0.5
_LIMIT_S = 300.0
_ODD_KEYS = [
    "a b'\"#%?+&.mp4",
    "../up/../down.mp4",
    "größe/影片.mp4",
    "%2e%2e/;$(id)`id`.mp4",
    "x" * 1020 + ".mp4",
]


class Account:
    """A simulated account, a bucket in it, and a broker that uses it."""

    def __init__(self, sandbox: AwsSandbox, broker: Broker, stores: Stores, folder: Path) -> None:
        self.simulator = sandbox.batch.simulator
        self.broker, self.stores, self.folder = broker, stores, folder

    def put(self, source: Path, key: str) -> MediaURI:
        uri = MediaURI(f"s3://media/{key}")
        self.stores.copy(MediaURI(source), uri, overwrite=True)
        return uri

    def submit(self, source: MediaURI, key: str, **fields: Any) -> Job[VideoResult]:
        spec = SuperResolution(input=source, output=f"s3://media/{key}", **{"slice_s": _SLICE_S, **fields})
        return self.broker.submit(spec)

    def fetch(self, key: str) -> Path:
        target = self.folder / "fetched.mp4"
        self.stores.copy(MediaURI(f"s3://media/{key}"), MediaURI(target), overwrite=True)
        return target

    def token(self, job: Job[VideoResult]) -> str:
        first = job.ref.members[0].native_id
        (found,) = [each for each in self.simulator.jobs() if each.id == first]
        return found.tags["mediabroker:token"]

    def names(self, job: Job[VideoResult]) -> set[str]:
        """What lies in the job's work folder."""
        prefix = f"wip/{self.token(job)}/"
        found = self.stores.of(MediaURI("s3://media/x"))._client.call(  # type: ignore[attr-defined]
            "list_objects_v2", Bucket="media", Prefix=prefix
        )
        return {each["Key"].removeprefix(prefix) for each in found.get("Contents", ())}

    def read(self, job: Job[VideoResult], name: str) -> dict[str, Any]:
        uri = MediaURI(f"s3://media/wip/{self.token(job)}/{name}")
        content: dict[str, Any] = json.loads(b"".join(self.stores.of(uri).read(uri)))
        return content

    def member(self, job: Job[VideoResult], step: str, index: int | None = None) -> BatchJob:
        name = f"mb-{self.token(job)}-{step}"
        (found,) = [each for each in self.simulator.jobs() if each.name == name]
        return found if index is None else found.children[index]

    def again(self, member: BatchJob, depends_on: list[dict[str, str]]) -> str:
        """Submit the same once more, as whoever does not know that it was accepted."""
        size = {"arrayProperties": {"size": len(member.children)}} if member.children else {}
        environment = [{"name": name, "value": value} for name, value in member.environment.items()]
        params = {
            "jobName": member.name,
            "jobQueue": member.queue,
            "jobDefinition": member.definition,
            "containerOverrides": {"environment": environment},
            "retryStrategy": member.retry,
            "dependsOn": depends_on,
            **size,
        }
        return str(self.simulator.call("SubmitJob", params)["jobId"])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is placed meanwhile."""
        lifecycle = self.simulator.lifecycle
        before, lifecycle.capacity = lifecycle.capacity, 0
        yield
        lifecycle.capacity = before

    def catch(self, job: Job[VideoResult], member: BatchJob, claim: str) -> None:
        """Wait until an attempt is at work: it has claimed what it does, and has not begun with the rest."""
        until(lambda: member.run is not None and claim in self.names(job))


def until(true: Callable[[], object]) -> None:
    give_up_at_s = time.monotonic() + _LIMIT_S
    while not true():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.02)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsSandbox]:
    """Two workers at a time."""
    with closing(AwsSandbox(tmp_path_factory.mktemp("aws"), parallel=2)) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: AwsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}", stores=sandbox.settings["stores"])
    providers = {"aws-batch": BatchProvider("aws-batch", sandbox.settings["providers"]["aws-batch"])}
    with closing(Stores(settings.stores)) as stores, Broker(settings, providers=providers) as broker:
        yield Account(sandbox, broker, stores, tmp_path)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three slices, the last one short, with sound."""
    return clips.make_clip(tmp_path_factory.mktemp("source") / "in.mp4", width=96, height=64, frames=30)


@pytest.fixture(scope="module")
def direct(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return upscale_directly(source, tmp_path_factory.mktemp("direct") / "job", slice_s=_SLICE_S)


def check(account: Account, result: VideoResult, key: str, direct: Path) -> None:
    """The output is what the engine makes of the same file by itself."""
    output = account.fetch(key)
    assert [(each.uri, each.size_bytes) for each in result.outputs] == [
        (MediaURI(f"s3://media/{key}"), output.stat().st_size)
    ]
    assert frame_digests(output) == frame_digests(direct)
    assert frame_times(output) == frame_times(direct)
    assert packets(output, "audio") == packets(direct, "audio")
    assert output.read_bytes() == direct.read_bytes()


def test_the_chain_gives_what_the_engine_gives(account: Account, source: Path, direct: Path) -> None:
    job = account.submit(account.put(source, "in.mp4"), "out.mp4")
    result = job.result(timeout=_LIMIT_S)
    assert [member.role for member in job.ref.members] == ["array", "merge"]
    check(account, result, "out.mp4", direct)
    assert (result.frame_count, result.width_px, result.height_px) == (30, 192, 128)
    assert account.names(job) == {"manifest.json", "result.json"}


def test_every_key_that_s3_takes_is_taken_literally(account: Account, source: Path) -> None:
    jobs = [account.submit(account.put(source, key), f"o{key[1:]}", slice_s=60) for key in _ODD_KEYS]
    frames = set()
    for job, key in zip(jobs, _ODD_KEYS, strict=True):
        (output,) = job.result(timeout=_LIMIT_S).outputs
        assert output.uri == f"s3://media/o{key[1:]}"
        frames.add(tuple(frame_digests(account.fetch(f"o{key[1:]}"))))
    assert len(frames) == 1


def test_children_that_are_told_to_stop_or_lose_their_machine_are_worked_on_again(
    account: Account, tmp_path: Path
) -> None:
    # Large enough that a child is still at work when it has been caught, also on a busy machine.
    source = clips.make_clip(tmp_path / "large.mp4", width=480, height=320, frames=150)
    direct = upscale_directly(source, tmp_path / "direct", slice_s=2)
    job = account.submit(account.put(source, "lost/in.mp4"), "lost/out.mp4", slice_s=2)
    told, lost = account.member(job, "array", 0), account.member(job, "array", 2)
    account.catch(job, told, "slice-000000.claim")
    told_s = time.monotonic()
    assert told.run is not None
    told.run.terminate()
    until(lambda: told.attempts)
    assert time.monotonic() - told_s < 10
    account.catch(job, lost, "slice-000002.claim")
    account.simulator.lose_host(lost.id)
    check(account, job.result(timeout=_LIMIT_S), "lost/out.mp4", direct)
    assert [each["container"]["exitCode"] for each in told.attempts] == [75, 0]
    assert [each["container"]["exitCode"] for each in lost.attempts] == [None, 0]


def test_a_lost_merge_is_done_again_and_publishes_once_and_debug_keeps_everything(
    account: Account, source: Path, direct: Path
) -> None:
    job = account.submit(account.put(source, "merge/in.mp4"), "merge/out.mp4", debug=True)
    merge = account.member(job, "merge")
    account.catch(job, merge, "merge.claim")
    account.simulator.lose_host(merge.id)
    check(account, job.result(timeout=_LIMIT_S), "merge/out.mp4", direct)
    assert [each["container"]["exitCode"] for each in merge.attempts] == [None, 0]
    names = account.names(job)
    assert {"plan.json", "merged.json", "result.json", "slice-000000.claim", "slice-000002.json"} <= names
    assert len([name for name in names if name.endswith(".mp4")]) == 3


def test_a_child_whose_machine_is_lost_every_time_fails_the_job(account: Account, source: Path) -> None:
    job = account.submit(account.put(source, "gone/in.mp4"), "gone/out.mp4")
    child = account.member(job, "array", 2)

    def lose() -> bool:
        account.simulator.lose_host(child.id)
        return child.has_ended

    until(lose)
    with pytest.raises(JobFailedError, match="slice 2") as caught:
        job.result(timeout=_LIMIT_S)
    assert (caught.value.error.code, caught.value.error.blame) == (ErrorCode.PREEMPTED, "capacity")
    assert {each["container"]["exitCode"] for each in child.attempts} == {None}
    assert len(child.attempts) == 5
    assert account.stores.of(MediaURI("s3://media/x")).stat(MediaURI("s3://media/gone/out.mp4")) is None


def test_a_source_that_is_replaced_after_the_submit_is_the_callers_to_mend(account: Account, source: Path) -> None:
    uri = account.put(source, "changed/in.mp4")
    with account.paused():
        job = account.submit(uri, "changed/out.mp4")
        account.put(clips.make_clip(account.folder / "other.mp4"), "changed/in.mp4")
    with pytest.raises(JobFailedError, match="replaced after the job was submitted") as caught:
        job.result(timeout=_LIMIT_S)
    assert (caught.value.error.code, caught.value.error.blame) == (ErrorCode.INPUT_CHANGED, "caller")
    assert {len(child.attempts) for child in account.member(job, "array").children} == {1}


def test_a_video_of_one_second_is_one_job(account: Account) -> None:
    short = clips.make_clip(account.folder / "short.mp4", frames=25, audio=False)
    job = account.submit(account.put(short, "short/in.mp4"), "short/out.mp4", slice_s=60)
    result = job.result(timeout=_LIMIT_S)
    assert [member.role for member in job.ref.members] == ["single"]
    assert (result.frame_count, result.duration_s) == (25, 1.0)
    assert result.elapsed_s


def test_an_interlaced_video_is_refused_with_its_own_name(account: Account) -> None:
    comb = clips.make_interlaced(account.folder / "comb.mp4", frames=30)
    job = account.submit(account.put(comb, "in/comb.mp4"), "out/comb.mp4")
    with pytest.raises(JobFailedError, match=r"s3://media/in/comb\.mp4 is interlaced") as caught:
        job.result(timeout=_LIMIT_S)
    assert (caught.value.error.code, caught.value.error.blame) == (ErrorCode.MEDIA_UNSUPPORTED, "media")


def test_two_chains_of_one_job_have_one_output(account: Account, source: Path, direct: Path) -> None:
    """What a submit that was sent twice would do: every slice and the merge has two workers."""
    job = account.submit(account.put(source, "twice/in.mp4"), "twice/out.mp4")
    array, merge = account.member(job, "array"), account.member(job, "merge")
    twins: list[str] = []
    for member in (array, merge):
        depends = [{"jobId": twins[0]}] if twins else []
        twins.append(account.again(member, depends))
    check(account, job.result(timeout=_LIMIT_S), "twice/out.mp4", direct)
    until(lambda: all(each.has_ended for each in account.simulator.jobs() if each.id in twins))
    assert {each.status for each in account.simulator.jobs() if each.id in twins} == {"SUCCEEDED"}
    assert account.fetch("twice/out.mp4").read_bytes() == direct.read_bytes()


def test_a_worker_whose_store_does_not_answer_still_heeds_the_word_to_stop(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "MEDIABROKER_TASK": "merge",
            "MEDIABROKER_MANIFEST": "s3://media/wip/t/manifest.json",
            "MEDIABROKER_SCRATCH": str(tmp_path / "scratch"),
        }
        silent.settimeout(_LIMIT_S)
        with subprocess.Popen([sys.executable, "-m", "neuron_worker", "work"], env=environment) as worker:
            connection, _ = silent.accept()
            worker.terminate()
            told_s = time.monotonic()
            assert worker.wait(_LIMIT_S) == 75
        assert time.monotonic() - told_s < 10
        connection.close()


def test_workers_get_no_secret_in_their_environment_and_log_none(sandbox: AwsSandbox) -> None:
    secret = sandbox.environment["AWS_SECRET_ACCESS_KEY"]
    logs = [log.read_text() for log in Path(sandbox.facts["logs"]).glob("*.log")]
    assert any('"event": "result"' in log for log in logs)
    assert not [log for log in logs if secret in log or "Traceback" in log]

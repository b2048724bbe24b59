"""The function that transcodes: once however often it is invoked, over in time, and nothing half-done left behind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediabroker_aws.functions.transcode import claim as transcode_claim
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.functions.transcode.worker import Worker
from mediabroker_aws.simulator import Function
from mediabroker_aws.simulator.functions.function import Context
from tests.clips import make_clip
from tests.unit.aws.conftest import Aws
from tests.unit.aws.transcoding import TIME, Service, clip, serving

FOLDER = f"out/a_{TIME}/"
OUTPUT = f"{FOLDER}a.mp4"
STATUS = f"{FOLDER}status-mp4.json"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str) -> Iterator[Service]:
    with serving(monkeypatch, endpoint, aws, name) as service:
        yield service


def longer(folder: Path) -> Path:
    """A clip that keeps ffmpeg busy for a while."""
    return make_clip(folder / "long.mp4", width=320, height=240, frames=200, codec_options={"preset": "ultrafast"})


def rewrite(service: Service, **changes: Any) -> None:
    """Change the status as another worker, or a cancel, would."""
    service.put(STATUS, json.dumps({**service.status(FOLDER), **changes}).encode())


def queue(service: Service, source: Path) -> None:
    """A request that was accepted and whose worker has not begun."""
    service.put("in/a.mp4", source)
    service.simulator.faults.add("Event", "delayed", when=lambda params: params["function"] == "worker")
    service.ask(src="in/a.mp4")
    assert service.status(FOLDER)["state"] == "queued"


def release(service: Service) -> None:
    service.simulator.release()
    assert service.simulator.wait_idle(120)


def test_an_invocation_that_comes_twice_does_the_work_once(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    service.simulator.faults.add("Event", "duplicated")
    service.ask(src="in/a.mp4")
    assert service.works() == 2
    assert service.status(FOLDER)["attempts"] == 1
    assert [each["state"] for each in service.completions()] == ["succeeded"]


def test_a_worker_that_never_came_is_started_by_asking_again(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    service.simulator.faults.add("Event", "dropped")
    service.ask(src="in/a.mp4")
    assert service.keys(OUTPUT) == []
    service.ask(src="in/a.mp4")
    assert service.keys(OUTPUT) == [OUTPUT]


def test_a_worker_that_cannot_be_started_fails_its_file_and_says_that_it_may_be_tried_again(
    service: Service, tmp_path: Path
) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    service.simulator.faults.add("Invoke", "throttled", times=3)
    (entry,) = service.ask(src="in/a.mp4")
    assert entry["status"] == "error"
    error = service.status(FOLDER)["error"]
    assert (error["code"], error["retryable"]) == ("RATE_LIMITED", True)
    service.ask(src="in/a.mp4")
    assert service.status(FOLDER)["state"] == "succeeded"


def test_a_cancelled_work_is_not_begun(service: Service, tmp_path: Path) -> None:
    queue(service, clip(tmp_path))
    rewrite(service, state="cancelled")
    release(service)
    assert service.keys("out/") == [STATUS]
    assert service.status(FOLDER)["state"] == "cancelled"


def test_a_cancel_ends_a_running_work_and_leaves_nothing(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcode_claim, "_RENEW_S", 0.05)
    queue(service, longer(tmp_path))
    service.simulator.release()
    ended = threading.Event()
    threading.Thread(target=lambda: (service.simulator.wait_idle(120), ended.set()), daemon=True).start()
    while service.status(FOLDER)["state"] != "running" and not ended.is_set():
        time.sleep(0.01)
    _cancel_as_the_provider_does(service)
    assert ended.wait(120)
    assert service.status(FOLDER)["state"] == "cancelled"
    assert service.keys(FOLDER) == [STATUS]
    assert [each["state"] for each in service.completions()] == ["cancelled"]


def _cancel_as_the_provider_does(service: Service) -> None:
    for _ in range(1000):  # its progress is written meanwhile, and the condition then fails
        read = service.s3.get_object(Bucket=service.bucket, Key=STATUS)
        body = json.dumps({**json.loads(read["Body"].read()), "state": "cancelled"}).encode()
        try:
            service.s3.put_object(Bucket=service.bucket, Key=STATUS, Body=body, IfMatch=read["ETag"])
        except service.s3.exceptions.ClientError:
            continue
        return
    raise AssertionError("the status changed a thousand times")


def test_the_work_of_a_dead_worker_is_taken_over_and_its_remains_removed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(service, clip(tmp_path))
    rewrite(service, state="running", owner="the dead", attempts=1, folders=["video-0123abcd"])
    service.put(f"{FOLDER}video-0123abcd/half.ts", b"half")
    folder = f"{FOLDER}video-0123abcd/"
    foreign = [f"{folder}deep/half.ts", f"{folder}notes.txt", f"{FOLDER}video-9876fedc/1.ts"]
    for key in foreign:
        service.put(key, b"somebody's")
    monkeypatch.setattr(transcode_claim, "LEASE_S", -1.0)
    release(service)
    assert service.status(FOLDER)["attempts"] == 2
    assert service.keys(FOLDER) == sorted([OUTPUT, STATUS, *foreign])


@pytest.mark.parametrize("kinds", [("mp4", "m3u8"), ("m3u8", "mp4")])
def test_both_types_of_one_source_are_two_works_and_neither_harms_the_other(
    service: Service, tmp_path: Path, kinds: tuple[str, str]
) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    for kind in kinds:
        (entry,) = service.ask(src="in/a.mp4", type=kind)
        assert entry["status"] == "transcode"
    _both_are_there(service)


def test_both_types_asked_for_at_once_are_both_made(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    service.simulator.faults.add("Event", "delayed", when=lambda params: params["function"] == "worker", times=2)
    for kind in ("mp4", "m3u8"):
        assert service.post(src="in/a.mp4", type=kind).json()["videos"][0]["status"] == "transcode"
    release(service)
    _both_are_there(service)


def _both_are_there(service: Service) -> None:
    assert [service.status(FOLDER, kind)["state"] for kind in ("mp4", "m3u8")] == ["succeeded", "succeeded"]
    assert service.keys(OUTPUT)
    playlist = next(line for line in service.get(f"{FOLDER}a.m3u8").decode().splitlines() if line.endswith(".m3u8"))
    segment = next(line for line in service.get(f"{FOLDER}{playlist}").decode().splitlines() if line.endswith(".ts"))
    assert service.keys(f"{FOLDER}{playlist.rpartition('/')[0]}/{segment}")
    told = {each["id"] for each in service.completions()}
    assert told == {f"s3://{service.bucket}/{FOLDER}status-{kind}.json" for kind in ("mp4", "m3u8")}


@pytest.mark.parametrize("kind", ["mp4", "m3u8"])
def test_a_source_in_the_folder_of_its_own_output_is_refused_and_nothing_there_is_touched(
    service: Service, tmp_path: Path, kind: str
) -> None:
    mine = [f"x/a_{TIME}/a.mp4", f"x/a_{TIME}/precious.txt"]
    for key in mine:
        service.put(key, clip(tmp_path))
    service.put(f"x/a_{TIME}/b.mp4", clip(tmp_path))
    (entry,) = service.ask(src=mine[0], dst="x/", type=kind)
    assert (entry["status"], entry["error"]) == ("error", "it lies in the folder of its own output")
    of_folder = service.ask(src=f"x/a_{TIME}/", dst="x/", type=kind)
    assert [each.get("status", each["error"]) for each in of_folder] == ["error", "transcode", "not .mp4"]
    assert service.keys(f"x/a_{TIME}/") == sorted([*mine, f"x/a_{TIME}/b.mp4"])


def test_what_lay_in_the_output_folder_before_a_failed_work_lies_there_after_it(
    service: Service, tmp_path: Path
) -> None:
    queue(service, clip(tmp_path))
    service.put(f"{FOLDER}precious.txt", b"mine")
    service.s3.delete_object(Bucket=service.bucket, Key="in/a.mp4")
    release(service)
    assert service.status(FOLDER)["state"] == "failed"
    assert service.keys(FOLDER) == [f"{FOLDER}precious.txt", STATUS]


def test_the_work_of_a_living_worker_is_left_alone(service: Service, tmp_path: Path) -> None:
    queue(service, clip(tmp_path))
    rewrite(service, state="running", owner="the living", attempts=1)
    release(service)
    assert service.status(FOLDER)["owner"] == "the living"
    assert service.keys(OUTPUT) == []


def test_a_worker_that_died_after_publishing_is_only_completed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(service, clip(tmp_path))
    rewrite(service, state="publishing", owner="the dead", attempts=1)
    service.put(OUTPUT, b"whole")
    monkeypatch.setattr(transcode_claim, "LEASE_S", -1.0)
    release(service)
    assert service.status(FOLDER)["state"] == "succeeded"
    assert service.get(OUTPUT) == b"whole"
    assert [each["state"] for each in service.completions()] == ["succeeded"]


def test_an_output_that_somebody_else_put_there_stays_and_fails_the_work(service: Service, tmp_path: Path) -> None:
    queue(service, clip(tmp_path))
    service.put(OUTPUT, b"somebody's")
    release(service)
    assert service.status(FOLDER)["error"]["code"] == "OUTPUT_EXISTS"
    assert service.get(OUTPUT) == b"somebody's"


def test_a_source_that_is_gone_fails_the_work(service: Service, tmp_path: Path) -> None:
    queue(service, clip(tmp_path))
    service.s3.delete_object(Bucket=service.bucket, Key="in/a.mp4")
    release(service)
    assert service.status(FOLDER)["error"]["code"] == "INPUT_NOT_FOUND"
    assert [each["state"] for each in service.completions()] == ["failed"]


def test_ffmpeg_ends_before_lambda_would_end_the_function(service: Service, tmp_path: Path) -> None:
    queue(service, longer(tmp_path))
    settings = TranscoderSettings(buckets=service.bucket, worker_timeout_s=10.0, pixels_per_s=1e12)
    hurried = Context("worker", "arn", "id", time.time() + 1.3, memory_mb=1024)  # of which 1 s is kept back
    ended = Worker(settings)({"work": f"s3://{service.bucket}/{STATUS}"}, hurried)
    assert ended["state"] == "failed"
    error = service.status(FOLDER)["error"]
    assert (error["code"], error["message"][:19]) == ("OUT_OF_RESOURCES", "too long for Lambda")
    assert service.keys(FOLDER) == [STATUS]


def test_trouble_that_passes_is_tried_again_by_lambda_and_trouble_that_stays_fails_the_work(
    service: Service, tmp_path: Path
) -> None:
    queue(service, clip(tmp_path))
    gone = "http://127.0.0.1:9"  # nobody listens there
    service.simulator.add(Function("worker", _Unreachable(service.simulator.find("worker").handler, gone)))
    service.simulator._delayed = [
        (service.simulator.find("worker"), payload, request) for _, payload, request in service.simulator._delayed
    ]
    release(service)
    assert service.status(FOLDER)["attempts"] == 2
    assert service.status(FOLDER)["state"] == "succeeded"


def test_a_work_that_lambda_gives_up_between_its_workers_tries_fails_at_once(service: Service, tmp_path: Path) -> None:
    _give_up(service, tmp_path, lambda work: None)
    status = service.status(FOLDER)
    assert (status["state"], status["attempts"]) == ("failed", 2)
    assert (status["error"]["code"], status["error"]["retryable"]) == ("WORKER_CRASHED", True)
    assert [each["state"] for each in service.completions()] == ["failed"]


def test_a_work_that_another_invocation_has_taken_up_is_not_ended_by_the_record_of_a_lost_one(
    service: Service, tmp_path: Path
) -> None:
    _give_up(service, tmp_path, lambda work: rewrite(service, state="running", owner="the living/1"))
    assert service.status(FOLDER)["state"] == "running"


def _give_up(service: Service, folder: Path, meanwhile: Any) -> None:
    """All tries of Lambda meet trouble: the first before it has the claim, the others in the work."""
    worker, intake = service.simulator.find("worker").handler, service.simulator.find("transcode").handler

    def told(record: dict[str, Any]) -> None:
        meanwhile(record["requestPayload"]["work"])
        intake(record, None)

    troubled = _Unreachable(worker, "http://127.0.0.1:9", runs=3, claims_from=2)
    service.simulator.add(Function("worker", troubled, on_failure=told))
    service.put("in/a.mp4", clip(folder))
    service.ask(src="in/a.mp4")


def test_attempts_never_become_fewer_when_a_work_is_asked_for_again(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    service.simulator.faults.add("Event", "dropped")
    service.ask(src="in/a.mp4")
    for state in ("queued", "failed"):
        rewrite(service, state=state, attempts=2)
        service.simulator.faults.add("Event", "dropped")
        service.ask(src="in/a.mp4")
        assert (service.status(FOLDER)["state"], service.status(FOLDER)["attempts"]) == ("queued", 2)
    service.ask(src="in/a.mp4")
    assert (service.status(FOLDER)["state"], service.status(FOLDER)["attempts"]) == ("succeeded", 3)


def test_a_cancelled_work_is_not_begun_again_under_the_same_time(service: Service, tmp_path: Path) -> None:
    queue(service, clip(tmp_path))
    rewrite(service, state="cancelled")
    (entry,) = service.ask(src="in/a.mp4")
    assert (entry["status"], entry["error"]) == ("error", "cancelled")
    release(service)
    assert service.keys("out/") == [STATUS]
    assert service.status(FOLDER)["state"] == "cancelled"


@pytest.mark.parametrize("state", ["cancelled", "failed", "succeeded"])
def test_a_dispatch_that_comes_twice_begins_nothing_again_that_has_ended(
    service: Service, tmp_path: Path, state: str
) -> None:
    queue(service, clip(tmp_path))
    rewrite(service, state=state)
    before = service.get(STATUS)
    request = {"bucket": service.bucket, "src": "in/", "dst": "out/", "time": TIME, "type": "mp4"}
    rest = {"request": request, "after": "in/", "asked_at": time.time()}
    context = Context("transcode", "arn", "id", time.time() + 100, memory_mb=1024)
    service.simulator.find("transcode").handler({"dispatch": rest}, context)
    release(service)
    assert service.get(STATUS) == before
    assert service.keys("out/") == [STATUS]


@pytest.mark.parametrize("elsewhere", [{"bucket": "another-bucket"}, {"src": 5}, {"dst": "in/deeper/"}], ids=str)
def test_a_dispatch_reaches_no_further_than_a_request(
    service: Service, tmp_path: Path, elsewhere: dict[str, Any]
) -> None:
    request = {"bucket": service.bucket, "src": "in/", "dst": "out/", "time": TIME, "type": "mp4", **elsewhere}
    context = Context("transcode", "arn", "id", time.time() + 100, memory_mb=1024)
    rest = {"request": request, "after": "", "asked_at": time.time()}
    answer = service.simulator.find("transcode").handler({"dispatch": rest}, context)
    assert answer["statusCode"] in (400, 403)
    assert service.keys("out/") == []


class _Unreachable:
    """A worker whose downloads do not get through the first `runs` times; before `claims_from` it cannot even begin."""

    def __init__(self, worker: Any, url: str, *, runs: int = 1, claims_from: int = 1) -> None:
        self._worker, self._url, self._troubled, self._claims_from = worker, url, runs, claims_from
        self._runs = 0

    def __call__(self, event: Any, context: Any) -> Any:
        self._runs += 1
        if self._runs < self._claims_from:
            raise RuntimeError("the code cannot be loaded")
        if self._runs > self._troubled:
            return self._worker(event, context)
        from mediabroker_aws.s3.store import S3Store

        store, self._worker._store = self._worker._store, S3Store({"endpoint_url": self._url, "path_style": True})
        try:
            return self._worker(event, context)
        finally:
            self._worker._store = store

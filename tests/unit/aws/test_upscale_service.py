"""The super-resolution service over plain HTTP: the original's clients, what is refused, and what is told of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from mediabroker.errors import JobNotFoundError
from mediabroker.refs import JobRef
from mediabroker.states import JobState
from mediabroker_aws.functions.upscale.api import handler
from mediabroker_aws.functions.upscale.ledger import derive_id
from mediabroker_aws.functions.upscale.order import parse_order
from mediabroker_aws.simulator import HOLD, Exited
from tests.unit.aws.upscaling import Service, error_of
from tests.unit.broker.conftest import HandClock

_CLIP = {"key": "in/clip.mp4", "segment_time": 1}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with closing(Service(tmp_path)) as service:
        yield service


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[Service]:
    """Without prefixes: keys as the original took them."""
    with closing(Service(tmp_path, input_prefix="", output_prefix="")) as service:
        yield service


_CURL_PHP_JAVA = b'{\n    "key": "xxxx.mp4"\n}'
_PYTHON = json.dumps({"key": "xxxx.mp4"}).encode()


@pytest.mark.parametrize("body", [_CURL_PHP_JAVA, _PYTHON], ids=["curl-java-php", "python"])
def test_the_original_manuals_clients_need_one_header_more(open_service: Service, body: bytes) -> None:
    """Source: awslabs/ai-video-super-resolution 2.2.0, "Example of request code": POST to the stage, no slash."""
    open_service.put("xxxx.mp4", open_service.clip)
    answer = open_service.post(body)
    assert answer.status_code == 202
    job = answer.json()
    assert (job["key"], job["output"], job["state"]) == ("xxxx.mp4", "xxxx_x2.mp4", "QUEUED")
    assert answer.headers["Location"] == f"/prod/jobs/{job['id']}"
    assert httpx.post(open_service.url, content=body).status_code == 403


def test_a_job_is_followed_to_its_verified_output(service: Service) -> None:
    job = service.post(_CLIP).json()
    assert [each.role for each in JobRef.parse(job["reference"]).members] == ["array", "merge"]
    service.account.executor.script("mb-*-array", HOLD, Exited(0), index=2)
    service.advance()
    running = service.get(f"/jobs/{job['id']}").json()
    assert (running["state"], running["phase"]) == ("RUNNING", "2 of 3 slices")
    assert 0.5 < running["progress"] < 0.7
    service.account.simulator.lose_host(f"{service.account.simulator.jobs()[0].id}:2")
    service.advance()
    ended = service.get(f"/jobs/{job['id']}").json()
    assert (ended["state"], ended["progress"]) == ("SUCCEEDED", 1.0)
    assert ended["outputs"] == [
        {"uri": f"s3://{service.account.bucket}/out/clip_x2.mp4", "size_bytes": 5, "verified": True}
    ]
    assert service.get("/jobs", ids=f"{job['id']},{'a' * 26},nonsense").json() == {"jobs": [ended]}


def test_success_without_the_bytes_is_no_success(service: Service) -> None:
    service.account.executor.on_success = None
    job = service.post(_CLIP).json()
    service.advance()
    ended = service.get(f"/jobs/{job['id']}").json()
    assert (ended["state"], ended["error"]["code"]) == ("FAILED", "OUTPUT_MISSING")


def test_a_failure_says_who_has_to_act(service: Service) -> None:
    service.account.executor.script("mb-*-array", Exited(65), index=1)
    job = service.post(_CLIP).json()
    service.advance()
    error = service.get(f"/jobs/{job['id']}").json()["error"]
    assert (error["code"], error["blame"], error["retryable"]) == ("MEDIA_CORRUPT", "media", False)
    assert "slice 1" in error["message"]


def test_how_a_job_ended_is_known_after_batch_has_forgotten_it(tmp_path: Path) -> None:
    clock = HandClock()
    with closing(Service(tmp_path, clock=clock)) as service:
        service.account.simulator.lifecycle.clock = clock
        seen, unseen = (service.post({**_CLIP, "scale": scale}).json()["id"] for scale in (2, 4))
        service.advance()
        ended = service.get(f"/jobs/{seen}").json()
        clock.advance(30 * 86_400)
        assert service.get(f"/jobs/{seen}").json() == ended
        assert "no longer knows" in error_of(service.get(f"/jobs/{unseen}"))["message"]


def test_a_cancel_ends_the_whole_chain_and_is_too_late_afterwards(service: Service) -> None:
    path = f"/jobs/{service.post(_CLIP).json()['id']}"
    first = service.delete(path)
    assert (first.status_code, first.json()["outcome"]) == (202, "REQUESTED")
    service.advance()
    assert service.get(path).json()["state"] == "CANCELLED"
    again = service.delete(path)
    assert (again.status_code, again.json()["outcome"], again.json()["state"]) == (200, "TOO_LATE", "CANCELLED")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"key"', "object"),
        (b"{'key': 'a.mp4'}", "JSON"),
        (b'{"key": "a.mp4"', "JSON"),
        (b"eyJrZXkiOiAiYS5tcDQifQ==", "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b"[" * 50_000, "JSON"),
    ],
)
def test_a_body_that_is_no_request_is_a_400(service: Service, body: bytes, words: str) -> None:
    answer = service.post(body)
    assert answer.status_code == 400
    assert words in error_of(answer)["message"]
    assert service.steps() == []


def test_a_body_that_the_gateway_has_encoded_is_read(service: Service) -> None:
    event: dict[str, Any] = {
        "httpMethod": "POST",
        "path": "/",
        "headers": None,
        "body": "eyJrZXkiOiAiaW4vY2xpcC5tcDQifQ==",
        "isBase64Encoded": True,
        "requestContext": {"identity": {}},
    }
    assert service.rig.handler(event, None)["statusCode"] == 202
    assert service.rig.handler({**event, "body": "%%%"}, None)["statusCode"] == 400


def test_a_wrong_field_is_told_with_its_value_and_what_would_be_right(service: Service) -> None:
    answer = service.post({"key": "in/clip.mp4", "scale": 3, "env": "onDemand"})
    assert answer.status_code == 400
    (finding,) = error_of(answer)["fields"]
    assert (finding["field"], finding["value"], finding["expected"]) == ("scale", 3, "2 or 4")
    assert error_of(service.post({"key": "in/clip.mp4", "env": "onDemand"}))["fields"][0]["expected"] == '"spot"'


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "", 405),
        ("POST", "/jobs", 405),
        ("POST", "/jobs/" + "a" * 26, 405),
        ("GET", "/nothing", 404),
        ("GET", "/jobs/short", 404),
        ("GET", "/jobs/" + "a" * 26, 404),
        ("DELETE", "/jobs/" + "a" * 26, 404),
        ("GET", "/jobs", 400),
        ("GET", "/jobs?token=a&ids=b", 400),
        ("GET", "/jobs?ids=" + ",".join(["a" * 26] * 51), 400),
    ],
)
def test_what_is_not_there_is_told(service: Service, method: str, path: str, status: int) -> None:
    for each in ("PUT", "POST", "GET", "DELETE"):
        service.rig.front.add_route(each, "/prod/{proxy+}", "upscale")
        service.rig.front.add_route(each, "/prod", "upscale")
    answer = service.request(method, path)
    assert answer.status_code == status
    assert error_of(answer)["message"]
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("in/none.mp4", 404, "INPUT_NOT_FOUND"), ("in/text.mp4", 422, "MEDIA_UNSUPPORTED")],
)
@pytest.mark.parametrize("named", [None, "with-a-key"])
def test_a_source_that_is_no_video_starts_nothing(
    service: Service, key: str, status: int, code: str, named: str | None
) -> None:
    service.put("in/text.mp4", b"no video")
    answer = service.post({"key": key}, key=named)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)
    assert service.steps() == []
    service.put(key, service.clip)  # what was refused may be asked again
    assert service.post({"key": key}, key=named).status_code == 202


@pytest.fixture
def half_service(tmp_path: Path) -> Iterator[Service]:
    """One of its two queues is not there."""
    with closing(Service(tmp_path, queue_on_demand="gone")) as service:
        yield service


def test_a_job_that_batch_refuses_has_failed_and_stands_in_nobodys_way(half_service: Service) -> None:
    service, wanted = half_service, {**_CLIP, "output": "out/other.mp4", "env": "onDemand"}
    good = service.post(_CLIP).json()["id"]
    refused = service.post(wanted, key="k")
    assert (refused.status_code, "gone" in error_of(refused)["message"]) == (500, True)
    assert service.get("/jobs", token="k").json() == {"jobs": []}
    (bad,) = service.ids() - {good}
    jobs = service.get("/jobs", ids=f"{bad},{good}").json()["jobs"]
    assert [(each["id"], each["state"]) for each in jobs] == [(bad, "FAILED"), (good, "QUEUED")]
    assert "gone" in jobs[0]["error"]["message"]
    ended = service.delete(f"/jobs/{bad}")
    assert (ended.status_code, ended.json()["outcome"], ended.json()["state"]) == (200, "TOO_LATE", "FAILED")
    service.account.simulator.add_queue("gone")
    again = service.post(wanted, key="k").json()["id"]
    assert again not in (good, bad)
    assert service.post(wanted, key="k").json()["id"] == again
    assert [each["id"] for each in service.get("/jobs", token="k").json()["jobs"]] == [again]
    assert service.get(f"/jobs/{bad}").json()["state"] == "FAILED", "how a job ended never changes"
    assert service.steps() == ["array", "merge"] * 2


def test_what_batch_has_refused_may_be_asked_again_without_a_key(half_service: Service) -> None:
    wanted = {**_CLIP, "env": "onDemand"}
    for _ in range(2):
        assert half_service.post(wanted).status_code == 500
    half_service.account.simulator.add_queue("gone")
    assert half_service.post(wanted).json()["state"] == "QUEUED"
    assert half_service.steps() == ["array", "merge"]


def test_a_job_that_cannot_be_told_of_does_not_hide_the_others(service: Service) -> None:
    good, spoilt = service.post(_CLIP).json()["id"], "a" * 26
    service.put(f"wip/requests/{spoilt}/request.json", b"{not a record")
    told, untold = service.get("/jobs", ids=f"{good},{spoilt}").json()["jobs"]
    assert told["id"] == good
    assert (untold.keys(), untold["id"]) == ({"id", "error"}, spoilt)
    assert untold["error"]["code"] == "PROVIDER_INTERNAL"
    assert service.get("/jobs", ids=spoilt).status_code == 500, "nobody else waits for this answer"


def test_an_output_in_the_way_is_a_409_unless_it_may_be_replaced(service: Service) -> None:
    service.put("out/clip_x2.mp4", b"old")
    answer = service.post(_CLIP)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "OUTPUT_EXISTS")
    assert service.post({**_CLIP, "overwrite": True}).status_code == 202


def test_a_picture_beyond_the_limit_is_refused_in_the_originals_words(tmp_path: Path) -> None:
    with closing(Service(tmp_path, max_output_pixels=64 * 48)) as service:
        answer = service.post({**_CLIP, "scale": 4})
        assert answer.status_code == 400
        assert error_of(answer)["message"].startswith("Video size exceeded the limit")
        assert service.post(_CLIP).status_code == 202


@pytest.mark.parametrize("key", ["in/a b#c%20'\"..mp4", "in/ü/文.mp4", "in/" + "k" * 1017 + ".mp4"])
def test_odd_keys_are_keys(service: Service, key: str) -> None:
    bucket = service.account.bucket
    service.account.s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "in/clip.mp4"})
    answer = service.post({"key": key})
    if len(key) > 1000:  # its output's name would be too long
        assert error_of(answer)["fields"][0]["field"] == "key"
        answer = service.post({"key": key, "output": "out/short.mp4"})
    service.advance()
    job = service.get(f"/jobs/{answer.json()['id']}").json()
    assert (job["state"], job["key"]) == ("SUCCEEDED", key)


def test_three_hours_are_180_slices_and_one_second_is_one_job(service: Service, tmp_path: Path) -> None:
    service.put("in/long.mp4", make_video(tmp_path / "long.mp4", seconds=10_800, every_s=60))
    service.put("in/short.mp4", make_video(tmp_path / "short.mp4", seconds=1, every_s=1))
    for key in ("in/long.mp4", "in/short.mp4"):
        assert service.post({"key": key}).status_code == 202
    assert service.steps() == ["array", "merge", "single"]
    assert len(service.account.simulator.jobs()[0].children) == 180


def make_video(path: Path, *, seconds: int, every_s: int) -> Path:
    """A picture every so many seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for at in range(0, seconds, every_s):
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), at % 256, dtype=np.uint8), format="rgb24")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_service_without_settings_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDIABROKER_UPSCALE_BUCKET", raising=False)
    answer: Any = handler({"httpMethod": "GET", "path": "/jobs", "requestContext": {}}, None)
    assert answer["statusCode"] == 500
    assert "bucket" in json.loads(answer["body"])["error"]["message"]


def test_a_caller_neither_reads_nor_cancels_anothers_job_nor_derives_its_id(service: Service) -> None:
    jobs = service.rig.jobs
    order = parse_order(_CLIP)
    started = jobs.accept(order, caller="key-of-a", key="k")
    assert jobs.accept(order, caller="key-of-a", key="k").id == started.id
    assert jobs.find("k", caller="key-of-b") is None
    for attempt in (jobs.look, jobs.cancel):
        with pytest.raises(JobNotFoundError):
            attempt(started.id, caller="key-of-b")
    assert jobs.look(started.id, caller="key-of-a").state is not JobState.CANCELLED
    assert started.id != derive_id("key", "key-of-a", "k"), "who knows a key id and guesses a key knows no job"
    assert service.get(f"/jobs/{started.id}").status_code == 404
    assert service.delete(f"/jobs/{started.id}").status_code == 404
    assert service.get("/jobs", ids=started.id).json() == {"jobs": []}

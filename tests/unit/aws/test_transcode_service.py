"""`POST /videoTranscode`, from the request to the published video, over real HTTP and with real ffmpeg."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from mediabroker.media.probe import probe
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.functions.transcode.files import FileDesk
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.settings import AwsSettings
from mediabroker_aws.simulator.functions.function import Context
from mediabroker_aws.transcoder.wire import TranscodeRequest
from tests.clips import make_audio_only, make_clip, make_hls_as_mp4
from tests.unit.aws.conftest import REGION, Aws, Scripted, reply
from tests.unit.aws.transcoding import KEY, TIME, Service, clip, serving


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str) -> Iterator[Service]:
    with serving(monkeypatch, endpoint, aws, name) as service:
        yield service


def test_a_folder_is_answered_and_worked_off_as_the_manual_says(service: Service, tmp_path: Path) -> None:
    service.put("in/clips/2015.mp4", clip(tmp_path))
    service.put("in/cp/1.mp4", clip(tmp_path))
    service.put("in/notes.txt", b"no video")
    done = f"out/cp/1_{TIME}/1.mp4"
    service.put(done, b"done before")
    answer = service.post()
    assert service.simulator.wait_idle(120)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "videos": [
                {
                    "src": "in/clips/2015.mp4",
                    "dst": f"out/clips/2015_{TIME}/2015.mp4",
                    "keyoutpath": "out/clips/",
                    "output_key": "2015",
                    "status": "transcode",
                    "error": "no",
                },
                {
                    "src": "in/cp/1.mp4",
                    "dst": done,
                    "keyoutpath": "out/cp/",
                    "output_key": "1",
                    "status": "exist",
                    "error": "exist",
                },
                {"error": "not .mp4"},
            ]
        },
    )
    assert service.get(done) == b"done before"
    assert service.status(f"out/cp/1_{TIME}/")["existed"] is True
    made = tmp_path / "made.mp4"
    made.write_bytes(service.get(f"out/clips/2015_{TIME}/2015.mp4"))
    media = probe(made)
    assert (media.video[0].height_px, media.video[0].codec, media.audio[0].codec) == (64, "h264", "aac")
    (told,) = service.completions()
    assert (told["state"], told["id"]) == ("succeeded", f"s3://{service.bucket}/out/clips/2015_{TIME}/status-mp4.json")


def test_a_ladder_is_published_whole_and_its_master_last(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path, height=540, width=96, codec_options={"crf": "1"}))
    (entry,) = service.ask(src="in/a.mp4", type="m3u8", dst="out")
    assert entry["dst"] == f"out/a_{TIME}/a.m3u8"
    master = service.get(entry["dst"]).decode()
    variants = [line for line in master.splitlines() if line and not line.startswith("#")]
    assert len(variants) == 1  # the 720 lines of the second rung are above the source
    assert "RESOLUTION=86x480" in master
    playlist = service.get(f"out/a_{TIME}/{variants[0]}").decode()
    segments = [line for line in playlist.splitlines() if not line.startswith("#")]
    folder = variants[0].rpartition("/")[0]
    assert set(service.keys(f"out/a_{TIME}/{folder}/")) >= {f"out/a_{TIME}/{folder}/{each}" for each in segments}
    written = {each["Key"]: each["LastModified"] for each in _listed(service, f"out/a_{TIME}/{folder}/")}
    (last,) = _listed(service, entry["dst"])
    assert last["LastModified"] >= max(written.values())
    kinds = {each.rpartition(".")[2]: _content_type(service, each) for each in [*written, entry["dst"]]}
    assert kinds == {"m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t"}
    status = service.status(f"out/a_{TIME}/", "m3u8")
    assert status["folders"] == [folder]
    assert status["result"]["outputs"][0]["uri"] == f"s3://{service.bucket}/{entry['dst']}"


def _content_type(service: Service, key: str) -> str:
    return str(service.s3.head_object(Bucket=service.bucket, Key=key)["ContentType"])


def _listed(service: Service, prefix: str) -> list[Any]:
    listed: list[Any] = service.s3.list_objects_v2(Bucket=service.bucket, Prefix=prefix)["Contents"]
    return listed


def test_one_bad_file_never_stops_the_others(service: Service, tmp_path: Path) -> None:
    service.put("in/1-broken.mp4", b"\x00\x00\x00\x20ftypisom" + b"\x00" * 2000)
    service.put("in/2-sound.mp4", make_audio_only(tmp_path / "sound.m4a"))
    service.put("in/3-list.mp4", make_hls_as_mp4(tmp_path / "list.mp4", tmp_path / "target.ts"))
    service.put("in/4-good.mp4", clip(tmp_path))
    service.put("in/5-empty.mp4", b"")
    entries = service.ask()
    assert [entry["status"] for entry in entries] == ["error", "error", "error", "transcode", "error"]
    assert all(entry["error"] not in ("no", "exist") for entry in entries if entry["status"] == "error")
    assert [entry["src"] for entry in entries][3] == "in/4-good.mp4"
    assert service.keys(f"out/4-good_{TIME}/4-good.mp4")
    assert service.status(f"out/1-broken_{TIME}/")["state"] == "failed"
    assert service.works() == 1


def test_a_dry_run_tells_what_would_be_done_and_does_nothing(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    service.put("in/b.mp4", b"no video")
    first, second = service.ask(testflag="test")
    assert (first["status"], first["error"]) == ("transcode", "test")
    assert second["status"] == "error"
    assert service.keys("out/") == []
    assert service.works() == 0


def test_the_same_request_twice_does_the_work_once(service: Service, tmp_path: Path) -> None:
    service.put("in/a.mp4", clip(tmp_path))
    (first,) = service.ask()
    (second,) = service.ask()
    assert (first["error"], second["error"]) == ("no", "exist")
    assert service.works() == 1
    assert len(service.completions()) == 1


@pytest.mark.parametrize(
    "file", ["a b.mp4", "q'\"uote.mp4", "h#ash.mp4", "p%20er+cent.mp4", "dots..mp4", "ä日本.mp4", f"{'n' * 200}.mp4"]
)
def test_awkward_names_come_out_as_they_went_in(service: Service, tmp_path: Path, file: str) -> None:
    service.put(f"in/{file}", clip(tmp_path))
    (entry,) = service.ask(type="m3u8", v_height=480)
    stem = file.removesuffix(".mp4")
    assert entry["dst"] == f"out/{stem}_{TIME}/{stem}.m3u8"
    assert service.get(entry["dst"]).startswith(b"#EXTM3U")


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"bucket": "somebody-elses"}, 403, "bucket"),
        ({"src": "nowhere/"}, 404, "src"),
        ({"src": "nowhere.mp4"}, 404, "src"),
        ({"dst": "in/deeper/"}, 400, "dst"),
        ({"type": "avi"}, 400, "type"),
        ({"time": "now"}, 400, "time"),
        ({"v_height": 999}, 400, "not 480p 720p 1080p"),
        ({"scale": 2}, 400, "scale"),
    ],
)
def test_a_request_that_cannot_be_done_is_a_clear_4xx(
    service: Service, changes: dict[str, Any], status: int, said: str
) -> None:
    answer = service.post(**changes)
    assert answer.status_code == status
    assert said in answer.json()["message"]
    assert answer.json()["code"] == {400: "INVALID_SPEC", 403: "INPUT_DENIED", 404: "INPUT_NOT_FOUND"}[status]


def test_a_body_that_is_no_request_is_a_400_and_a_stranger_is_forbidden(service: Service) -> None:
    for body in (b"", b"[]", b"{", b"null"):
        answer = httpx.post(service.url, content=body, headers={"x-api-key": KEY}, trust_env=False)
        assert answer.status_code == 400
    assert httpx.post(service.url, json={}, trust_env=False).status_code == 403


def test_whoever_may_invoke_the_function_sends_the_fields_themselves(service: Service) -> None:
    service.put("in/a.mp4", b"no video")
    direct = boto3.session.Session().client("lambda", endpoint_url=service.front.url, region_name=REGION)
    fields = {"bucket": service.bucket, "src": "in/", "dst": "out/", "type": "mp4", "time": TIME, "testflag": "yes"}
    answer = json.loads(direct.invoke(FunctionName="transcode", Payload=json.dumps(fields))["Payload"].read())
    refused = json.loads(direct.invoke(FunctionName="transcode", Payload=b"{}")["Payload"].read())
    direct.close()
    assert answer["videos"][0]["status"] == "error"
    assert refused["statusCode"] == 400
    assert "bucket" in refused["message"]


def test_inputs_and_outputs_stay_below_their_prefixes(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str
) -> None:
    prefixes = {"input_prefix": "tenant/in", "output_prefix": "tenant/out/"}
    with serving(monkeypatch, endpoint, aws, name, **prefixes) as service:
        service.put("tenant/in/a.mp4", b"no video")
        service.put("tenant/inside/a.mp4", b"no video")
        within = {"src": "tenant/in/", "dst": "tenant/out/x"}
        assert service.post(**within).status_code == 200
        for astray in ({"src": "tenant/inside/"}, {"dst": "tenant/outside/"}, {"dst": "other/"}):
            assert service.post(**{**within, **astray}).status_code == 403


def test_a_folder_beyond_the_budget_is_gone_on_with_by_another_invocation(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str
) -> None:
    monkeypatch.setattr("mediabroker_aws.functions.transcode.api._PAGE", 3)
    with serving(monkeypatch, endpoint, aws, name, budget_s=0) as service:
        for index in range(8):
            service.put(f"in/{index}.mp4", b"no video")
        answer = service.post()
        assert answer.json()["more"] is True
        assert [entry["src"] for entry in answer.json()["videos"]] == ["in/0.mp4", "in/1.mp4", "in/2.mp4"]
        assert service.simulator.wait_idle(120)
        assert [service.status(f"out/{index}_{TIME}/")["state"] for index in range(8)] == ["failed"] * 8
        looked = service.post(testflag="yes", dst="elsewhere/")
        assert looked.json()["more"] is True
        assert service.simulator.wait_idle(120)
        assert service.keys("elsewhere/") == []


def test_a_service_that_may_not_go_on_with_a_folder_says_so_in_json(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str
) -> None:
    monkeypatch.setattr("mediabroker_aws.functions.transcode.api._PAGE", 1)
    with serving(monkeypatch, endpoint, aws, name, budget_s=0) as service:
        for index in range(2):
            service.put(f"in/{index}.mp4", b"no video")
        fields = {"bucket": service.bucket, "src": "in/", "dst": "out/", "type": "mp4", "time": TIME}
        intake = service.simulator.find("transcode").handler
        unknown = Context("no-such-function", "arn", "id", time.time() + 100, memory_mb=1024)
        proxied = {"httpMethod": "POST", "path": "/", "requestContext": {}, "body": json.dumps(fields)}
        answers = [intake(event, unknown) for event in (fields, proxied)]
        assert [answer["statusCode"] for answer in answers] == [500, 500]
        assert "no-such-function" in answers[0]["message"] == json.loads(answers[1]["body"])["message"]


def test_a_file_whose_status_cannot_be_read_does_not_end_the_request_for_the_others(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediabroker_aws.s3.store._PAUSE_S", 0.0)
    scripted.answers.append(reply(200, b'{"version": 1}', send=0, ETag='"1"'))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", scripted.url)
    s3 = AwsClient("s3", AwsSettings(region=REGION, endpoint_url=scripted.url), s3={"addressing_style": "path"})
    desk = FileDesk(TranscoderSettings(buckets="media", worker="worker"), s3)
    request = TranscodeRequest(bucket="media", src="in/", dst="out/", type="mp4", time=TIME)
    entries: list[Any] = desk.decide(request, ["in/a.mp4", "in/b.mp4"])
    assert [(entry["src"], entry["status"]) for entry in entries] == [("in/a.mp4", "error"), ("in/b.mp4", "error")]


def test_what_does_not_fit_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str, tmp_path: Path
) -> None:
    with serving(monkeypatch, endpoint, aws, name, pixels_per_s=10.0) as service:
        service.put("in/a.mp4", clip(tmp_path))
        (entry,) = service.ask()
        assert entry["status"] == "error"
        assert entry["error"].startswith("too long for Lambda")
        assert service.status(f"out/a_{TIME}/")["error"]["code"] == "OUT_OF_RESOURCES"
        assert service.works() == 0


def test_what_needs_more_room_than_there_is_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str, tmp_path: Path
) -> None:
    with serving(monkeypatch, endpoint, aws, name, worker_tmp_bytes=1 << 20) as service:
        service.put("in/a.mp4", make_clip(tmp_path / "long.mp4", frames=30, rate=1))
        (entry,) = service.ask()
        assert entry["error"].startswith("too large for Lambda")


def test_nothing_is_left_in_the_workers_scratch_space(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    service.put("in/a.mp4", clip(tmp_path))
    service.put(
        "in/b.mp4", make_clip(tmp_path / "b.mp4", container_options={"movflags": "faststart"}).read_bytes()[:-900]
    )
    service.ask()
    assert service.works() == 2
    assert list(scratch.iterdir()) == []

"""The simulated MPS really does its jobs: clips in, objects out, answers in the documented shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from PIL import Image

from mediabroker.media.effects import EFFECTS
from mediabroker.media.probe import probe
from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.mps.production import BARE_FUNCTIONS, FUNCTIONS
from mediabroker_alibaba.simulator.mps.work.executor import MediaExecutor
from mediabroker_alibaba.simulator.world import World
from tests import clips
from tests.unit.alibaba.folder_objects import FolderObjects
from tests.unit.alibaba.mps_client import ACCOUNT, REGION, Place

LOCATION = f"oss-{REGION}"
INPUT = {"Bucket": "media", "Location": LOCATION, "Object": "in%2Fa.mp4"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", width=160, height=96, frames=50)


@pytest.fixture
def objects(tmp_path: Path, clip: Path) -> FolderObjects:
    objects = FolderObjects(tmp_path / "oss", ACCOUNT, REGION, "media")
    objects.store(ACCOUNT, "media", "in/a.mp4", clip)
    return objects


@pytest.fixture
def place(objects: FolderObjects) -> Iterator[Place]:
    with closing(Place(World(SimulatedClock(frozen=True)), MediaExecutor(objects), objects)) as place:
        yield place


def oss(key: str, bucket: str = "media") -> str:
    return f"oss://{bucket}.{LOCATION}.aliyuncs.com/{key}"


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as opened:
        return opened.size


def produce(place: Place, function: str, source: str, output: str | None, **params: Any) -> dict[str, Any]:
    """What QueryIProductionJob tells at the end, `Result` and `Data` decoded."""
    more = {"Output": oss(output)} if output else {}
    submitted = place.call("SubmitIProductionJob", FunctionName=function, Input=oss(source), JobParams=params, **more)
    place.engine.settle(110)
    told = place.call("QueryIProductionJob", JobId=submitted["JobId"])
    result = json.loads(told["Result"])
    if "Data" in result:
        result["Data"] = json.loads(result["Data"])
    return {**told, "Result": result}


def transcode(place: Place, **output: Any) -> dict[str, Any]:
    pipeline_id = place.call("SearchPipeline")["PipelineList"]["Pipeline"][0]["Id"]
    answer = place.call(
        "SubmitJobs",
        Input=INPUT,
        OutputBucket="media",
        OutputLocation=LOCATION,
        Outputs=[output],
        PipelineId=pipeline_id,
    )["JobResultList"]["JobResult"][0]
    if not answer["Success"]:
        return {"State": "refused", "Code": answer["Code"]}
    place.engine.settle(110)
    job: dict[str, Any] = place.call("QueryJobList", JobIds=answer["Job"]["JobId"])["JobList"]["Job"][0]
    return job


def test_cover_numbers_its_pictures_and_scores_them(place: Place, objects: FolderObjects) -> None:
    told = produce(place, "Cover", "in/a.mp4", "cover/{source}-{sequenceId}.jpg")
    found = told["Result"]["Data"]
    assert [each["Url"] for each in found] == [f"cover/a-{number:05d}.jpg" for number in range(1, len(found) + 1)]
    assert all(float(each["Time"]) <= 2000 and 0 <= each["Score"] <= 10 for each in found)
    assert size_of(objects.path("media", found[0]["Url"])) == (160, 96)


def test_cover_without_a_number_leaves_one_picture(place: Place, objects: FolderObjects) -> None:
    told = produce(place, "Cover", "in/a.mp4", "cover.jpg")
    assert {each["Url"] for each in told["Result"]["Data"]} == {"cover.jpg"}
    assert objects.keys("media") == ["cover.jpg", "in/a.mp4"]


def test_animated_cover_is_stamped_with_the_time(place: Place, objects: FolderObjects) -> None:
    told = produce(place, "Cover", "in/a.mp4", "{timestamp}-{sequenceId}.gif", Model="gif")
    stamp = int(place.world.clock.now().timestamp())
    key = told["Result"]["Data"][0]["Url"]
    assert int(key.split("-")[0]) <= stamp
    with Image.open(objects.path("media", key)) as picture:
        assert picture.is_animated  # type: ignore[attr-defined]  # of GIFs


@pytest.mark.parametrize(
    ("function", "params"),
    [
        ("VideoDelogo", {"Logo": [[0, 0, 0.3, 0.3]]}),
        ("VideoDetext", {"Text": [[0.1, 0.6, 0.5, 0.3]]}),
        ("VideoH2V", {}),
        ("VideoClip", {}),
    ],
)
def test_videos_are_made(place: Place, objects: FolderObjects, function: str, params: dict[str, Any]) -> None:
    told = produce(place, function, "in/a.mp4", "out/{source}.mp4", **params)
    assert told["State"] == "Success"
    assert probe(objects.path("media", "out/a.mp4")).video
    if function in BARE_FUNCTIONS:
        assert told["Result"] == {"Details": [], "Message": "success", "Code": "Success"}
    else:
        assert told["Result"]["Data"] == {"result": [{"file": "out/a.mp4"}]}


def test_picture_is_cartoonized(place: Place, objects: FolderObjects) -> None:
    source = Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 40).convert("RGB")
    source.save(objects.path("media", "in/p.png"), format="PNG")
    told = produce(place, "ImageCartoonize", "in/p.png", "out/{sequenceId}.png")
    assert told["Result"]["Data"] == {"result": [{"file": "out/00001.png"}]}
    with Image.open(objects.path("media", "out/00001.png")) as picture:
        made = picture.convert("RGB")
    assert made.size == source.size
    assert made.tobytes() != source.tobytes()


def test_track_of_another_object_is_mixed_in(place: Place, objects: FolderObjects, tmp_path: Path) -> None:
    clips.make_audio_only(tmp_path / "tone.m4a").rename(objects.path("media", "in/tone.m4a"))
    told = produce(place, "AudioMixing", "in/a.mp4", "out/mixed.mp4", inputs=[{"file": oss("in/tone.m4a")}])
    assert told["Result"]["Data"] == {"result": [{"file": "out/mixed.mp4"}]}
    assert probe(objects.path("media", "out/mixed.mp4")).audio


def test_sections_are_told_in_seconds_without_a_file(place: Place) -> None:
    told = produce(place, "MusicSegmentDetect", "in/a.mp4", None)
    assert told["Result"]["Data"] == {"result": []}  # a tone of two seconds has no chorus


@pytest.mark.parametrize("function", sorted(FUNCTIONS - set(EFFECTS)))
def test_what_needs_a_model_fails_and_says_so(place: Place, function: str) -> None:
    told = produce(place, function, "in/a.mp4", "out/x.srt")
    assert (told["State"], told["Result"]["Code"]) == ("Fail", "NotSimulated")
    assert function in told["Result"]["Message"]


@pytest.mark.parametrize(
    ("key", "params", "code"),
    [
        ("in/none.mp4", {"Logo": [[0, 0, 0.3, 0.3]]}, "InvalidParameter.ResourceNotFound"),
        ("in/text.mp4", {"Logo": [[0, 0, 0.3, 0.3]]}, "InvalidParameter.ResourceNotSupported"),
        ("in/a.mp4", {}, "InvalidParameter"),
    ],
)
def test_bad_input_fails_the_job(
    place: Place, objects: FolderObjects, key: str, params: dict[str, Any], code: str
) -> None:
    clips.make_text(objects.path("media", "in/text.mp4"))
    told = produce(place, "VideoDelogo", key, "out/x.mp4", **params)
    assert (told["State"], told["Result"]["Code"]) == ("Fail", code)
    assert objects.keys("media") == ["in/a.mp4", "in/text.mp4"]


def test_bucket_of_nobody_is_refused_at_once(place: Place) -> None:
    with pytest.raises(ServerException) as error:
        place.call("SubmitIProductionJob", FunctionName="Cover", Input=oss("a.mp4", "others"), Output=oss("x"))
    assert (error.value.get_http_status(), error.value.get_error_code()) == (403, "PermissionDenied.ResourceAccess")


def test_template_and_override_make_the_video(place: Place, objects: FolderObjects) -> None:
    job = transcode(
        place,
        OutputObject="%7BObjectPrefix%7D%7BFileName%7D-small.mp4",
        TemplateId="S00000001-200010",
        Video={"Width": "128", "Fps": "10", "Crf": "40", "Preset": "veryfast"},
        Clip={"TimeSpan": {"Seek": "0.5", "Duration": "1"}},
        Rotate="90",
    )
    assert job["State"] == "TranscodeSuccess"
    assert job["Output"]["OutputFile"]["Object"] == "in%2Fa-small.mp4"
    made = probe(objects.path("media", "in/a-small.mp4"))
    assert (made.video[0].width_px, made.video[0].codec, made.video[0].frame_rate) == (128, "h264", "10/1")
    assert made.video[0].height_px > 200
    assert made.duration_s == pytest.approx(1, abs=0.2)
    properties = job["Output"]["Properties"]
    assert (properties["Width"], properties["FileSize"]) == ("128", str(made.size_bytes))


def test_playlist_gets_its_ending_and_its_slices(place: Place, objects: FolderObjects) -> None:
    job = transcode(
        place,
        OutputObject="hls%2Fa",
        TemplateId="S00000001-100010",
        Video={"Width": "128", "Preset": "veryfast", "Gop": "25"},
        MuxConfig={"Segment": {"Duration": "1"}},
    )
    assert job["Output"]["OutputFile"]["Object"] == "hls%2Fa.m3u8"
    assert objects.keys("media") == ["hls/a-00001.ts", "hls/a-00002.ts", "hls/a.m3u8", "in/a.mp4"]
    assert "a-00002.ts" in objects.path("media", "hls/a.m3u8").read_text()


@pytest.mark.parametrize(
    ("template_id", "ending", "container"),
    [("S00000001-300010", "mp3", "mp3"), ("S00000001-000000", "flv", "flv"), ("S00000001-200000", "mp4", "mp4")],
)
def test_sound_and_copies_are_made(
    place: Place, objects: FolderObjects, template_id: str, ending: str, container: str
) -> None:
    job = transcode(place, OutputObject=f"out.{ending}", TemplateId=template_id)
    assert job["State"] == "TranscodeSuccess"
    made = probe(objects.path("media", f"out.{ending}"))
    assert (made.container, bool(made.video)) == (container, ending != "mp3")


def test_name_tells_of_the_finished_file(place: Place, objects: FolderObjects) -> None:
    job = transcode(place, OutputObject="%7BDestMd5%7D.mp3", TemplateId="S00000001-300010")
    assert len(job["Output"]["OutputFile"]["Object"]) == 32 + len(".mp3")
    assert job["Output"]["OutputFile"]["Object"] in objects.keys("media")


@pytest.mark.parametrize("template_id", ["S00000000-200010", "S00000003-200020", "S00000001-400040"])
def test_templates_that_need_a_model_fail(place: Place, template_id: str) -> None:
    job = transcode(place, OutputObject="x.mp4", TemplateId=template_id)
    assert (job["State"], job["Code"]) == ("TranscodeFail", "InvalidParameter.TemplateNotSupported")


@pytest.mark.parametrize(
    "output",
    [
        {"Video": {"Crop": "border"}},
        {"TransConfig": {"TransMode": "twopass"}},
        {"Rotate": "45"},
        {"Clip": {"TimeSpan": {"End": "1"}}},
    ],
)
def test_settings_that_are_not_done_are_refused(place: Place, output: dict[str, Any]) -> None:
    job = transcode(place, OutputObject="x.mp4", TemplateId="S00000001-200010", **output)
    assert job == {"State": "refused", "Code": "InvalidParameter.NotSupported"}


def test_own_templates_are_used(place: Place, objects: FolderObjects) -> None:
    template_id = place.service.add_template(
        ACCOUNT, REGION, {"Container": {"Format": "flac"}, "Audio": {"Codec": "FLAC"}}
    )
    assert transcode(place, OutputObject="x.flac", TemplateId=template_id)["State"] == "TranscodeSuccess"
    assert probe(objects.path("media", "x.flac")).container == "flac"


def test_snapshots_have_their_number_and_size(place: Place, objects: FolderObjects) -> None:
    target = {"Bucket": "media", "Location": LOCATION, "Object": "s%2F{Count}.jpg"}
    config = {"OutputFile": target, "Time": "100", "Num": "3", "Interval": "1", "Width": "64", "Height": "64"}
    job_id = place.call("SubmitSnapshotJob", Input=INPUT, SnapshotConfig=config)["SnapshotJob"]["Id"]
    place.engine.settle(110)
    job = place.call("QuerySnapshotJobList", SnapshotJobIds=job_id)["SnapshotJobList"]["SnapshotJob"][0]
    assert (job["State"], job["Count"]) == ("Success", "2")  # the third would be after the end
    assert objects.keys("media") == ["in/a.mp4", "s/00001.jpg", "s/00002.jpg"]
    assert size_of(objects.path("media", "s/00001.jpg")) == (64, 64)


def test_one_snapshot_comes_with_the_answer(place: Place, objects: FolderObjects) -> None:
    target = {"Bucket": "media", "Location": LOCATION, "Object": "one.jpg"}
    job = place.call("SubmitSnapshotJob", Input=INPUT, SnapshotConfig={"OutputFile": target, "Height": "48"})
    assert job["SnapshotJob"]["State"] == "Success"
    assert size_of(objects.path("media", "one.jpg")) == (80, 48)


def test_media_information_is_all_text(place: Place) -> None:
    job = place.call("SubmitMediaInfoJob", Input=INPUT)["MediaInfoJob"]
    properties = job["Properties"]
    assert job["State"] == "Success"
    assert (properties["Width"], properties["Height"], properties["Fps"]) == ("160", "96", "25")
    assert properties["Streams"]["AudioStreamList"]["AudioStream"][0]["CodecName"] == "aac"
    assert len(properties["MD5"]) == 32

    def leaves(value: Any) -> Iterator[Any]:
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from leaves(each)
        if not isinstance(value, dict | list):
            yield value

    assert all(isinstance(each, str) for each in leaves(properties))


def test_media_information_of_no_media_fails(place: Place, objects: FolderObjects) -> None:
    clips.make_text(objects.path("media", "in/a.mp4"))
    job = place.call("SubmitMediaInfoJob", Input=INPUT)["MediaInfoJob"]
    assert (job["State"], job["Code"]) == ("Fail", "InvalidParameter.ResourceNotSupported")

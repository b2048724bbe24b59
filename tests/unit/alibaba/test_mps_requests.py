"""What is sent to MPS, built without a network."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from mediabroker import production
from mediabroker.absent import Absent
from mediabroker.errors import ProviderError, UnavailableError, UnsupportedError
from mediabroker.jobs import JobSpec, MediaInfo, SmartProduction, Snapshot, Transcode
from mediabroker.production import Box
from mediabroker.refs import MemberRef
from mediabroker.spi import Call, SubmitContext, Submitted, drive
from mediabroker_alibaba.catalogue import BY_KIND, FUNCTIONS, build_params
from mediabroker_alibaba.mps.provider import MpsProvider
from mediabroker_alibaba.mps.requests import build_production
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.user_data import parse_user_data
from tests.unit.alibaba.golden import golden

REGION = "cn-shanghai"
PIPELINE = "a54fdc9c9aab413caef0d1150f565e86"
SETTINGS = MpsSettings(region=REGION, pipeline=PIPELINE)
SOURCE, OUTPUT = "oss://bucket/in/a b.mp4", "oss://bucket/out/a.mp4"


def context(spec: JobSpec[Any]) -> SubmitContext:
    return SubmitContext(job_id="job", attempt=1, token="token", input=spec.input, output=spec.output)


def sent(spec: JobSpec[Any], options: MpsOptions | None = None, **replies: Any) -> list[Call[Any]]:
    """The calls of a submit; reads are answered from `replies`, creates with their stand-ins."""
    provider = MpsProvider("mps", {"region": REGION, "pipeline": PIPELINE})
    provider.check(spec, options)
    flow = provider.submit(spec, options, context(spec))
    calls: list[Call[Any]] = []
    reply: Any = None
    while True:
        try:
            call = flow.send(reply)
        except StopIteration:
            return calls
        calls.append(call)
        reply = call.stand_in if call.effect == "create" else replies[call.operation]


def job_params(spec: SmartProduction[Any]) -> Any:
    return build_params(spec, REGION)[1]


def test_the_manuals_sample_request_is_the_one_that_is_sent() -> None:
    sample = golden("submit-iproduction-request")
    spec = SmartProduction(
        input=sample["Input"], output=sample["Output"], function="Cover", params={"Model": "gif"}, user_data="testuser"
    )
    options = MpsOptions(
        pipeline=sample["PipelineId"], notify_url=sample["NotifyUrl"], model_id="null", schedule_params="null"
    )
    params = build_production(SETTINGS, spec, options, context(spec)).params
    tag = parse_user_data(params["UserData"])
    assert tag is not None
    assert (tag.user_data, tag.token) == ("testuser", "token")
    # The manual's own parameters are no JSON; its present page has this form. The host of its queue is a slip, too.
    expected = {**sample, "JobParams": '{"Model":"gif"}', "UserData": params["UserData"]}
    expected["NotifyUrl"] = sample["NotifyUrl"].replace(".oss-cn-shanghai.", ".mns.cn-shanghai.")
    del expected["Action"]
    assert dict(params) == expected


def test_what_is_not_set_is_not_sent() -> None:
    spec = production.VideoClip(input=SOURCE, output=OUTPUT)
    params = build_production(MpsSettings(region=REGION), spec, MpsOptions(), context(spec)).params
    assert sorted(params) == ["FunctionName", "Input", "Output", "UserData"]
    assert params["Input"] == "oss://bucket.oss-cn-shanghai.aliyuncs.com/in/a b.mp4"


@pytest.mark.parametrize(
    ("cls", "fields", "expected"),
    [
        (production.Cover, {"output": "oss://bucket/{sequenceId}.gif", "animated": True}, {"Model": "gif"}),
        (production.Cover, {"output": "oss://bucket/{sequenceId}.jpg"}, {}),
        (
            production.VideoDelogo,
            {"boxes": (Box(x=0, y=0, width=0.3, height=0.3), Box(x=0.7, y=0, width=0.3, height=0.3))},
            {"Logo": [[0, 0, 0.3, 0.3], [0.7, 0, 0.3, 0.3]]},
        ),
        (production.VideoDetext, {"boxes": (Box(x=0, y=0.8, width=1, height=0.2),)}, {"Text": [[0, 0.8, 1, 0.2]]}),
        (
            production.CaptionExtraction,
            {
                "output": "oss://bucket/{resultType}.srt",
                "frames_per_s": 2,
                "region": Box(x=0.25, y=0.5, width=0.5, height=0.5),
                "separate_languages": True,
                "style": "{\\an8}",
                "main_track_only": True,
            },
            {
                "fps": 2,
                "roi": [[0.5, 1.0], [0.25, 0.75]],
                "sep": True,
                "formatter": "{\\an8}",
                "track": "main",
            },
        ),
        (production.VideoGreenScreenMatting, {"background": "https://host/b.png"}, {"bgimage": "https://host/b.png"}),
        (
            production.AudioMixing,
            {"track": "oss://bucket/b.mp3"},
            {"inputs": [{"file": "oss://bucket.oss-cn-shanghai.aliyuncs.com/b.mp3"}]},
        ),
        (
            production.Asr,
            {"start_s": 3661, "duration_s": 59, "first_channel_only": True, "word_level": False},
            {
                "start_time": "01:01:01",
                "duration": "00:00:59",
                "request_params": "&first_channel_only=True&enable_word_level_result=False",
            },
        ),
        (
            production.AsyncTextToSpeech,
            {"output": "oss://bucket/a.{resultType}", "format": "mp3", "speech_rate": -500},
            {"format": "mp3", "speech_rate": -500},
        ),
        (production.ImageCartoonize, {"params": {"Model": "3d"}}, {"Model": "3d"}),
    ],
)
def test_typed_fields_become_the_vendors_parameters(cls: Any, fields: dict[str, Any], expected: Any) -> None:
    assert job_params(cls(**{"input": SOURCE, "output": OUTPUT, **fields})) == expected


def test_every_field_of_every_leaf_has_its_place_on_the_wire() -> None:
    shared = set(SmartProduction.model_fields)
    by_hand = {"asr": {"first_channel_only", "word_level"}}
    for each in FUNCTIONS:
        own = set(each.leaf.model_fields) - shared - by_hand.get(each.kind, set())
        assert own == set(each.fields), each.name
    leaves = {getattr(production, name) for name in production.__all__} - {Box}
    assert {each.leaf for each in FUNCTIONS} == leaves
    assert len(BY_KIND) == len(FUNCTIONS)


PROBED = {
    "SubmitMediaInfoJob": {
        "MediaInfoJob": {
            "State": "Success",
            "Properties": {
                "Bitrate": "2000",
                "FileSize": "1",
                "Streams": {
                    "VideoStreamList": {
                        "VideoStream": [{"Width": "1280", "Height": "720", "AvgFPS": "25", "Bitrate": "1900"}]
                    }
                },
            },
        }
    },
    "HeadObject": {"version": None},
}


def outputs(calls: list[Call[Any]]) -> list[dict[str, Any]]:
    found = []
    for call in calls:
        if call.operation == "SubmitJobs":
            (only,) = json.loads(str(call.params["Outputs"]))
            found.append(only)
    return found


def test_a_transcode_keeps_the_sources_size_and_the_usual_quality() -> None:
    calls = sent(Transcode(input=SOURCE, output=OUTPUT), **PROBED)
    assert [call.operation for call in calls] == ["HeadObject", "SubmitMediaInfoJob", "SubmitJobs"]
    params = calls[-1].params
    assert json.loads(str(params["Input"])) == {
        "Bucket": "bucket",
        "Location": "oss-cn-shanghai",
        "Object": "in%2Fa%20b.mp4",
    }
    assert (params["OutputBucket"], params["OutputLocation"]) == ("bucket", "oss-cn-shanghai")
    assert params["PipelineId"] == PIPELINE
    (output,) = outputs(calls)
    assert output["OutputObject"] == "out%2Fa.mp4"
    assert output["Container"] == {"Format": "mp4"}
    assert output["Video"] == {"Codec": "H.264", "Preset": "veryfast", "Width": "1280", "Height": "720", "Crf": "21"}


def test_a_ladder_is_one_call_an_output_and_never_above_its_source() -> None:
    ladder: list[dict[str, int]] = [
        {"height_px": height, "video_bitrate_bps": 1_000_000} for height in (360, 720, 1080)
    ]
    spec = Transcode(input=SOURCE, output="oss://bucket/hls/a.m3u8", container="hls", renditions=ladder)  # type: ignore[arg-type]  # pydantic reads mappings
    calls = sent(spec, **PROBED)
    made = outputs(calls)
    assert [each["OutputObject"] for each in made] == ["hls%2Fa-0_360p", "hls%2Fa-1_720p"]
    assert {each["Container"]["Format"] for each in made} == {"m3u8"}
    assert [each["MuxConfig"] for each in made] == [{"Segment": {"Duration": "6"}}] * 2
    tags = [parse_user_data(each["UserData"]) for each in made]
    assert [(tag.step, tag.of, str(tag.output)) for tag in tags if tag] == [
        ("0_360p", 2, "oss://bucket/hls/a.m3u8"),
        ("1_720p", 2, "oss://bucket/hls/a.m3u8"),
    ]


def test_a_template_stands_for_itself() -> None:
    calls = sent(
        Transcode(input=SOURCE, output=OUTPUT, overwrite=True),
        MpsOptions(template="S00000001-200030", priority=10, extra={"Rotate": "90"}),
    )
    (output,) = outputs(calls)
    assert len(calls) == 1
    assert {name: output[name] for name in output if name not in ("UserData", "OutputObject")} == {
        "TemplateId": "S00000001-200030",
        "Priority": "10",
        "Rotate": "90",
    }


def test_each_picture_of_a_snapshot_is_named_exactly() -> None:
    spec = Snapshot(input=SOURCE, output="oss://bucket/shot-{index}.jpg", at_s=(0, 1.5), width_px=320)
    calls = [call for call in sent(spec, **PROBED) if call.operation == "SubmitSnapshotJob"]
    configs = [json.loads(str(call.params["SnapshotConfig"])) for call in calls]
    assert [(each["OutputFile"]["Object"], each["Time"], each["Width"]) for each in configs] == [
        ("shot-1.jpg", "0", "320"),
        ("shot-2.jpg", "1500", "320"),
    ]


@pytest.mark.parametrize(
    ("spec", "looked_for"),
    [
        (Transcode(input=SOURCE, output=OUTPUT), ["out/a.mp4"]),
        (
            Transcode(input=SOURCE, output="oss://bucket/hls/a.m3u8", container="hls"),
            [f"hls/a{rung}.m3u8" for rung in ("", "-0_240p", "-1_360p", "-2_480p", "-3_720p")],
        ),
        (Snapshot(input=SOURCE, output="oss://bucket/a.jpg"), ["a.jpg"]),
        (Snapshot(input=SOURCE, output="oss://bucket/s-{index}.jpg", at_s=(0, 1)), ["s-1.jpg", "s-2.jpg"]),
        (MediaInfo(input=SOURCE, output="oss://bucket/{a}.json"), ["{a}.json"]),
        (production.Cover(input=SOURCE, output="oss://bucket/{sequenceId}.jpg"), []),
        (production.VideoClip(input=SOURCE, output=OUTPUT), ["out/a.mp4"]),
    ],
    ids=lambda given: getattr(given, "kind", ""),
)
def test_every_file_with_a_known_name_is_looked_for_before_anything_is_created(
    spec: JobSpec[Any], looked_for: list[str]
) -> None:
    calls = sent(spec, **PROBED)
    looks = [str(call.params["uri"]) for call in calls if call.operation == "HeadObject"]
    assert looks == [f"oss://bucket/{key}" for key in looked_for]
    effects = [call.effect for call in calls]
    assert "read" not in effects[effects.index("create") :]
    allowed = sent(spec.model_copy(update={"overwrite": True}), **PROBED)
    assert [call for call in allowed if call.operation == "HeadObject"] == []


def test_every_parameter_is_one_that_the_sdk_knows() -> None:
    specs: list[JobSpec[Any]] = [
        Transcode(input=SOURCE, output=OUTPUT),
        Snapshot(input=SOURCE, output="oss://bucket/a.jpg"),
        MediaInfo(input=SOURCE),
        production.VideoClip(input=SOURCE, output=OUTPUT),
    ]
    for call in [call for spec in specs for call in sent(spec, **PROBED) if call.service == "mps"]:
        module = importlib.import_module(f"aliyunsdkmts.request.v20140618.{call.operation}Request")
        request = getattr(module, f"{call.operation}Request")
        assert [name for name in call.params if not hasattr(request, f"set_{name}")] == []


@pytest.mark.parametrize(
    ("spec", "options", "complaint"),
    [
        (Transcode(input="oss://bucket.oss-cn-beijing.aliyuncs.com/a.mp4", output=OUTPUT), {}, "lies in cn-beijing"),
        (Transcode(input=SOURCE, output=OUTPUT, encoder={"preset": "ultrafast"}), {}, "no 'ultrafast'"),  # type: ignore[arg-type]  # pydantic reads mappings
        (Transcode(input=SOURCE, output="oss://bucket/{FileName}.mp4"), {}, "brace"),
        (Transcode(input=SOURCE, output=OUTPUT, user_data="x" * 1024), {}, "user_data: .* carries 1024"),
        (Transcode(input=SOURCE, output=OUTPUT), {"notify_url": "mns://1.mns.cn-shanghai.aliyuncs.com/queues/q"}, "no"),
        (MediaInfo(input=SOURCE), {"template": "S00000001-200030"}, "options.template"),
        (Transcode(input=SOURCE, output=OUTPUT), {"extra": {"UserData": "mine"}}, "UserData cannot be replaced"),
        (Snapshot(input=SOURCE, output="oss://bucket/a.png"), {}, "must end in .jpg"),
        (
            SmartProduction(input=SOURCE, output="oss://bucket/a.jpg", function="Cover"),
            {},
            r"needs \{sequenceId\} in its name",
        ),
        *(
            (spec, {}, r"needs \{resultType\}.* in its name")
            for spec in (
                production.CaptionExtraction(input=SOURCE, output="oss://bucket/b.srt", params={"sep": True}),
                SmartProduction(
                    input=SOURCE, output="oss://bucket/b.srt", function="CaptionExtraction", params={"sep": "true"}
                ),
                SmartProduction(input=SOURCE, output="oss://bucket/b.mp3", function="AsyncTextToSpeech"),
            )
        ),
        (
            production.VideoDelogo(input=SOURCE, output="oss://bucket/{timestamp}.mp4"),
            {},
            "does not tell the names of its files",
        ),
        (production.MusicSegmentDetect(input=SOURCE, output=OUTPUT), {}, "writes no file"),
        (production.AudioMixing(input=SOURCE, output=OUTPUT, track="s3://bucket/b.mp3"), {}, "does not read s3"),
        *(
            (production.VideoGreenScreenMatting(input=SOURCE, output=OUTPUT, background=uri), {}, complaint)
            for uri, complaint in (
                ("oss://bucket.oss-cn-beijing.aliyuncs.com/b.png", "background: .* lies in cn-beijing"),
                ("s3://bucket/b.png", "does not read s3"),
            )
        ),
    ],
)
def test_what_mps_cannot_be_told_is_refused_before_anything_is_sent(
    spec: JobSpec[Any], options: dict[str, Any], complaint: str
) -> None:
    provider = MpsProvider("mps", {"region": REGION, "pipeline": PIPELINE})
    with pytest.raises(UnsupportedError, match=complaint):
        provider.check(spec, MpsOptions(**options))


@pytest.mark.parametrize(
    "spec",
    [
        production.CaptionExtraction(input=SOURCE, output="oss://bucket/b.srt", params={"sep": False}),
        SmartProduction(
            input=SOURCE, output="oss://bucket/{resultType}.srt", function="CaptionExtraction", params={"sep": True}
        ),
        SmartProduction(input=SOURCE, output="oss://bucket/b.{resultType}", function="AsyncTextToSpeech"),
        production.Cover(input=SOURCE, output="oss://bucket/{sequenceId}.jpg"),
        SmartProduction(input=SOURCE, output="oss://bucket/b.srt", function="FromTheFuture", params={"sep": True}),
    ],
    ids=lambda spec: f"{spec.function}-{spec.output.name}",
)
def test_an_output_whose_files_have_names_of_their_own_passes(spec: SmartProduction[Any]) -> None:
    MpsProvider("mps", {"region": REGION}).check(spec, None)


def test_a_transcode_without_a_pipeline_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"options\.pipeline"):
        MpsProvider("mps", {"region": REGION}).check(Transcode(input=SOURCE, output=OUTPUT), None)


@pytest.mark.parametrize(
    "spec", [production.TextToSpeech(input=SOURCE), SmartProduction(input=SOURCE, function="TextToSpeech")]
)
def test_a_function_whose_result_could_not_be_told_is_refused(spec: JobSpec[Any]) -> None:
    provider = MpsProvider("mps", {"region": REGION, "old_functions": True})
    assert "text_to_speech" not in provider.capabilities().kinds
    with pytest.raises(UnsupportedError, match=r"text_to_speech|the answer to the submit alone"):
        provider.check(spec, None)


@pytest.mark.parametrize("form", ["mns.", "oss-", "mns.oss-"])
@pytest.mark.parametrize("where", ["options", "settings"])
def test_a_queue_of_another_region_is_refused_and_one_of_this_region_sent_in_the_right_form(
    form: str, where: str
) -> None:
    spec = production.VideoClip(input=SOURCE, output=OUTPUT)

    def notify(region: str) -> Any:
        url = f"mns://1234.{form}{region}.aliyuncs.com/queues/done"
        given = {"notify_url": url} if where == "settings" else {}
        provider = MpsProvider("mps", {"region": REGION, **given})
        options = MpsOptions(notify_url=url) if where == "options" else None
        provider.check(spec, options)
        return next(provider.submit(spec.model_copy(update={"overwrite": True}), options, context(spec)))

    assert notify(REGION).params["NotifyUrl"] == "mns://1234.mns.cn-shanghai.aliyuncs.com/queues/done"
    with pytest.raises(UnsupportedError, match=r"notify_url: .* lies in cn-beijing"):
        notify("cn-beijing")


@pytest.mark.parametrize(
    "url", ["http://host/q", "mns://1.mns.cn-shanghai.aliyuncs.com/topics/t", "mns://host/queues/q"]
)
def test_a_notify_url_that_is_no_queue_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="notify_url"):
        MpsOptions(notify_url=url)


def test_the_token_fits_whatever_the_user_data() -> None:
    spec = production.VideoClip(input=SOURCE, output=OUTPUT, user_data="é" * 20)
    settings = SETTINGS.model_copy(update={"user_data_limit_bytes": 512})
    text = str(build_production(settings, spec, MpsOptions(), context(spec)).params["UserData"])
    assert len(text.encode()) <= 512
    tag = parse_user_data(text)
    assert tag is not None
    assert (tag.origin.token, tag.origin.user_data) == ("token", "é" * 20)


def answered(spec: Transcode, results: Sequence[dict[str, Any]]) -> Submitted:
    """A submit whose `SubmitJobs` are answered one by one."""
    provider = MpsProvider("mps", {"region": REGION, "pipeline": PIPELINE})
    replies = iter(results)

    def answer(call: Call[Any]) -> Any:
        return (
            {"JobResultList": {"JobResult": [next(replies)]}}
            if call.operation == "SubmitJobs"
            else PROBED[call.operation]
        )

    return drive(provider.submit(spec, None, context(spec)), answer)


LADDER = Transcode(input=SOURCE, output="oss://bucket/hls/a.m3u8", container="hls", overwrite=True)
TAKEN: list[dict[str, Any]] = [{"Success": True, "Job": {"JobId": str(number) * 32}} for number in range(1, 5)]
NOT_TAKEN = {"Success": False, "Code": "InvalidParameter.TemplateNotFound", "Message": "no such template"}


def test_an_output_that_is_not_taken_is_a_failed_item_beside_those_that_are() -> None:
    members = answered(LADDER, [TAKEN[0], NOT_TAKEN, *TAKEN[1:3]]).members
    assert [each.role for each in members] == ["0_240p", "1_360p", "2_480p", "3_720p"]
    assert members[1].absent == Absent(reason="rejected", code="InvalidParameter.TemplateNotFound")
    assert MemberRef.model_validate({"role": members[1].role, "native_id": members[1].native_id})
    assert len({each.native_id for each in members}) == 4
    assert members[2].native_id == "2" * 32


FOUND: dict[str, Any] = {**PROBED["SubmitMediaInfoJob"]["MediaInfoJob"], "JobId": PIPELINE}


@pytest.mark.parametrize("begun", [{"JobId": PIPELINE, "State": "Analyzing"}, {"JobId": PIPELINE}])
@pytest.mark.parametrize(
    "later",
    [[FOUND], [{"JobId": PIPELINE, "State": "Analyzing"}], [], [{"JobId": PIPELINE, "State": "Fail", "Code": "x"}]],
    ids=["found", "still at it", "not listed", "failed"],
)
def test_a_source_that_is_still_being_looked_at_is_asked_for_and_never_blamed(
    begun: dict[str, Any], later: list[dict[str, Any]]
) -> None:
    spec = Transcode(input=SOURCE, output=OUTPUT, overwrite=True)
    replies = {
        "SubmitMediaInfoJob": {"MediaInfoJob": begun},
        "QueryMediaInfoJobList": {"MediaInfoJobList": {"MediaInfoJob": later}},
    }
    if later == [FOUND]:
        assert [each.operation for each in sent(spec, **replies)] == [*replies, "SubmitJobs"]
        return
    with pytest.raises(ProviderError) as caught:
        sent(spec, **replies)
    job_error = MpsProvider("mps", {"region": REGION}).classify(caught.value)
    ended = any(each["State"] == "Fail" for each in later)
    assert (job_error.retryable, job_error.blame) == ((False, "unknown") if ended else (True, "provider"))


def test_an_answer_without_a_job_says_nothing_of_the_source() -> None:
    with pytest.raises(UnavailableError):
        sent(Transcode(input=SOURCE, output=OUTPUT, overwrite=True), SubmitMediaInfoJob={})


def test_outputs_of_which_none_is_taken_are_a_refusal() -> None:
    with pytest.raises(ProviderError, match="no such template") as caught:
        answered(LADDER, [NOT_TAKEN] * 4)
    assert caught.value.provider_code == "InvalidParameter.TemplateNotFound"


@pytest.mark.parametrize("name", ["JobId", "jobId", "jobid"])
def test_an_id_is_read_in_whatever_capitals_a_page_shows_it(name: str) -> None:
    spec = production.VideoClip(input=SOURCE, output=OUTPUT)
    create = build_production(SETTINGS, spec, MpsOptions(), context(spec))
    assert create.read({"requestId": "R", name: PIPELINE, "result": {}}) == PIPELINE


@pytest.mark.parametrize("result", [{}, {"Success": True}, {"Success": True, "Job": {"JobId": "short"}}])
def test_a_result_without_an_id_is_no_acceptance(result: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="names no job"):
        answered(LADDER, [result])

"""The simulated MPS's jobs, pipelines and callbacks, driven through the vendor's SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.mps import Outcome, ScriptedExecutor
from mediabroker_alibaba.simulator.mps.messages import parse_notify_url
from mediabroker_alibaba.simulator.world import World
from tests.unit.alibaba.mps_client import CLIP, INPUT, REGION, Place

OUTPUT = CLIP.replace("in/a.mp4", "out/{sequenceId}.jpg")
COVER = {"FunctionName": "Cover", "Input": CLIP, "Output": OUTPUT}
NOTIFY = f"mns://1234567890123456.mns.{REGION}.aliyuncs.com/queues/done"
MP4 = {"OutputObject": "out%2Fa.mp4", "TemplateId": "S00000001-200010"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def executor() -> ScriptedExecutor:
    return ScriptedExecutor()


@pytest.fixture
def place(executor: ScriptedExecutor) -> Iterator[Place]:
    with closing(Place(World(SimulatedClock(frozen=True)), executor)) as place:
        yield place


def default_pipeline(place: Place) -> str:
    found: str = place.call("SearchPipeline")["PipelineList"]["Pipeline"][0]["Id"]
    return found


def transcode(place: Place, *outputs: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    params = {"Input": INPUT, "OutputBucket": "media", "OutputLocation": f"oss-{REGION}", "Outputs": list(outputs)}
    params["PipelineId"] = default_pipeline(place)
    found: list[dict[str, Any]] = place.call("SubmitJobs", **{**params, **more})["JobResultList"]["JobResult"]
    return found


def refused(place: Place, action: str, **params: Any) -> str:
    with pytest.raises(ServerException) as error:
        place.call(action, **params)
    return str(error.value.get_error_code())


def state(place: Place, job_id: str) -> str:
    return str(place.call("QueryIProductionJob", JobId=job_id)["State"])


def test_smart_production_goes_through_its_states_and_shows_its_request_again(
    place: Place, executor: ScriptedExecutor
) -> None:
    executor.decide = lambda _: Outcome(data=[{"Score": 8.27, "Time": "28278.25", "Url": "out/1.jpg"}])
    answer = place.call("SubmitIProductionJob", **COVER, JobParams='{"Model":""}', UserData="mine")
    job_id = answer["JobId"]
    assert "Result" not in answer
    assert state(place, job_id) == "Queuing"
    place.engine.step()
    assert state(place, job_id) == "Analysing"
    place.engine.step()
    told = place.call("QueryIProductionJob", JobId=job_id)
    result = json.loads(told.pop("Result"))
    assert told.pop("RequestId")
    assert told == {
        "JobId": job_id,
        "FunctionName": "Cover",
        "Input": CLIP,
        "Output": OUTPUT,
        "JobParams": '{"Model":""}',
        "PipelineId": default_pipeline(place),
        "UserData": "mine",
        "State": "Success",
    }
    assert (result["Code"], result["Message"]) == ("Success", "Successful.")
    assert json.loads(result["Data"])[0]["Url"] == "out/1.jpg"


def test_functions_without_data_have_details(place: Place) -> None:
    job_id = place.call(
        "SubmitIProductionJob", **{**COVER, "FunctionName": "VideoDelogo"}, JobParams='{"Logo":[[0,0,0.3,0.3]]}'
    )["JobId"]
    place.engine.settle()
    result = place.call("QueryIProductionJob", JobId=job_id)["Result"]
    assert json.loads(result) == {"Details": [], "Message": "success", "Code": "Success"}


def test_failed_production_tells_code_and_message(place: Place, executor: ScriptedExecutor) -> None:
    executor.decide = lambda _: Outcome("InvalidParameter.ResourceContentBad", "not a video")
    job_id = place.call("SubmitIProductionJob", **COVER, NotifyUrl=NOTIFY)["JobId"]
    place.engine.settle()
    told = place.call("QueryIProductionJob", JobId=job_id)
    assert told["State"] == "Fail"
    assert json.loads(told["Result"]) == {"Code": "InvalidParameter.ResourceContentBad", "Message": "not a video"}
    message = json.loads(base64.b64decode(place.messages()[0]))
    assert (message["State"], message["Code"]) == ("Fail", "InvalidParameter.ResourceContentBad")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"FunctionName": None}, "MissingFunctionName"),
        ({"FunctionName": "MusicDemix"}, "InvalidParameter"),
        ({"Input": None}, "InvalidParameter.NullValue"),
        ({"Input": ""}, "InvalidParameter.EmptyValue"),
        ({"Input": "https://example.com/a.mp4"}, "InvalidParameter"),
        ({"Input": "oss://media/a.mp4"}, "InvalidParameter"),
        ({"Input": CLIP.replace(REGION, "cn-beijing")}, "InvalidParameter.LocationInvalid"),
        ({"Input": CLIP.replace("media", "Media")}, "InvalidParameter.BucketNameInvalid"),
        ({"Input": CLIP.replace("in/", "/in/")}, "InvalidParameter.ObjectKeyInvalid"),
        ({"Output": None}, "InvalidParameter.NullValue"),
        ({"JobParams": "{mode:gif}"}, "InvalidParameter.JsonObjectFormatInvalid"),
        ({"JobParams": "[1]"}, "InvalidParameter.JsonObjectFormatInvalid"),
        ({"UserData": "u" * 1025}, "InvalidParameter.OutOfRange"),
        ({"PipelineId": "x"}, "InvalidParameter.UUIDFormatInvalid"),
        ({"PipelineId": "a" * 32}, "InvalidParameter.ResourceNotFound"),
        ({"NotifyUrl": "https://example.com/hook"}, "InvalidParameter"),
        ({"NotifyUrl": NOTIFY.replace("queues", "topics")}, "InvalidParameter"),
    ],
)
def test_production_requests_that_are_refused_leave_no_job(place: Place, changes: dict[str, Any], code: str) -> None:
    params = {name: value for name, value in {**COVER, **changes}.items() if value is not None}
    assert refused(place, "SubmitIProductionJob", **params) == code
    assert place.world.ledger.entries() == []


def test_functions_that_only_find_something_out_need_no_output(place: Place) -> None:
    assert place.call("SubmitIProductionJob", FunctionName="MusicSegmentDetect", Input=CLIP)["JobId"]


@pytest.mark.parametrize(
    ("job_id", "code"),
    [
        (None, "MissingJobId"),
        ("x", "InvalidParameter.UUIDFormatInvalid"),
        ("a" * 32, "InvalidParameter.ResourceNotFound"),
    ],
)
def test_query_of_no_such_production_is_refused(place: Place, job_id: str | None, code: str) -> None:
    assert refused(place, "QueryIProductionJob", **({"JobId": job_id} if job_id else {})) == code


def test_tenants_do_not_see_each_others_jobs_and_pipelines(place: Place) -> None:
    other = place.client_of(place.world.tenants.add_account())
    job_id = place.call("SubmitIProductionJob", **COVER)["JobId"]
    pipeline_id = place.call("AddPipeline", Name="mine")["Pipeline"]["Id"]
    with pytest.raises(ServerException, match="ResourceNotFound"):
        other.call("QueryIProductionJob", JobId=job_id)
    with pytest.raises(ServerException, match="ResourceNotFound"):
        other.call("SubmitIProductionJob", **COVER, PipelineId=pipeline_id)
    assert other.call("QueryPipelineList", PipelineIds=pipeline_id)["NonExistPids"] == {"String": [pipeline_id]}
    transcodes = transcode(place, MP4)
    told = other.call("QueryJobList", JobIds=transcodes[0]["Job"]["JobId"])
    assert told["JobList"]["Job"] == []
    assert told["NonExistJobIds"] == {"String": [transcodes[0]["Job"]["JobId"]]}


@pytest.mark.parametrize("url", [NOTIFY, NOTIFY.replace(".mns.", ".oss-")])
def test_production_posts_to_its_notify_url(place: Place, url: str) -> None:
    job_id = place.call("SubmitIProductionJob", **COVER, NotifyUrl=url, UserData="mine")["JobId"]
    place.engine.settle()
    assert json.loads(base64.b64decode(place.messages()[0], validate=True)) == {
        "Type": "IProduction",
        "FunctionName": "Cover",
        "JobId": job_id,
        "State": "Success",
        "Code": "Success",
        "Message": "success",
        "Details": [],
        "UserData": "mine",
    }


def test_plain_messages_are_bare_json(place: Place) -> None:
    place.engine.plain_messages = True
    job_id = place.call("SubmitIProductionJob", **COVER, NotifyUrl=NOTIFY)["JobId"]
    place.engine.settle()
    assert json.loads(place.messages()[0])["JobId"] == job_id


def test_notify_url_wins_over_the_pipelines_queue(place: Place) -> None:
    place.queues.create(place.account.id, REGION, "others")
    pipeline_id = place.call("AddPipeline", Name="p", NotifyConfig={"QueueName": "others"})["Pipeline"]["Id"]
    place.call("SubmitIProductionJob", **COVER, PipelineId=pipeline_id, NotifyUrl=NOTIFY)
    place.call("SubmitIProductionJob", **COVER, PipelineId=pipeline_id)
    place.engine.settle()
    assert (len(place.messages()), len(place.messages("others"))) == (1, 1)


@pytest.mark.parametrize(
    ("url", "queue"),
    [
        ("mns://1.mns.cn-beijing-internal.aliyuncs.com/queues/q", ("1", "cn-beijing", "q")),
        ("mns://1.mns.cn-beijing-internal-vpc.aliyuncs.com/queues/q", ("1", "cn-beijing", "q")),
        ("http://1.mns.cn-beijing.aliyuncs.com/queues/q", None),
        ("mns://1.mns.cn-beijing.aliyuncs.com/queues/", None),
    ],
)
def test_notify_urls(url: str, queue: tuple[str, str, str] | None) -> None:
    assert parse_notify_url(url) == queue


def test_transcode_makes_one_job_an_output_and_refuses_single_ones(place: Place) -> None:
    good, bad = transcode(place, {**MP4, "UserData": "u"}, {"OutputObject": "x", "TemplateId": "f" * 32})
    assert good["Success"] is True
    job = good["Job"]
    assert job["State"] == "Submitted"
    assert job["Input"]["Object"] == "in%2Fa.mp4"
    assert job["Output"]["OutputFile"] == {"Bucket": "media", "Location": "oss-cn-shanghai", "Object": "out%2Fa.mp4"}
    assert (job["Output"]["UserData"], job["Output"]["Video"]["Width"]) == ("u", "640")
    assert (bad["Success"], bad["Code"], "Job" in bad) == (False, "InvalidParameter.TemplateNotFound", False)
    assert len(place.world.ledger.entries("SubmitJobs")) == 1


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ({"TemplateId": None}, "InvalidParameter.NullValue"),
        ({"OutputObject": None}, "InvalidParameter.NullValue"),
        ({"UserData": "u" * 1025}, "InvalidParameter.OutOfRange"),
        ({"Priority": "11"}, "InvalidParameter.OutOfRange"),
        ({"Video": {"Bitrate": "9"}}, "InvalidParameter.OutOfRange"),
        ({"Video": '{"Bitrate":"many"}'}, "InvalidParameter.NumberFormatInvalid"),
        ({"Video": {"Codec": "AV1"}}, "InvalidParameter"),
        ({"Audio": "[]"}, "InvalidParameter.JsonObjectFormatInvalid"),
        ({"Container": {"Format": "gif"}}, "InvalidParameter.NotSupported"),
        ({"WaterMarks": [{"InputFile": {}}]}, "InvalidParameter.NotSupported"),
    ],
)
def test_outputs_are_refused_one_by_one(place: Place, output: dict[str, Any], code: str) -> None:
    given = {name: value for name, value in {**MP4, **output}.items() if value is not None}
    assert transcode(place, given)[0]["Code"] == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Input": "{"}, "InvalidParameter.JsonObjectFormatInvalid"),
        ({"Input": {"Bucket": "media", "Object": "x"}}, "InvalidParameter.NullValue"),
        ({"Input": INPUT.replace(REGION, "cn-beijing")}, "InvalidParameter.LocationInvalid"),
        ({"OutputLocation": "oss-cn-beijing"}, "InvalidParameter.LocationInvalid"),
        ({"Outputs": "{}"}, "InvalidParameter.JsonArrayFormatInvalid"),
        ({"Outputs": "nothing"}, "InvalidParameter.JsonFormatInvalid"),
        ({"Outputs": [MP4] * 31}, "InvalidParameter.ListSizeExceed"),
        ({"PipelineId": "f" * 32}, "InvalidParameter.ResourceNotFound"),
    ],
)
def test_transcodes_are_refused_as_a_whole(place: Place, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ServerException) as error:
        transcode(place, MP4, **changes)
    assert error.value.get_error_code() == code
    assert place.world.ledger.entries() == []


def test_transcode_states_callback_and_query(place: Place) -> None:
    pipeline_id = place.call("AddPipeline", Name="p", NotifyConfig={"QueueName": "done"})["Pipeline"]["Id"]
    job_id = transcode(place, {**MP4, "UserData": "u"}, PipelineId=pipeline_id)[0]["Job"]["JobId"]
    seen = []
    for _ in range(3):
        told = place.call("QueryJobList", JobIds=f"{job_id},{'0' * 32}")
        seen.append(told["JobList"]["Job"][0]["State"])
        place.engine.step()
    assert seen == ["Submitted", "Transcoding", "TranscodeSuccess"]
    job = told["JobList"]["Job"][0]
    assert told["NonExistJobIds"] == {"String": ["0" * 32]}
    assert (job["Percent"], job["MNSMessageResult"]) == (100, {"MessageId": "0" * 15 + "1"})
    assert job["FinishTime"]
    message = json.loads(base64.b64decode(place.messages()[0]))
    assert message.pop("requestId") == message.pop("RequestId")
    assert message == {
        "jobId": job_id,
        "JobId": job_id,
        "type": "Transcode",
        "Type": "Transcode",
        "state": "Success",
        "State": "Success",
        "userData": "u",
        "UserData": "u",
    }


def test_callback_that_cannot_be_posted_shows_in_the_job(place: Place) -> None:
    pipeline_id = place.call("AddPipeline", Name="p", NotifyConfig={"QueueName": "gone"})["Pipeline"]["Id"]
    job_id = transcode(place, MP4, PipelineId=pipeline_id)[0]["Job"]["JobId"]
    place.engine.settle()
    job = place.call("QueryJobList", JobIds=job_id)["JobList"]["Job"][0]
    assert job["State"] == "TranscodeSuccess"
    assert job["MNSMessageResult"]["ErrorCode"] == "QueueNotExist"


@pytest.mark.parametrize("ids", ["", ",".join(f"{number:032x}" for number in range(11))])
def test_job_lists_are_asked_for_one_to_ten(place: Place, ids: str) -> None:
    assert refused(place, "QueryJobList", JobIds=ids).startswith("InvalidParameter")


def test_only_waiting_transcodes_are_cancelled(place: Place, executor: ScriptedExecutor) -> None:
    executor.decide = lambda job: None if "running" in (job.user_data or "") else Outcome()
    first, running = [each["Job"]["JobId"] for each in transcode(place, MP4, {**MP4, "UserData": "running"})]
    assert place.call("CancelJob", JobId=first)["JobId"] == first
    place.engine.step()
    assert refused(place, "CancelJob", JobId=running) == "PermissionDenied.JobInRunning"
    executor.release()
    place.engine.step()
    assert refused(place, "CancelJob", JobId=running) == "PermissionDenied.JobInComplete"
    assert refused(place, "CancelJob", JobId="0" * 32) == "InvalidParameter.ResourceNotFound"
    states = {each["JobId"]: each["State"] for each in place.call("ListJob")["JobList"]["Job"]}
    assert states == {first: "TranscodeCancelled", running: "TranscodeSuccess"}
    assert len(executor.started) == 1


def test_list_of_jobs_pages_filters_and_forgets(place: Place) -> None:
    ids = [each["Job"]["JobId"] for each in transcode(place, *[MP4] * 5)]
    first = place.call("ListJob", MaximumPageSize=3)
    second = place.call("ListJob", MaximumPageSize=3, NextPageToken=first["NextPageToken"])
    listed = [each["JobId"] for page in (first, second) for each in page["JobList"]["Job"]]
    assert listed == ids[::-1]
    assert "NextPageToken" not in second
    assert place.call("ListJob", State="TranscodeSuccess")["JobList"]["Job"] == []
    assert place.call("ListJob", StartOfJobCreatedTimeRange="2099-01-01T00:00:00Z")["JobList"]["Job"] == []
    assert refused(place, "ListJob", State="Odd") == "InvalidParameter"
    assert refused(place, "ListJob", MaximumPageSize=101) == "InvalidParameter.OutOfRange"


def test_pipeline_runs_ten_jobs_at_once(place: Place, executor: ScriptedExecutor) -> None:
    executor.decide = lambda _: None
    for _ in range(12):
        place.call("SubmitIProductionJob", **COVER)
    place.engine.step()
    assert len(executor.started) == 10
    executor.release()
    place.engine.step()
    place.engine.step()
    assert len(executor.started) == 12


def test_paused_pipeline_starts_nothing_until_it_is_active_again(place: Place) -> None:
    pipeline = place.call("AddPipeline", Name="p")["Pipeline"]
    job_id = place.call("SubmitIProductionJob", **COVER, PipelineId=pipeline["Id"])["JobId"]
    place.call("UpdatePipeline", PipelineId=pipeline["Id"], Name="p", State="Paused")
    place.engine.settle()
    assert state(place, job_id) == "Queuing"
    place.call("UpdatePipeline", PipelineId=pipeline["Id"], Name="p", State="Active")
    place.engine.settle()
    assert state(place, job_id) == "Success"


def test_jobs_wait_and_run_for_as_long_as_the_clock_says(place: Place) -> None:
    place.engine.queue_s, place.engine.work_s = 10, 20
    job_id = place.call("SubmitIProductionJob", **COVER)["JobId"]
    seen = []
    for seconds in (0, 9, 2, 19, 2):
        place.world.clock.advance(seconds)
        place.engine.step()
        seen.append(state(place, job_id))
    assert seen == ["Queuing", "Queuing", "Analysing", "Analysing", "Success"]


def test_higher_priority_goes_first(place: Place, executor: ScriptedExecutor) -> None:
    transcode(place, {**MP4, "UserData": "usual"}, {**MP4, "UserData": "urgent", "Priority": "10"})
    place.engine.step()
    assert [job.user_data for job in executor.started] == ["urgent", "usual"]


def test_pipelines_are_made_changed_found_and_deleted(place: Place) -> None:
    made = place.call("AddPipeline", Name="p", NotifyConfig={"QueueName": "done"})["Pipeline"]
    assert (made["State"], made["Speed"], made["NotifyConfig"]) == ("Active", "Standard", {"QueueName": "done"})
    changed = place.call("UpdatePipeline", PipelineId=made["Id"], Name="q", State="Paused")["Pipeline"]
    assert (changed["Name"], changed["NotifyConfig"]) == ("q", {"QueueName": "done"})
    assert place.call("SearchPipeline", State="Paused")["PipelineList"]["Pipeline"][0]["Id"] == made["Id"]
    page = place.call("SearchPipeline", PageNumber=2, PageSize=1)
    assert (page["TotalCount"], len(page["PipelineList"]["Pipeline"])) == (2, 1)
    assert place.call("QueryPipelineList", PipelineIds=made["Id"])["PipelineList"]["Pipeline"][0]["Name"] == "q"
    assert place.call("DeletePipeline", PipelineId=made["Id"])["PipelineId"] == made["Id"]
    assert place.call("SearchPipeline")["TotalCount"] == 1
    assert refused(place, "DeletePipeline", PipelineId=made["Id"]) == "InvalidParameter.ResourceNotFound"


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        ("AddPipeline", {}, "MissingName"),
        ("AddPipeline", {"Name": "n" * 129}, "InvalidParameter.OutOfRange"),
        ("AddPipeline", {"Name": "p", "NotifyConfig": '{"QueueName":"http://x/queues/q"}'}, "InvalidParameter"),
        ("AddPipeline", {"Name": "p", "NotifyConfig": "q"}, "InvalidParameter.JsonObjectFormatInvalid"),
        ("AddPipeline", {"Name": "p", "SpeedLevel": "x"}, "InvalidParameter.NumberFormatInvalid"),
        ("UpdatePipeline", {"Name": "p", "State": "Active"}, "MissingPipelineId"),
        ("SearchPipeline", {"State": "Odd"}, "InvalidParameter"),
        ("SearchPipeline", {"PageSize": 101}, "InvalidParameter.OutOfRange"),
        ("QueryPipelineList", {}, "InvalidParameter"),
    ],
)
def test_pipeline_requests_that_are_refused(place: Place, action: str, params: dict[str, Any], code: str) -> None:
    assert refused(place, action, **params) == code


SHOT = {"OutputFile": {"Bucket": "media", "Location": f"oss-{REGION}", "Object": "s%2F{Count}.jpg"}, "Time": "500"}


def test_single_snapshot_is_answered_at_once_and_many_take_their_turn(place: Place, executor: ScriptedExecutor) -> None:
    executor.decide = lambda _: Outcome(keys=("s/1.jpg",))
    job = place.call("SubmitSnapshotJob", Input=INPUT, SnapshotConfig=SHOT, UserData="u")["SnapshotJob"]
    assert (job["State"], job["Count"], job["SnapshotConfig"]["Time"]) == ("Success", "1", "500")
    later = place.call("SubmitSnapshotJob", Input=INPUT, SnapshotConfig={**SHOT, "Num": "2", "Interval": "1"})
    later_id = later["SnapshotJob"]["Id"]
    assert later["SnapshotJob"]["State"] == "Submitted"
    place.engine.step()
    told = place.call("QuerySnapshotJobList", SnapshotJobIds=f"{later_id},{'0' * 32}")
    assert told["SnapshotJobList"]["SnapshotJob"][0]["State"] == "Snapshoting"
    assert told["NonExistSnapshotJobIds"] == {"String": ["0" * 32]}


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({}, "InvalidParameter.NullValue"),
        ({**SHOT, "Width": "4"}, "InvalidParameter.OutOfRange"),
        ({**SHOT, "Time": "soon"}, "InvalidParameter.NumberFormatInvalid"),
        ({**SHOT, "TileOut": {"Lines": "2"}}, "InvalidParameter.NotSupported"),
        (
            {**SHOT, "Num": "2", "OutputFile": {**SHOT["OutputFile"], "Object": "one.jpg"}},  # type: ignore[dict-item]
            "InvalidParameter.ObjectKeyInvalid",
        ),
    ],
)
def test_snapshot_requests_that_are_refused(place: Place, config: dict[str, Any], code: str) -> None:
    assert refused(place, "SubmitSnapshotJob", Input=INPUT, SnapshotConfig=config) == code


def test_media_information_is_answered_at_once_or_later(place: Place, executor: ScriptedExecutor) -> None:
    executor.decide = lambda _: Outcome(data={"Width": "640"})
    now = place.call("SubmitMediaInfoJob", Input=INPUT)["MediaInfoJob"]
    assert (now["State"], now["Properties"], now["Async"]) == ("Success", {"Width": "640"}, False)
    later = place.call("SubmitMediaInfoJob", Input=INPUT, Async="true")["MediaInfoJob"]
    assert later["State"] == "Analyzing"
    place.engine.settle()
    told = place.call("QueryMediaInfoJobList", MediaInfoJobIds=later["JobId"])["MediaInfoJobList"]["MediaInfoJob"]
    assert (told[0]["State"], told[0]["Properties"]) == ("Success", {"Width": "640"})
    assert refused(place, "SubmitMediaInfoJob", Input=INPUT, Async="perhaps") == "ParameterNotBoolean"


def test_defect_of_an_executor_is_an_internal_error_of_the_job(
    place: Place, executor: ScriptedExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    executor.decide = lambda _: None
    job_id = place.call("SubmitIProductionJob", **COVER)["JobId"]
    place.engine.step()
    next(iter(executor._held.values())).set_exception(RuntimeError("a defect"))
    place.engine.step()
    told = place.call("QueryIProductionJob", JobId=job_id)
    assert json.loads(told["Result"])["Code"] == "InternalError"
    assert "a defect" in caplog.text
    executor._held.clear()


def test_settle_tells_what_hangs(place: Place, executor: ScriptedExecutor) -> None:
    executor.decide = lambda _: None
    job_id = place.call("SubmitIProductionJob", **COVER)["JobId"]
    with pytest.raises(TimeoutError, match=job_id):
        place.engine.settle(timeout_s=0.05)


def test_pump_moves_jobs_by_itself(place: Place) -> None:
    place.engine.pump(0.01)
    place.call("SubmitIProductionJob", **COVER, NotifyUrl=NOTIFY)
    for _ in range(2000):
        if place.messages():
            break
        place.world.stopping.wait(0.01)
    assert len(place.messages()) == 1

"""The whole simulated cloud, with each service's own SDK: a clip up, a job done, a message, the result down."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import oss2
import pytest

from mediabroker.media.probe import probe
from mediabroker.sandbox import Sandboxes
from mediabroker_alibaba import MnsClient
from mediabroker_alibaba.credentials import Credentials, find_credentials
from mediabroker_alibaba.mns.source import MnsSource
from mediabroker_alibaba.mns.wire import parse_record
from mediabroker_alibaba.simulator import AlibabaSimulator
from mediabroker_alibaba.simulator.mps import Outcome, ScriptedExecutor
from mediabroker_alibaba.simulator.sandbox import AlibabaSandbox
from mediabroker_alibaba.simulator.tenants import Account
from tests import clips
from tests.unit.alibaba.mps_client import MpsClient
from tests.unit.alibaba.test_mns_simulator import ask

ACCOUNT = "1234567890123456"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cloud() -> Iterator[AlibabaSimulator]:
    with AlibabaSimulator(regions=("cn-shanghai", "cn-beijing")) as cloud:
        yield cloud


@pytest.fixture
def account(cloud: AlibabaSimulator) -> Account:
    return cloud.add_account(ACCOUNT)


@pytest.fixture
def bucket(cloud: AlibabaSimulator, account: Account) -> Iterator[oss2.Bucket]:
    cloud.create_bucket(account, "media")
    auth, session = oss2.AuthV4(account.key.access_key_id, account.key.access_key_secret), oss2.Session()
    yield oss2.Bucket(auth, cloud.endpoints().oss, "media", region=cloud.region, session=session)
    session.session.close()


def test_clip_goes_up_is_worked_on_and_a_message_tells(
    cloud: AlibabaSimulator, account: Account, bucket: oss2.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cloud.create_bucket(account, "media")
    cloud.create_queue(account, "done")
    bucket.put_object_from_file("in/a.mp4", str(clips.make_clip(tmp_path / "a.mp4", width=160, height=96)))
    mps = MpsClient(cloud.endpoints().mps.removeprefix("http://"), account.key)
    notify = f"mns://{ACCOUNT}.mns.{cloud.region}.aliyuncs.com/queues/done"
    job_id = mps.call(
        "SubmitIProductionJob",
        FunctionName="VideoDelogo",
        JobParams={"Logo": [[0, 0, 0.3, 0.3]]},
        Input=f"{url}in/a.mp4",
        Output=f"{url}out/{{source}}.mp4",
        NotifyUrl=notify,
    )["JobId"]
    cloud.settle(110)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", account.key.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", account.key.access_key_secret)
    source = MnsSource(notify, {"endpoint_url": cloud.endpoints().mns})
    (message,) = source.receive(wait_s=0)
    source.close()
    assert json.loads(base64.b64decode(message.body))["JobId"] == job_id
    bucket.get_object_to_file("out/a.mp4", str(tmp_path / "out.mp4"))
    assert probe(tmp_path / "out.mp4").video[0].width_px == 160


def test_regions_have_pipelines_jobs_and_buckets_of_their_own(cloud: AlibabaSimulator, account: Account) -> None:
    shanghai = cloud.create_bucket(account, "here")
    beijing = cloud.create_bucket(account, "there", "cn-beijing")
    here = MpsClient(cloud.endpoints().mps.removeprefix("http://"), account.key)
    there = MpsClient(cloud.endpoints("cn-beijing").mps.removeprefix("http://"), account.key, region="cn-beijing")
    job = {"FunctionName": "MusicSegmentDetect"}
    job_id = there.call("SubmitIProductionJob", **job, Input=f"{beijing}a.mp4")["JobId"]
    with pytest.raises(Exception, match="ResourceNotFound"):
        here.call("QueryIProductionJob", JobId=job_id)
    with pytest.raises(Exception, match="LocationInvalid"):
        here.call("SubmitIProductionJob", **job, Input=f"{beijing}a.mp4")
    with pytest.raises(Exception, match="LocationInvalid"):
        here.call("SubmitIProductionJob", **job, Input=f"{shanghai.replace('here', 'there')}a.mp4")
    assert there.call("SearchPipeline")["PipelineList"] != here.call("SearchPipeline")["PipelineList"]


def failing_job(mps: MpsClient, url: str, topic: str) -> str:
    """A job whose input is not there, on a pipeline that tells a topic; its id."""
    pipeline_id = mps.call("AddPipeline", Name="p", NotifyConfig={"Topic": topic})["Pipeline"]["Id"]
    job = {"FunctionName": "MusicSegmentDetect", "Input": f"{url}none.mp4", "PipelineId": pipeline_id}
    return str(mps.call("SubmitIProductionJob", **job)["JobId"])


def test_pipeline_with_a_topic_reaches_the_topics_queue(account: Account, cloud: AlibabaSimulator) -> None:
    mps = MpsClient(cloud.endpoints().mps.removeprefix("http://"), account.key)
    url = cloud.create_bucket(account, "media")
    cloud.create_queue(account, "subscribed")
    where = f"acs:mns:{cloud.region}:{account.id}:queues/subscribed"
    for path, body in (
        ("/topics/told", "<Topic/>"),
        ("/topics/told/subscriptions/s", f"<Subscription><Endpoint>{where}</Endpoint></Subscription>"),
    ):
        assert ask(cloud.endpoints().mns, account.key, "PUT", path, body.encode()).status_code == 201
    job_id = failing_job(mps, url, "told")
    cloud.settle()
    with MnsClient(
        cloud.endpoints().mns, lambda: Credentials(account.key.access_key_id, account.key.access_key_secret)
    ) as mns:
        (message,) = mns.receive("subscribed")
    told = parse_record(message.body.encode(), "Notification")["Message"]
    assert json.loads(base64.b64decode(told))["JobId"] == job_id


def test_a_callback_that_reaches_nobody_leaves_the_job_as_it_ended(account: Account, cloud: AlibabaSimulator) -> None:
    mps = MpsClient(cloud.endpoints().mps.removeprefix("http://"), account.key)
    job_id = failing_job(mps, cloud.create_bucket(account, "media"), "gone")
    cloud.settle()
    told = mps.call("QueryIProductionJob", JobId=job_id)
    assert (told["State"], json.loads(told["Result"])["Code"]) == ("Fail", "InvalidParameter.ResourceNotFound")


def test_time_passes_when_told() -> None:
    executor = ScriptedExecutor(lambda _: Outcome())
    with AlibabaSimulator(executor=lambda _: executor) as cloud:
        account = cloud.add_account()
        url = cloud.create_bucket(account, "media")
        cloud.mps.engine.queue_s = 30
        mps = MpsClient(cloud.endpoints().mps.removeprefix("http://"), account.key)
        job_id = mps.call("SubmitIProductionJob", FunctionName="VideoSplit", Input=f"{url}a.mp4")["JobId"]
        seen = []
        for seconds in (1, 30, 1):
            cloud.advance(seconds)
            seen.append(mps.call("QueryIProductionJob", JobId=job_id)["State"])
    assert seen == ["Queuing", "Analysing", "Success"]


def test_closing_leaves_nothing_running_and_no_files() -> None:
    cloud = AlibabaSimulator(pump_s=0.05)
    folder = cloud.folder
    assert folder.is_dir()
    cloud.close()
    assert not folder.exists()


def test_sandbox_writes_a_configuration_that_points_at_it(tmp_path: Path) -> None:
    with Sandboxes(["alibaba"], tmp_path) as sandboxes:
        assert sandboxes.settings["providers"]["alibaba-mps"]["region"] == "cn-shanghai"
        assert sandboxes.facts["alibaba"]["events"].startswith("mns://1234567890123456.mns.cn-shanghai")
        text = (tmp_path / "mediabroker.toml").read_text()
        assert sandboxes.environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in text


def test_the_sandbox_is_entered_without_the_users_own_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "of-the-user")
    with Sandboxes(["alibaba"], tmp_path) as sandboxes, sandboxes.in_environment():
        assert find_credentials().security_token is None
        assert "SECURITY_TOKEN=''" in (tmp_path / "environment.sh").read_text()


def test_jobs_of_the_sandbox_move_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    sandbox = AlibabaSandbox(tmp_path / "s")
    try:
        queue = sandbox.cloud.mns["cn-shanghai"].queue(ACCOUNT, "media-events")
        key = sandbox.cloud.world.tenants.accounts()[0].key
        mps = MpsClient(sandbox.facts["MPS"].removeprefix("http://"), key)
        mps.call(
            "SubmitIProductionJob",
            FunctionName="MusicSegmentDetect",
            Input=f"{sandbox.facts['bucket']}/none.mp4",
            PipelineId=sandbox.facts["pipeline"],
        )
        assert queue.receive(1, 60)
    finally:
        sandbox.close()

"""MPS through the broker: no token and, for smart production, no search; so what is unknown is shown, never doubled."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from mediabroker import (
    Broker,
    CancelOutcome,
    InboundMessage,
    JobFailedError,
    JobSpec,
    JobState,
    MediaInfo,
    MusicSegmentDetect,
    ProductionResult,
    SegmentsResult,
    SmartProduction,
    Snapshot,
    Transcode,
)
from mediabroker.config import BrokerSettings
from mediabroker.refs import MediaURI
from mediabroker_alibaba import MpsOptions, MpsProvider
from mediabroker_alibaba.simulator.contract_rig import ACCOUNT, BUCKET, QUEUE, REGION, MpsRig
from mediabroker_alibaba.simulator.mps import Outcome
from mediabroker_alibaba.simulator.server import LoopbackServer, Request, Response

SOURCE = f"oss://{BUCKET}/in/a.mp4"
NOTIFY = f"mns://{ACCOUNT}.mns.{REGION}.aliyuncs.com/queues/{QUEUE}"
CHORUS = MusicSegmentDetect(input=SOURCE, user_data={"song": 7})

Open = Callable[..., Broker]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[MpsRig]:
    with closing(MpsRig(tmp_path)) as rig:
        yield rig


@pytest.fixture
def open_broker(rig: MpsRig, tmp_path: Path) -> Iterator[Open]:
    opened: list[Broker] = []

    def make(store: str = "jobs.db", **changed: Any) -> Broker:
        settings = BrokerSettings(
            store=f"sqlite:///{tmp_path / store}", stores={"oss": rig.store_settings}, token_key=SecretStr("k" * 32)
        )
        opened.append(Broker(settings, providers={"mps": MpsProvider("mps", {**rig.settings, **changed})}))
        return opened[-1]

    yield make
    for broker in opened:
        broker.close()


def messages(rig: MpsRig) -> list[InboundMessage]:
    """What lies in the queue, as its source hands it out."""
    posted = rig.queues.posted[ACCOUNT, REGION, QUEUE]
    return [
        InboundMessage(base64.b64decode(body), NOTIFY, str(number), f"r{number}")
        for number, body in enumerate(posted, 1)
    ]


def test_smart_production_ends_with_a_typed_result(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    job = broker.submit(CHORUS, options=[MpsOptions(notify_url=NOTIFY)])
    assert job.state is JobState.QUEUED
    rig.service.engine.settle()
    (callback,) = messages(rig)
    assert broker.ingest(callback).jobs == (job.id,)
    result = job.result(timeout=30)
    assert isinstance(result, SegmentsResult)
    assert [(each.start_s, each.end_s) for each in result.segments] == [(39.32, 63.85)]


def test_the_open_form_ends_with_the_vendors_own_values(rig: MpsRig, open_broker: Open) -> None:
    job = open_broker().submit(SmartProduction(input=SOURCE, function="MusicSegmentDetect"))
    rig.service.engine.settle()
    result = job.result(timeout=30)
    assert isinstance(result, ProductionResult)
    assert result.data == {"result": [{"start": 39.32, "end": 63.85, "title": "副歌"}]}


def test_a_failed_function_is_a_failed_job_with_the_vendors_reason(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    job = broker.submit(CHORUS)
    rig.outcomes['"token"'] = Outcome("InvalidParameter.NoAudioStream", "there is no sound")
    rig.service.engine.settle()
    with pytest.raises(JobFailedError, match="there is no sound") as caught:
        job.result(timeout=30)
    assert caught.value.error.code == "MEDIA_UNSUPPORTED"


def test_a_lost_answer_is_a_visible_hold_until_a_callback_names_the_job(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    rig.world.faults.add("mps.SubmitIProductionJob", "lost")
    job = broker.submit(CHORUS)
    for _ in range(3):
        broker.reconcile()
    assert job.refresh().state is JobState.SUBMITTING
    assert "cannot be searched" in str(job.hold_reason)
    assert rig.count_jobs() == 1, "never a silent second job"
    rig.service.engine.settle()
    (callback,) = messages(rig)
    assert broker.ingest(callback).jobs == (job.id,)
    assert job.result(timeout=30).segments
    assert rig.count_jobs() == 1


def test_an_answer_that_a_proxy_has_swallowed_never_makes_a_second_job(
    rig: MpsRig, open_broker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(request: Request) -> Response | None:
        asked = urlsplit(request.target)
        vendor = http.client.HTTPConnection("127.0.0.1", rig.server.port, timeout=20)
        with closing(vendor):
            vendor.request(request.method, f"{asked.path}?{asked.query}", headers=dict(request.headers))
            assert vendor.getresponse().read()
        return None

    with LoopbackServer(forward) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        job = open_broker(endpoint_url="http://mps.example").submit(CHORUS)
        assert job.state is JobState.SUBMITTING
        assert "cannot be searched" in str(job.hold_reason)
    assert rig.count_jobs() == 1


def test_a_callback_of_another_job_does_not_end_the_hold(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    other = broker.submit(CHORUS)
    rig.world.faults.add("mps.SubmitIProductionJob", "lost")
    job = broker.submit(CHORUS)
    rig.service.engine.settle()
    body: Any = json.loads(messages(rig)[0].body)
    forged = {
        **body,
        "JobId": other.ref.members[0].native_id,
        "UserData": json.loads(messages(rig)[1].body)["UserData"],
    }
    broker.ingest(InboundMessage(json.dumps(forged).encode(), NOTIFY, "9", "r9"))
    assert job.refresh().state is JobState.SUBMITTING
    assert rig.count_jobs() == 2


def test_resubmitting_is_an_opt_in_that_starts_a_second_job_at_most(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    rig.world.faults.add("mps.SubmitIProductionJob", "lost")
    job = broker.submit(CHORUS, options=[MpsOptions(on_unknown="resubmit")])
    assert job.state is JobState.QUEUED
    assert rig.count_jobs() == 2
    rig.service.engine.settle()
    assert job.result(timeout=30).segments


def test_a_transcode_whose_answer_was_lost_is_found_in_the_job_list(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    rig.world.faults.add("mps.SubmitJobs", "lost")
    spec = Transcode(input=SOURCE, output=f"oss://{BUCKET}/out/a.mp4", overwrite=True)
    job = broker.submit(spec)
    assert job.state is JobState.QUEUED
    assert rig.count_jobs() == 1


def test_an_unknown_answer_in_the_middle_of_a_ladder_starts_no_rendition_twice(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    rig.world.faults.add("mps.SubmitJobs", "lost", when=lambda params: "1_360p" in params["Outputs"])
    spec = Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls", overwrite=True)
    job = broker.submit(spec)
    assert job.state is JobState.QUEUED
    roles = [each.role for each in job.ref.members]
    assert roles == ["0_240p", "1_360p", "2_480p", "3_720p"]
    assert rig.count_jobs() == len(roles)


def test_a_refused_rendition_stops_what_was_started_before_it(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    rig.world.faults.add("mps.SubmitJobs", "denied", when=lambda params: "2_480p" in params["Outputs"])
    spec = Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls", overwrite=True)
    job = broker.submit(spec)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "AUTH"
    shelf = rig.service.state.shelf(ACCOUNT, REGION, rig.world.clock.now())
    assert [each.state for each in shelf.jobs.values() if each.kind == "transcode"] == ["cancelled", "cancelled"]


def test_a_callback_brings_the_job_to_a_host_that_never_saw_it(rig: MpsRig, open_broker: Open) -> None:
    job = open_broker().submit(MediaInfo(input=SOURCE, user_data=[1, None]))
    rig.service.engine.settle()
    elsewhere = open_broker("elsewhere.db")
    (callback,) = messages(rig)
    assert elsewhere.ingest(callback).jobs == (job.id,)
    adopted = elsewhere.get(job.id)
    assert adopted.result(timeout=30) == job.result(timeout=30)
    assert next(iter(adopted.events())).user_data == [1, None]


def test_a_forged_message_does_not_choose_what_an_adopting_host_writes(
    rig: MpsRig, open_broker: Open, tmp_path: Path
) -> None:
    job = open_broker().submit(MediaInfo(input=SOURCE, user_data="mine"))
    rig.service.engine.settle()
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(b"the user's own")
    planted = MediaURI(f"oss://{BUCKET}/forged.json")
    (callback,) = messages(rig)
    said = json.loads(callback.body)
    lies = {"kind": "transcode", "output": planted, "deliver_to": victim.as_uri(), "overwrite": True}
    names = [each for each in said if each.lower() == "userdata"]
    text = json.dumps({**json.loads(said[names[0]]), **lies, "user_data": "forged"}, separators=(",", ":"))
    said |= dict.fromkeys(names, text)
    elsewhere = open_broker("elsewhere.db")
    assert elsewhere.ingest(InboundMessage(json.dumps(said).encode(), "q", "1")).jobs == (job.id,)
    adopted = elsewhere.get(job.id)
    assert adopted.kind == "media_info"
    assert adopted.user_data == "mine"
    assert adopted.result(timeout=30) == job.result(timeout=30)
    assert victim.read_bytes() == b"the user's own"
    assert elsewhere._core.stores.of(planted).stat(planted) is None


@pytest.mark.parametrize(
    "spec",
    [
        Transcode(input=SOURCE, output=f"oss://{BUCKET}/hls/a.m3u8", container="hls"),
        Snapshot(input=SOURCE, output=f"oss://{BUCKET}/s-{{index}}.jpg", at_s=(0, 1, 2)),
    ],
    ids=lambda spec: spec.kind,
)
def test_a_job_that_is_not_listed_when_another_host_takes_over_is_awaited_and_found(
    rig: MpsRig, open_broker: Open, spec: JobSpec[Any]
) -> None:
    job = open_broker().submit(spec)
    rig.service.engine.settle()
    shelf = rig.service.state.shelf(ACCOUNT, REGION, rig.world.clock.now())
    hidden = shelf.jobs.pop(job.ref.members[1].native_id)
    elsewhere = open_broker("elsewhere.db")
    assert elsewhere.ingest(messages(rig)[-1]).jobs == (job.id,)
    adopted = elsewhere.get(job.id)
    elsewhere.reconcile()
    assert not adopted.refresh().state.is_terminal, "nobody has said that it is not there"
    assert len(adopted.ref.members) == len(job.ref.members)
    shelf.jobs[hidden.id] = hidden
    assert adopted.result(timeout=60) == job.result(timeout=60)


def test_the_callback_of_a_probe_of_the_products_own_is_passed_over(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    job = broker.submit(Transcode(input=SOURCE, output=f"oss://{BUCKET}/small.mp4"))
    rig.service.engine.settle()
    told = messages(rig)
    assert len(told) == 2, "that of the probe, and that of the transcode"
    assert [broker.ingest(each).outcome for each in told] == ["taken", "taken"]
    assert broker.quarantined() == []
    assert job.refresh().state is JobState.SUCCEEDED


def test_duplicated_and_reordered_messages_change_nothing(rig: MpsRig, open_broker: Open) -> None:
    broker = open_broker()
    jobs = [broker.submit(CHORUS) for _ in range(3)]
    rig.service.engine.settle()
    for message in [*reversed(messages(rig)), *messages(rig)]:
        assert broker.ingest(message).outcome == "taken"
    for job in jobs:
        assert job.result(timeout=30).segments
        names = [type(event).__name__ for event in job.events()]
        assert names.count("JobSucceeded") == 1


def test_a_cancel_that_is_not_possible_is_said_and_leaves_no_trace(rig: MpsRig, open_broker: Open) -> None:
    job = open_broker().submit(CHORUS)
    assert job.cancel() is CancelOutcome.UNSUPPORTED
    assert not job.refresh().cancel_requested
    rig.service.engine.settle()
    assert job.result(timeout=30).segments


def test_a_transcode_that_waits_is_cancelled(rig: MpsRig, open_broker: Open) -> None:
    job = open_broker().submit(Transcode(input=SOURCE, output=f"oss://{BUCKET}/out/a.mp4"))
    assert job.cancel() is CancelOutcome.CANCELLED
    assert job.refresh().state is JobState.CANCELLED

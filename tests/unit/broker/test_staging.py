"""Inputs and outputs that a provider cannot reach: copied there and back, verified, cancelled, cleared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from mediabroker import Broker, JobState, Transcode
from mediabroker.broker.attempt.placement import home_of, place
from mediabroker.broker.attempt.staging import make_folders
from mediabroker.config import BrokerSettings
from mediabroker.errors import (
    ConfigurationError,
    ErrorCode,
    MediaError,
    UnavailableError,
    UnsupportedError,
)
from mediabroker.objects import named
from mediabroker.refs import MediaURI
from mediabroker.results import JobResult, Output, Transfer
from mediabroker.spi import CancelOutcome
from mediabroker.store.records import Placement
from tests.ledger import LedgerProvider
from tests.stores import BucketFolders
from tests.unit.broker.conftest import HandClock

STAGING = {"s3": "s3://staging/jobs"}
VIDEO = b"a video of 22 bytes..."

Make = Callable[..., tuple[Broker, LedgerProvider, BucketFolders]]


@pytest.fixture
def make(tmp_path: Path, clock: HandClock) -> Iterator[Make]:
    """Brokers whose vendor reaches only s3://, whose buckets are folders."""
    opened: list[Broker] = []

    def make_one(*, staging: dict[str, str] | None = None, **behaviour: Any) -> Any:
        vendor = LedgerProvider(
            "ledger", {"folder": tmp_path / "vendor", "schemes": ["s3"], "steps": ["only"], **behaviour}
        )
        settings = BrokerSettings(
            store=f"sqlite:///{tmp_path / 'jobs.db'}",
            staging=STAGING if staging is None else staging,  # type: ignore[arg-type]  # text becomes a place
        )
        broker = Broker(settings, providers={"ledger": vendor}, clock=clock)
        buckets = BucketFolders(tmp_path / "buckets")
        broker._core.stores._open["s3"] = buckets
        opened.append(broker)
        return broker, vendor, buckets

    yield make_one
    for broker in opened:
        broker.close()


@pytest.fixture
def spec(tmp_path: Path) -> Transcode:
    (tmp_path / "in.MP4").write_bytes(VIDEO)
    return Transcode(input=tmp_path / "in.MP4", output=tmp_path / "out.mp4")


def finish(vendor: LedgerProvider, buckets: BucketFolders, body: bytes = b"made", *, beside: str = "") -> None:
    """The vendor writes its output, and says that it is done."""
    job = vendor.ledger.accepted()[-1]
    buckets.put(job["output"], body)
    if beside:
        buckets.put(job["output"].rpartition("/")[0] + f"/{beside}", b"segment")
    vendor.ledger.say(job["id"], "done")


def test_both_ends_are_staged_delivered_verified_and_cleared(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec)
    seen = vendor.ledger.accepted()[0]
    token = seen["origin"]["token"]
    assert seen["input"] == f"s3://staging/jobs/{token}/in/input.mp4"
    assert seen["output"] == f"s3://staging/jobs/{token}/out/out.mp4"
    assert buckets.get(seen["input"]) == VIDEO
    finish(vendor, buckets, b"made by the vendor")
    result = job.result(timeout=20)
    assert spec.output.path.read_bytes() == b"made by the vendor"
    (output,) = result.outputs
    assert output == Output(uri=spec.output, size_bytes=18, sha256=hashlib.sha256(b"made by the vendor").hexdigest())
    assert buckets.names("staging") == []
    assert job.transfer is None


def test_what_the_provider_reaches_itself_is_not_staged(make: Make) -> None:
    broker, vendor, buckets = make()
    broker.submit(Transcode(input="s3://media/a.mp4", output="s3://media/b.mp4"))
    assert vendor.ledger.accepted()[0]["input"] == "s3://media/a.mp4"
    assert buckets.names("staging") == []


def test_a_ladder_comes_home_with_all_its_files_the_playlist_last(make: Make, spec: Transcode, tmp_path: Path) -> None:
    broker, vendor, buckets = make()
    (tmp_path / "hls").mkdir()
    ladder = Transcode(input=spec.input, output=tmp_path / "hls" / "master.m3u8", container="hls")
    job = broker.submit(ladder)
    finish(vendor, buckets, b"#EXTM3U", beside="720p/seg 1.ts")
    order: list[str] = []
    buckets.hook = lambda moment, uri: order.append(uri.name) if moment == "read" else None
    job.wait(timeout=20)
    assert (tmp_path / "hls" / "720p" / "seg 1.ts").read_bytes() == b"segment"
    assert list(dict.fromkeys(order)) == ["seg 1.ts", "master.m3u8"]


@pytest.mark.parametrize(
    ("staged", "target", "made", "home"),
    [
        ("/st/out/a.m3u8", "s3://bkt/a.m3u8", "/st/out/a-1/seg 1.ts", "s3://bkt/a-1/seg 1.ts"),
        ("/st/out/my film.m3u8", "s3://bkt/d/my film.m3u8", "/st/out/my film/x.ts", "s3://bkt/d/my film/x.ts"),
        (
            "/st/out/100%25.m3u8",
            "oss://bkt.oss-cn-x.aliyuncs.com/a",
            "/st/out/%25#.ts",
            "oss://bkt.oss-cn-x.aliyuncs.com/%25#.ts",
        ),
        ("s3://stage/out/a.m3u8", "/d d/a.m3u8", "s3://stage/out/50%25 off/seg#1.ts", "/d d/50%25 off/seg#1.ts"),
        ("s3://stage/out/", "/d/", "s3://stage/out/50%.ts", "/d/50%.ts"),
        ("s3://stage/out/a.m3u8", "oss://bkt/a.m3u8", "s3://stage/out/%41?.ts", "oss://bkt/%41?.ts"),
    ],
)
def test_names_beside_an_output_come_home_as_they_are(staged: str, target: str, made: str, home: str) -> None:
    placement = Placement(output=MediaURI(staged), target=MediaURI(target))
    found = home_of(placement, MediaURI(made))
    assert (found, found.key) == (MediaURI(home), MediaURI(home).key)
    assert home_of(placement, MediaURI(staged)) == MediaURI(target)


@pytest.mark.parametrize("name", ["..x", "x..", ".hidden/x", "a/...", "a.b/c.d", "CD:x", "%2e%2e/x", "a b~/~x"])
def test_names_that_only_look_like_it_are_delivered_below_the_outputs_folder(name: str) -> None:
    placement = Placement(output=MediaURI("s3://stage/out/a.m3u8"), target=MediaURI("/d/a.m3u8"))
    assert home_of(placement, MediaURI(f"s3://stage/out/{name}")).key == f"/d/{name}"


OUTSIDE = ["../x", "..", ".", "a/../../x", "./x", "/etc/x", "a//x", "..\\x", "C:x", "d/c:/x", "a\\..\\..\\x"]


@pytest.mark.parametrize("beside", [*OUTSIDE, "nul\0.ts", "tab\t.ts", "d/new\n", "half\ud800"])
def test_a_name_that_leads_outside_or_that_is_no_uri_fails_the_job_and_nothing_is_delivered(
    make: Make, spec: Transcode, tmp_path: Path, beside: str
) -> None:
    broker, vendor, buckets = make()
    (tmp_path / "hls").mkdir()
    job = broker.submit(Transcode(input=spec.input, output=tmp_path / "hls" / "master.m3u8", container="hls"))
    before = sorted(tmp_path.rglob("*"))
    plain = buckets.list
    buckets.list = lambda folder: named(folder, [*plain(folder), f"{folder}{beside}"])  # type: ignore[method-assign]
    finish(vendor, buckets, b"#EXTM3U")
    error = job.exception(20)
    assert error is not None
    assert (error.error.code, error.error.retryable) == (ErrorCode.PROVIDER_INTERNAL, False)
    assert ("outside the folder" if beside in OUTSIDE else "no URI can stand for") in str(error)
    assert list((tmp_path / "hls").iterdir()) == []
    assert [each for each in sorted(tmp_path.rglob("*")) if each not in before and "buckets" not in str(each)] == []


@pytest.mark.parametrize("uri", ["{secret}", "s3://media/secret", "s3://staging/secret", "https://host/secret"])
def test_a_job_whose_vendor_announces_a_file_of_another_place_has_failed_and_it_was_not_read(
    make: Make, spec: Transcode, tmp_path: Path, uri: str
) -> None:
    broker, vendor, buckets = make()
    (tmp_path / "secret").write_bytes(b"secret")
    for bucket in ("media", "staging"):
        buckets.put(f"s3://{bucket}/secret", b"secret")
    announced = MediaURI(uri.format(secret=tmp_path / "secret"))
    whole = vendor._observe

    def observe(member: Any, job: Any) -> Any:
        seen = whole(member, job)
        result = JobResult(outputs=(Output(uri=member.output), Output(uri=announced)))
        return seen.model_copy(update={"result": result}) if seen.state is JobState.SUCCEEDED else seen

    vendor._observe = observe  # type: ignore[method-assign]  # a vendor that announces what it has not made
    job = broker.submit(spec)
    finish(vendor, buckets)
    error = job.exception(timeout=20)
    assert error is not None
    assert error.error.code is ErrorCode.PROVIDER_INTERNAL
    assert not spec.output.path.exists()


def test_a_mark_that_stands_for_a_folder_is_no_file_to_deliver(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec)
    marks = [MediaURI(f"{vendor.ledger.accepted()[-1]['output'].rpartition('/')[0]}/{name}") for name in ("", "720p/")]
    plain = buckets.list
    buckets.list = lambda folder: iter([*plain(folder), *marks])  # type: ignore[method-assign]  # made by a console
    finish(vendor, buckets)
    job.result(timeout=20)
    assert spec.output.path.read_bytes() == b"made"


def test_a_percent_sign_in_an_outputs_name_stays_one_where_it_is_staged(make: Make) -> None:
    broker, _, _ = make(schemes=["file"])
    for name in ("100%41.mp4", "..%2F..%2Fx.mp4", "a%00.mp4"):
        spec = Transcode(input="/x/in.mp4", output=f"s3://media/{name}")
        staged = place(broker._core, broker.providers["ledger"], spec, "t").output
        assert staged is not None
        assert (staged.scheme, staged.name, staged.path.parent.name) == ("file", name, "out")


def write_ladder(vendor: LedgerProvider, segment: str) -> None:
    """The vendor, which reaches only files, writes a playlist and a segment, and says that it is done."""
    job = vendor.ledger.accepted()[-1]
    playlist = MediaURI(job["output"]).path
    (playlist.parent / "720p").mkdir()
    (playlist.parent / "720p" / segment).write_bytes(b"segment")
    playlist.write_bytes(b"#EXTM3U")
    vendor.ledger.say(job["id"], "done")


@pytest.mark.parametrize("planted", ["token", "token/out"])
def test_a_link_in_place_of_a_staging_folder_is_refused(tmp_path: Path, planted: str) -> None:
    users, link = tmp_path / "users", tmp_path / "place" / planted
    (users / "out").mkdir(parents=True)
    link.parent.mkdir(parents=True)
    link.symlink_to(users)
    folder = MediaURI(f"{tmp_path}/place/token/")
    placement = Placement(output=MediaURI(f"{folder}out/a.mp4"), target=MediaURI("s3://b-b/a.mp4"), folders=(folder,))
    with pytest.raises(MediaError, match="it is a link") as caught:
        make_folders(placement)
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED


def test_staging_folders_are_open_to_this_user_alone(tmp_path: Path) -> None:
    folder = MediaURI(f"{tmp_path}/place/token/")
    make_folders(
        Placement(input=MediaURI(f"{folder}in/input.mp4"), output=MediaURI(f"{folder}out/"), folders=(folder,))
    )
    made = [folder.path, folder.path / "in", folder.path / "out"]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o700] * 3


def test_files_beside_an_output_reach_the_root_of_a_bucket(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make(schemes=["file"])
    job = broker.submit(Transcode(input=spec.input, output="s3://media/my film.m3u8", container="hls"))
    write_ladder(vendor, "seg 1.ts")
    assert job.refresh().state is JobState.SUCCEEDED
    assert buckets.names("media") == ["720p/seg 1.ts", "my film.m3u8"]


def test_an_output_that_has_no_name_where_it_belongs_holds_the_job_and_says_so(make: Make, spec: Transcode) -> None:
    broker, vendor, _ = make(schemes=["file"])
    deep = "/".join(["d" * 200] * 5)
    job = broker.submit(Transcode(input=spec.input, output=f"s3://media/{deep}/a.m3u8", container="hls"))
    write_ladder(vendor, "s" * 60)
    broker.reconcile()
    assert job.refresh().state is JobState.RUNNING
    assert "the key is longer than 1024 bytes" in str(job.hold_reason)


def test_plan_tells_what_would_be_copied_and_where_the_setting_is(make: Make, spec: Transcode) -> None:
    broker, _, buckets = make()
    plan = broker.plan(spec)
    assert plan.staging_bytes == len(VIDEO)
    assert [(each.source, each.target, each.size_bytes) for each in plan.transfers] == [
        (spec.input, "s3://staging/jobs/<token>/in/input.mp4", len(VIDEO)),
        ("s3://staging/jobs/<token>/out/out.mp4", spec.output, None),
    ]
    assert plan.calls[0].params["input"] == "s3://staging/jobs/<token>/in/input.mp4"
    assert buckets.names("staging") == []
    assert list(broker.list()) == []


@pytest.mark.parametrize("end", ["input", "output"])
def test_without_a_place_the_setting_is_named(make: Make, spec: Transcode, end: str) -> None:
    broker, _, _ = make(staging={})
    reachable = {"input": "s3://media/a.mp4", "output": "s3://media/b.mp4", end: getattr(spec, end)}
    with pytest.raises(UnsupportedError, match=r"set staging.s3 or providers.ledger.staging to a folder such as s3://"):
        broker.submit(Transcode(**reachable))


def test_folders_are_not_staged(make: Make, tmp_path: Path) -> None:
    broker, _, _ = make()
    with pytest.raises(UnsupportedError, match="is a folder, and only single files can be staged"):
        broker.submit(Transcode(input=f"{tmp_path}/clips/", output="s3://media/b.mp4"))


def test_a_place_of_another_scheme_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "mediabroker.toml"
    path.write_text('[staging]\ns3 = "oss://bucket/staging"\n')
    with pytest.raises(ConfigurationError, match="oss://bucket/staging/ is no s3:// folder"):
        Broker.from_config(path)


def test_an_output_that_is_there_fails_the_job_before_anything_is_started(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()
    spec.output.path.write_bytes(b"precious")
    job = broker.submit(spec)
    assert job.error is not None
    assert (job.state, job.error.code) == (JobState.FAILED, ErrorCode.OUTPUT_EXISTS)
    assert vendor.ledger.accepted() == []
    assert spec.output.path.read_bytes() == b"precious"
    replacing = broker.submit(spec.model_copy(update={"overwrite": True}))
    finish(vendor, buckets)
    replacing.result(timeout=20)
    assert spec.output.path.read_bytes() == b"made"


def test_an_output_that_somebody_else_writes_meanwhile_is_not_touched(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec)
    finish(vendor, buckets)
    spec.output.path.write_bytes(b"others")
    error = job.exception(timeout=20)
    assert error is not None
    assert error.error.code is ErrorCode.OUTPUT_EXISTS
    assert spec.output.path.read_bytes() == b"others"
    assert buckets.names("staging") == []


def test_an_input_that_is_not_there_fails_the_job_before_anything_is_started(make: Make, spec: Transcode) -> None:
    broker, vendor, _ = make(schemes=["file"])
    job = broker.submit(Transcode(input="s3://media/none.mp4", output=spec.output))
    assert job.error is not None
    assert (job.state, job.error.code) == (JobState.FAILED, ErrorCode.INPUT_NOT_FOUND)
    assert vendor.ledger.calls == []


def test_bytes_that_are_not_what_was_announced_never_appear(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()
    announced = JobResult(outputs=(Output(uri=MediaURI("s3://media/y"), sha256="0" * 64),))
    whole = vendor._observe

    def observe(member: Any, job: Any) -> Any:
        made = announced.model_copy(
            update={"outputs": (announced.outputs[0].model_copy(update={"uri": member.output}),)}
        )
        seen = whole(member, job)
        return seen.model_copy(update={"result": made}) if seen.state is JobState.SUCCEEDED else seen

    vendor._observe = observe  # type: ignore[method-assign]  # a vendor that announces digests
    job = broker.submit(spec)
    finish(vendor, buckets)
    error = job.exception(timeout=20)
    assert error is not None
    assert error.error.code is ErrorCode.OUTPUT_MISSING
    assert "SHA-256" in error.error.message
    assert not spec.output.path.exists()


def test_a_store_that_is_out_of_order_is_waited_for(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()

    def refuse(moment: str, uri: MediaURI) -> None:
        raise UnavailableError("out of order")

    buckets.hook = refuse
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    assert job.hold_reason is not None
    assert "cannot be staged now" in job.hold_reason
    buckets.hook = lambda moment, uri: None
    assert job.refresh().state is JobState.QUEUED
    assert len(vendor.ledger.accepted()) == 1


def test_a_cancel_while_the_input_is_copied_ends_the_job_and_leaves_nothing(
    make: Make, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor, buckets = make()
    outcomes: list[CancelOutcome] = []

    def cancel(moment: str, uri: MediaURI) -> None:
        if moment == "write":
            (job,) = broker.list()
            assert (job.phase, job.transfer) == ("staging", Transfer(done_bytes=0, total_bytes=len(VIDEO)))
            outcomes.append(broker.cancel(job))
            clock.advance(2)

    buckets.hook = cancel
    job = broker.submit(spec)
    assert outcomes == [CancelOutcome.REQUESTED]
    assert job.state is JobState.CANCELLED
    assert vendor.ledger.accepted() == []
    assert buckets.names("staging") == []


def test_a_cancel_while_the_output_is_copied_ends_the_job_and_leaves_nothing(
    make: Make, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec)
    finish(vendor, buckets, b"made by the vendor")
    copying = Event()

    def wait_for_cancel(moment: str, uri: MediaURI) -> None:
        if moment == "read":
            copying.set()
            while not broker.get(job.id).cancel_requested:
                Event().wait(0.01)
            clock.advance(2)

    buckets.hook = wait_for_cancel
    look = Thread(target=job.refresh)
    look.start()
    assert copying.wait(20)
    assert broker.cancel(job) is CancelOutcome.CANCELLED
    look.join()
    assert not spec.output.path.exists()
    assert buckets.names("staging") == []
    assert vendor.ledger.words()["job-0"]["word"] == "done"


def test_the_pass_of_a_waiter_does_not_wait_for_another_jobs_copy(make: Make, spec: Transcode, tmp_path: Path) -> None:
    broker, vendor, buckets = make()
    slow = broker.submit(spec)
    finish(vendor, buckets)
    copying, go = Event(), Event()

    def hold(moment: str, uri: MediaURI) -> None:
        if moment == "read":
            copying.set()
            go.wait(20)

    buckets.hook = hold
    quick = broker.submit(Transcode(input="s3://media/a.mp4", output="s3://media/b.mp4"))
    buckets._files.write(MediaURI(tmp_path / "buckets" / "staging" / "x"), iter([b""]))
    waiting = broker._watcher.future(slow.id)
    assert copying.wait(20)
    vendor.ledger.say("job-1", "broken")
    quick.wait(timeout=20)
    assert not waiting.done()
    go.set()
    assert waiting.result(timeout=20).state is JobState.SUCCEEDED


def test_debug_keeps_what_was_staged(make: Make, spec: Transcode) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec.model_copy(update={"debug": True}))
    finish(vendor, buckets)
    job.result(timeout=20)
    assert [name.rpartition("/")[2] for name in buckets.names("staging")] == ["input.mp4", "out.mp4"]


@pytest.mark.parametrize("word", ["broken", "stopped"])
def test_what_was_staged_for_a_job_that_does_not_succeed_is_cleared(make: Make, spec: Transcode, word: str) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec)
    vendor.ledger.say("job-0", word)
    assert job.wait(timeout=20).state.is_terminal
    assert buckets.names("staging") == []


def test_a_provider_that_needs_no_staging_is_preferred_unless_an_order_was_asked_for(
    make: Make, tmp_path: Path, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor, buckets = make()
    near = LedgerProvider("near", {"folder": tmp_path / "near", "steps": ["only"]})
    settings = broker._core.settings
    with Broker(settings, providers={"ledger": vendor, "near": near}, clock=clock) as both:
        both._core.stores._open["s3"] = buckets
        assert both.plan(spec).provider == "near"
        assert both.plan(spec, provider=["ledger", "near"]).provider == "ledger"


def test_a_name_that_is_no_name_stays_inside_its_folder(make: Make, clock: HandClock) -> None:
    broker, _, _ = make()
    planned = broker.plan(Transcode(input="s3://media/a.mp4", output="/media/out.mp4")).transfers[0]
    assert planned.source == "s3://staging/jobs/<token>/out/out.mp4"
    for name, suffix in ((".", ""), ("..", ""), ("n" * 256, ""), ("n" * 256 + ".mp4", ".mp4")):
        output = MediaURI._make(f"file:///media/{name}", "file", "", f"/media/{name}")
        spec = Transcode(input="s3://media/a.mp4", output="/x.mp4").model_copy(update={"output": output})
        assert (
            place(broker._core, broker.providers["ledger"], spec, "t").output
            == f"s3://staging/jobs/t/out/output{suffix}"
        )


def test_copies_are_stopped_when_the_broker_is_closed_and_go_on_with_the_next(
    make: Make, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor, buckets = make()
    job = broker.submit(spec)
    finish(vendor, buckets)
    copying = Event()

    def close(moment: str, uri: MediaURI) -> None:
        if moment == "read":
            copying.set()
            broker._core.mover.closing.wait(20)

    buckets.hook = close
    broker._watcher.future(job.id)
    assert copying.wait(20)
    broker.close()
    assert not spec.output.path.exists()
    following, _, _ = make()
    assert following.get(job.id).wait(timeout=20).state is JobState.SUCCEEDED
    assert spec.output.path.read_bytes() == b"made"

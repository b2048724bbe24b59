"""OSS as an object store: the promises of every store, and what only a rough wire brings to light."""

from __future__ import annotations

import gzip
import logging
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mediabroker.errors import AuthenticationError, ConfigurationError, ErrorCode, MediaError, UnavailableError
from mediabroker.refs import MediaURI
from mediabroker_alibaba import OssStore
from mediabroker_alibaba.simulator.oss import OssState
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World
from tests.store_contract import MIB, StoreContract, StorePlace, read
from tests.unit.alibaba.conftest import ACCOUNT, BUCKET, REGION, connect

WHERE = MediaURI(f"oss://{BUCKET}/a.mp4")
BODY = bytes(range(256)) * 20_000

MakeStore = Callable[..., OssStore]


def settings(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"endpoint_url": endpoint, "region": REGION, "part_bytes": MIB, **more}


@pytest.fixture(params=["v4", "v1"])
def signature(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestOss(StoreContract):
    """Over the simulator, which checks every signature; V4 and V1."""

    compares_versions = False

    @pytest.fixture
    def place(self, oss_url: str, oss_state: OssState, signature: str) -> StorePlace:
        given = settings(oss_url, signature=signature)
        bucket = oss_state.buckets[BUCKET]
        return StorePlace(
            make=lambda **more: OssStore({**given, **more}),
            settings=given,
            uri=lambda key: MediaURI(f"oss://{BUCKET}/{key}"),
            elsewhere=MediaURI("oss://no-such-bucket-here/a.mp4"),
            keys=lambda: sorted(bucket.objects),
            uploads=lambda: [each.key for each in bucket.uploads.values()],
            begin_upload=lambda key: oss_state.begin_upload(bucket, key, {}, "default"),
        )


@pytest.fixture
def make_store(oss_url: str) -> Iterator[MakeStore]:
    opened: list[OssStore] = []

    def make(**more: Any) -> OssStore:
        opened.append(OssStore(settings(oss_url, **more)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def store(make_store: MakeStore) -> OssStore:
    return make_store()


@pytest.fixture
def put_past(oss_state: OssState, tmp_path: Path) -> Callable[[bytes], bool]:
    """Stores an object past every client; a condition that no call meets."""

    def put(body: bytes) -> bool:
        (tmp_path / "body").write_bytes(body)
        oss_state.store(ACCOUNT, BUCKET, "a.mp4", tmp_path / "body")
        return False

    return put


def counted(world: World, operation: str) -> list[dict[str, Any]]:
    """The calls of an operation, as they come."""
    calls: list[dict[str, Any]] = []

    def note(params: Any) -> bool:
        calls.append(dict(params))
        return False

    world.faults.add(operation, "delayed", when=note)
    return calls


def test_O1_O2_a_download_that_breaks_is_resumed_in_the_same_version(store: OssStore, world: World) -> None:
    store.write(WHERE, iter([BODY]))
    world.faults.add("oss.GetObject", "truncated", times=2)
    world.faults.add("oss.GetObject", "dropped")
    world.faults.add("oss.GetObject", "error_after")
    assert read(store, WHERE) == BODY
    world.faults.add("oss.GetObject", "truncated")
    assert read(store, WHERE, start=17) == BODY[17:]


def test_O3_an_object_that_is_replaced_meanwhile_is_an_error_and_no_mixture(
    store: OssStore, world: World, put_past: Callable[[bytes], bool]
) -> None:
    store.write(WHERE, iter([BODY]))
    world.faults.add("oss.GetObject", "truncated")
    world.faults.add("oss.GetObject", "delayed", when=lambda _: put_past(BODY[::-1]))
    with pytest.raises(MediaError) as caught:
        read(store, WHERE)
    assert caught.value.error.code is ErrorCode.INPUT_CHANGED


def test_a_download_that_never_gets_further_is_given_up(
    store: OssStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediabroker_alibaba.oss.store._PAUSE_S", 0)
    store.write(WHERE, iter([b"xy"]))
    world.faults.add("oss.GetObject", "truncated")
    world.faults.add("oss.GetObject", "truncated", times=100)
    with pytest.raises(UnavailableError, match="breaks off at byte 1"):
        read(store, WHERE)


def test_O9_a_flipped_bit_is_noticed(store: OssStore, oss_state: OssState) -> None:
    store.write(WHERE, iter([BODY]))
    path = oss_state.buckets[BUCKET].object("a.mp4").blob.path
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    with pytest.raises(UnavailableError, match="damaged"):
        read(store, WHERE)


@pytest.mark.parametrize(("size", "operation"), [(5, "oss.PutObject"), (3 * MIB, "oss.CompleteMultipartUpload")])
@pytest.mark.parametrize("fault", ["lost", "error_after", "truncated"])
def test_O5_an_upload_whose_answer_was_lost_is_recognised_by_its_mark(
    store: OssStore, world: World, size: int, operation: str, fault: Any
) -> None:
    world.faults.add(operation, fault)
    written = store.write(WHERE, iter([b"x" * size]))
    assert written.size_bytes == size
    assert written.version == getattr(store.stat(WHERE), "version", None)


def test_O5_somebody_elses_object_is_not_taken_for_ours(
    store: OssStore, world: World, put_past: Callable[[bytes], bool]
) -> None:
    world.faults.add("oss.PutObject", "dropped")
    world.faults.add("oss.HeadObject", "delayed", when=lambda _: put_past(b"theirs"))
    with pytest.raises(MediaError) as caught:
        store.write(WHERE, iter([b"ours"]))
    assert caught.value.error.code is ErrorCode.OUTPUT_EXISTS
    assert read(store, WHERE) == b"theirs"


@pytest.mark.parametrize("fault", ["throttled", "error_before", "dropped", "lost", "html"])
def test_parts_are_tried_again_and_nothing_unfinished_stays(
    store: OssStore, world: World, oss_state: OssState, fault: Any
) -> None:
    world.faults.add("oss.UploadPart", fault, times=2)
    store.write(WHERE, iter([BODY]))
    assert read(store, WHERE) == BODY
    assert oss_state.buckets[BUCKET].uploads == {}


def test_a_part_that_never_arrives_ends_the_upload_and_nothing_stays(
    store: OssStore, world: World, oss_state: OssState
) -> None:
    world.faults.add("oss.UploadPart", "error_before", times=1000)
    with pytest.raises(UnavailableError, match="InternalError"):
        store.write(WHERE, iter([BODY]))
    assert oss_state.buckets[BUCKET].uploads == {}
    assert store.stat(WHERE) is None


def leave_an_upload(oss_url: str, account: Account, parts: list[bytes]) -> str:
    """As a process does that dies before it is finished."""
    bucket = connect(oss_url, account)
    upload_id = bucket.init_multipart_upload("a.mp4").upload_id
    for number, part in enumerate(parts, start=1):
        bucket.upload_part("a.mp4", upload_id, number, part)
    bucket.session.session.close()
    return str(upload_id)


def test_an_upload_that_broke_off_is_taken_up_where_the_content_is_the_same(
    make_store: MakeStore, oss_url: str, account: Account, world: World
) -> None:
    left = leave_an_upload(oss_url, account, [BODY[:MIB], b"other" * MIB])
    sent = counted(world, "oss.UploadPart")
    world.faults.add("oss.CompleteMultipartUpload", "lost")
    written = make_store(resume_after_s=0).write(WHERE, iter([BODY]))
    assert read(make_store(), WHERE) == BODY
    assert written.size_bytes == len(BODY)
    assert {each["uploadId"] for each in sent} == {left}
    assert sorted(each["partNumber"] for each in sent) == ["2", "3", "4", "5"]


def test_an_upload_that_somebody_works_on_is_left_alone(
    store: OssStore, oss_url: str, account: Account, oss_state: OssState
) -> None:
    left = leave_an_upload(oss_url, account, [BODY[:MIB]])
    store.write(WHERE, iter([BODY]))
    assert list(oss_state.buckets[BUCKET].uploads) == [left]


def test_memory_is_bounded_by_the_parts_on_their_way(make_store: MakeStore) -> None:
    store = make_store(parallel=2)
    chunk = os.urandom(1 << 16)
    tracemalloc.start()
    store.write(WHERE, (chunk for _ in range(12 * 16)))
    for _ in store.read(WHERE):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_what_is_stored_packed_is_given_packed(store: OssStore, oss_url: str, account: Account) -> None:
    packed = gzip.compress(BODY)
    bucket = connect(oss_url, account)
    bucket.put_object("a.mp4", packed, headers={"Content-Encoding": "gzip"})
    bucket.session.session.close()
    assert read(store, WHERE) == packed


def test_a_bucket_in_another_region_is_told_with_what_to_write(
    make_store: MakeStore, oss_state: OssState, account: Account
) -> None:
    oss_state.create_bucket(account.id, "far-away", "cn-beijing")
    far = MediaURI("oss://far-away/a.mp4")
    complaint = r"lies in region cn-beijing; write oss://far-away.oss-cn-beijing.aliyuncs.com/a.mp4, or set stores"
    for attempt in (make_store().stat, lambda uri: read(make_store(), uri)):
        with pytest.raises(MediaError, match=complaint) as caught:
            attempt(far)
        assert caught.value.error.code is ErrorCode.INPUT_DENIED
    with pytest.raises(MediaError, match=complaint) as caught:
        make_store().write(far, iter([b"1"]))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED


def test_a_uri_may_name_the_region_and_without_any_it_is_asked_for(make_store: MakeStore) -> None:
    make_store().write(WHERE, iter([b"1"]))
    named = MediaURI(f"oss://{BUCKET}.oss-{REGION}.aliyuncs.com/a.mp4")
    assert read(make_store(region=None), named) == b"1"
    assert list(make_store(region=None).list(MediaURI(named.removesuffix("a.mp4") + "a/"))) == []
    with pytest.raises(ConfigurationError, match=r"in which region .* or set stores.oss.region"):
        make_store(region=None).stat(WHERE)


def test_the_public_endpoints_are_the_vendors(account: Account) -> None:
    for more, host in (
        ({}, "oss-cn-shanghai.aliyuncs.com"),
        ({"internal": True}, "oss-cn-shanghai-internal.aliyuncs.com"),
    ):
        store = OssStore({"region": REGION, **more})
        assert store._client._bucket(WHERE).endpoint == f"https://{host}"
        store.close()


def test_another_tenants_bucket_is_denied(make_store: MakeStore, oss_state: OssState, world: World) -> None:
    oss_state.create_bucket(world.tenants.add_account().id, "theirs", REGION)
    with pytest.raises(MediaError, match="access is denied"):
        make_store().stat(MediaURI("oss://theirs/a.mp4"))


def test_O7_wrong_keys_and_clocks_are_authentication_errors_without_a_secret(
    make_store: MakeStore, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mediabroker")
    caplog.set_level(logging.DEBUG, "mediabroker_alibaba")
    store = make_store()
    assert store.stat(WHERE) is None
    world.clock.advance(16 * 60)
    with pytest.raises(AuthenticationError, match="clock is more than 15 minutes off") as caught:
        store.stat(WHERE)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "other-canary")
    with pytest.raises(AuthenticationError) as wrong:
        make_store().stat(WHERE)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("mediabroker")]
    for text in (*ours, repr(caught.value), repr(wrong.value), repr(store._client)):
        assert "secret-canary" not in text
        assert "other-canary" not in text


def test_temporary_credentials_are_read_again_when_they_have_expired(
    make_store: MakeStore, world: World, account: Account, monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    def renew() -> None:
        pair = world.tenants.add_temporary_key(account, expires_in_s=60)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", pair.access_key_id)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", pair.access_key_secret)
        monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", pair.token or "")

    renew()
    store = make_store(signature=signature)
    store.write(WHERE, iter([b"1"]))
    world.clock.advance(61)
    renew()
    assert read(store, WHERE) == b"1"
    world.clock.advance(61)
    with pytest.raises(AuthenticationError, match="SecurityTokenExpired"):
        store.stat(WHERE)


def test_a_signed_url_works_for_a_while_and_does_not_print_itself(
    make_store: MakeStore, world: World, signature: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mediabroker_alibaba")
    store = make_store(signature=signature)
    store.write(WHERE, iter([BODY]))
    url = store.signed_url(WHERE, lifetime_s=60)
    assert httpx.get(url.get_secret_value()).content == BODY
    assert httpx.put(url.get_secret_value(), content=b"x").status_code == 403
    assert "ignature" not in f"{url} {url!r} {caplog.text}"
    world.clock.advance(61)
    assert httpx.get(url.get_secret_value()).status_code == 403


def test_unknown_and_wrong_settings_are_named() -> None:
    for given, complaint in (
        ({"regoin": "x"}, "regoin"),
        ({"part_bytes": 1}, "part_bytes"),
        ({"signature": "v3"}, "sig"),
    ):
        with pytest.raises(ConfigurationError, match=f"stores.oss: .*{complaint}"):
            OssStore(given)

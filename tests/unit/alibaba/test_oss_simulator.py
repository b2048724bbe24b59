"""The simulated OSS: its signatures against numbers of others, its refusals, and what trips the vendor's SDKs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import httpx
import oss2
import pytest

from mediabroker.markup import load_markup
from mediabroker_alibaba.simulator.oss import OssService, OssState
from mediabroker_alibaba.simulator.oss.ranges import wanted_range
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.signing import canonical_v4, sign_v1, sign_v4, string_to_sign_v1
from mediabroker_alibaba.simulator.seams import StorageRefusedError
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World
from tests.unit.alibaba.conftest import ACCOUNT, BUCKET, REGION, connect

RESOURCE = "/bkt/a/b c.mp4"
STAMP, DATE = "20260102T030405Z", "Fri, 02 Jan 2026 03:04:05 GMT"
HEADERS = {"content-type": "video/mp4", "x-oss-meta-k": "v"}


def test_signatures_are_those_that_oss2_makes() -> None:
    """Recorded from oss2 2.19.1: key testId, secret testKeySecret, PUT of bkt/a/b c.mp4."""
    v1 = string_to_sign_v1("PUT", RESOURCE, [], {**HEADERS, "date": DATE}, DATE)
    assert sign_v1("testKeySecret", v1) == "Yb8MiAgmHENrpQFURddNRY66QaE="
    url_v1 = string_to_sign_v1("GET", RESOURCE, [("Expires", "1767326585")], {}, "1767326585")
    assert sign_v1("testKeySecret", url_v1) == "MnWvWwsShQfm4iPWwzL7CcTy3GE="
    own = {"x-oss-date": STAMP, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    v4 = canonical_v4("PUT", RESOURCE, [], {**HEADERS, **own}, additional=(), payload="UNSIGNED-PAYLOAD")
    expected = "2046686354dbde83bd8724f353932a2366ba74f8546b4bfe9feb36658bbde5b9"
    assert sign_v4("testKeySecret", v4, stamp=STAMP, region=REGION) == expected


@pytest.fixture(params=["v4", "v1"])
def bucket(oss_url: str, account: Account, request: pytest.FixtureRequest) -> Iterator[Any]:
    bucket = connect(oss_url, account, signature=request.param)
    yield bucket
    bucket.session.session.close()


def test_a_head_error_says_in_a_header_what_its_body_cannot(bucket: Any, oss_url: str) -> None:
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.head_object("none")
    bucket.bucket_name = "no-such-bucket-here"
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        bucket.object_exists("none")
    answer = httpx.head(f"{oss_url}/{BUCKET}/none")
    assert answer.content == b""
    assert load_markup(base64.b64decode(answer.headers["x-oss-err"])).find("Code") is not None
    assert "date" in answer.headers


def test_an_append_at_the_wrong_place_says_which_is_right(bucket: Any) -> None:
    assert bucket.append_object("log", 0, b"one").next_position == 3
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as caught:
        bucket.append_object("log", 0, b"two")
    assert caught.value.next_position == 3
    assert bucket.append_object("log", 3, b"two", init_crc=oss2_crc(b"one")).next_position == 6
    assert bucket.get_object("log").read() == b"onetwo"
    bucket.put_object("plain", b"x")
    with pytest.raises(oss2.exceptions.ObjectNotAppendable):
        bucket.append_object("plain", 1, b"y")


def oss2_crc(content: bytes) -> int:
    crc = oss2.utils.Crc64()
    crc.update(content)
    return int(crc.crc)


def test_parts_make_one_object_whose_checksums_oss2_believes(bucket: Any) -> None:
    parts = [b"a" * 102_400, b"b" * 102_400, b"c"]
    upload = bucket.init_multipart_upload("big").upload_id
    done = []
    for number, part in enumerate(parts, start=1):
        answer = bucket.upload_part("big", upload, number, part)
        done.append(oss2.models.PartInfo(number, answer.etag, size=len(part), part_crc=answer.crc))
    assert [each.part_number for each in bucket.list_parts("big", upload, max_parts=2).parts] == [1, 2]
    answer = bucket.complete_multipart_upload("big", upload, done)  # compares the CRC-64 of all
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert answer.etag == f"{hashlib.md5(digests).hexdigest().upper()}-3"
    assert bucket.get_object("big").read() == b"".join(parts)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.abort_multipart_upload("big", upload)


@pytest.mark.parametrize(
    ("sizes", "order", "code"),
    [([1, 1], [1, 2], "EntityTooSmall"), ([102_400, 1], [2, 1], "InvalidPartOrder"), ([1], [1, 2], "InvalidPart")],
)
def test_parts_that_make_no_object_are_refused(
    bucket: Any, oss_state: OssState, sizes: list[int], order: list[int], code: str
) -> None:
    upload = bucket.init_multipart_upload("big").upload_id
    tags = [bucket.upload_part("big", upload, n, b"x" * size).etag for n, size in enumerate(sizes, start=1)]
    listed = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>{tags[min(n, len(tags)) - 1]}</ETag></Part>" for n in order
    )
    url = bucket.sign_url("POST", "big", 60, params={"uploadId": upload})
    answer = httpx.post(url, content=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>")
    assert (answer.status_code, code in answer.text) == (400, True)
    assert "big" not in oss_state.buckets[BUCKET].objects


def test_objects_and_parts_of_them_are_copied(bucket: Any, oss_state: OssState) -> None:
    bucket.put_object("a/ü b", b"x" * 200_000, headers={"x-oss-meta-k": "v", "Content-Type": "video/mp4"})
    bucket.copy_object(BUCKET, "a/ü b", "copy")
    assert bucket.head_object("copy").headers["x-oss-meta-k"] == "v"
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.copy_object(BUCKET, "a/ü b", "copy", headers={"x-oss-copy-source-if-match": "other"})
    upload = bucket.init_multipart_upload("joined").upload_id
    tag = bucket.upload_part_copy(BUCKET, "a/ü b", (0, 102_399), "joined", upload, 1).etag
    bucket.complete_multipart_upload("joined", upload, [oss2.models.PartInfo(1, tag)])
    assert bucket.head_object("joined").content_length == 102_400


def test_lists_fold_and_page_in_both_versions(bucket: Any) -> None:
    for key in ("a/1", "a/2", "b", "c/1", "ü \x01"):
        bucket.put_object(key, b"x")
    for listing in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
        found = [each.key for each in listing(bucket, delimiter="/", max_keys=1)]
        assert found == ["a/", "b", "c/", "ü \x01"]
        assert [each.key for each in listing(bucket, prefix="a/", max_keys=1)] == ["a/1", "a/2"]
    bucket.batch_delete_objects(["a/1", "b", "none"])
    assert [each.key for each in oss2.ObjectIterator(bucket)] == ["a/2", "c/1", "ü \x01"]


def test_bodies_may_come_in_chunks_and_digests_are_checked(bucket: Any, oss_url: str) -> None:
    bucket.put_object("a", iter([b"one", b"", b"two"]))
    assert bucket.get_object("a").read() == b"onetwo"
    with pytest.raises(oss2.exceptions.ServerError, match="InvalidDigest"):
        bucket.put_object("b", b"x", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert not bucket.object_exists("b")


def test_conditions_are_kept(bucket: Any) -> None:
    tag = bucket.put_object("a", b"one").etag
    assert bucket.get_object("a", headers={"If-Match": f'"{tag}"'}).read() == b"one"
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object("a", headers={"If-None-Match": f'"{tag}"'})
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.get_object("a", headers={"If-Match": '"other"'})
    with pytest.raises(oss2.exceptions.ServerError, match="FileAlreadyExists"):
        bucket.put_object("a", b"two", headers={"x-oss-forbid-overwrite": "true"})


def test_a_link_is_followed(bucket: Any) -> None:
    bucket.put_object("a", b"one")
    bucket.put_symlink("a", "link")
    assert bucket.get_symlink("link").target_key == "a"
    assert bucket.get_object("link").read() == b"one"


@pytest.mark.parametrize(
    ("given", "standard", "expected"),
    [
        ("bytes=0-4", False, (0, 5, 206)),
        ("bytes=8-", False, (8, 10, 206)),
        ("bytes=-3", False, (7, 10, 206)),
        ("bytes=8-20", False, (0, 10, 200)),
        ("bytes=8-20", True, (8, 10, 206)),
        ("bytes=10-", False, (0, 10, 200)),
        ("bytes=-20", True, (0, 10, 206)),
        ("bytes=a-b", True, (0, 10, 200)),
        ("bytes=-", True, (0, 10, 200)),
        ("", True, (0, 10, 200)),
    ],
)
def test_ranges_beyond_the_end_are_all_of_it_unless_the_standard_is_asked_for(
    given: str, standard: bool, expected: tuple[int, int, int]
) -> None:
    headers = {"range": given, **({"x-oss-range-behavior": "standard"} if standard else {})}
    assert wanted_range(headers, 10) == expected


def test_a_range_that_cannot_be_is_416_by_the_standard() -> None:
    with pytest.raises(OssRefusedError) as caught:
        wanted_range({"range": "bytes=10-", "x-oss-range-behavior": "standard"}, 10)
    assert caught.value.status == 416


def ask(url: str, **headers: str) -> tuple[int, str]:
    answer = httpx.get(f"{url}/{BUCKET}/a", headers={name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status_code, answer.text.partition("<Code>")[2].partition("<")[0]


def test_who_is_not_believed_is_told_why(oss_url: str, oss_state: OssState, world: World, account: Account) -> None:
    now = formatdate(usegmt=True)
    assert ask(oss_url) == (403, "AccessDenied")
    assert ask(oss_url, authorization="OSS nobody:x", date=now) == (403, "InvalidAccessKeyId")
    key = account.key.access_key_id
    assert ask(oss_url, authorization=f"OSS {key}:x", date=now) == (403, "SignatureDoesNotMatch")
    assert ask(oss_url, authorization=f"OSS {key}:x", date=DATE) == (403, "RequestTimeTooSkewed")
    assert ask(oss_url, authorization=f"OSS {key}:x", date="never") == (403, "AccessDenied")
    assert ask(oss_url, authorization="OSS nonsense", date=now) == (400, "InvalidArgument")
    assert ask(oss_url, authorization="OSS4-HMAC-SHA256 nonsense", date=now) == (400, "InvalidArgument")
    scope = f"Credential={key}/20260102/cn-beijing/oss/aliyun_v4_request,Signature={'0' * 64}"
    old = ask(oss_url, authorization=f"OSS4-HMAC-SHA256 {scope}", x_oss_date=STAMP)
    assert old == (403, "RequestTimeTooSkewed")
    disabled = world.tenants.add_key(account, active=False)
    assert ask(oss_url, authorization=f"OSS {disabled.access_key_id}:x", date=now) == (403, "InvalidAccessKeyId")
    assert ask(oss_url, authorization=f"OSS {key}:x", date=now, x_oss_security_token="t") == (
        403,
        "InvalidSecurityToken",
    )


def test_a_bucket_that_is_open_is_read_by_anybody_and_written_by_nobody(
    bucket: Any, oss_url: str, oss_state: OssState
) -> None:
    bucket.put_object("a", b"one")
    bucket.put_bucket_acl("public-read")
    assert bucket.get_bucket_acl().acl == "public-read"
    assert httpx.get(f"{oss_url}/{BUCKET}/a").content == b"one"
    assert httpx.put(f"{oss_url}/{BUCKET}/a", content=b"two").status_code == 403
    bucket.put_object_acl("a", "private")
    assert httpx.get(f"{oss_url}/{BUCKET}/a").status_code == 403


def test_a_bucket_belongs_to_one_account_and_one_region(
    oss_url: str, oss_state: OssState, world: World, account: Account
) -> None:
    other = world.tenants.add_account()
    theirs = connect(oss_url, other)
    with pytest.raises(oss2.exceptions.ServerError, match="BucketAlreadyExists"):
        theirs.create_bucket()
    with pytest.raises(oss2.exceptions.AccessDenied):
        theirs.get_object("a")
    service = oss2.Service(theirs.auth, oss_url, region=REGION, session=theirs.session)
    assert service.list_buckets().buckets == []
    with LoopbackServer(OssService(oss_state, "cn-beijing").answer, clock=world.clock) as elsewhere:
        far = connect(elsewhere.url, account, region="cn-beijing")
        with pytest.raises(oss2.exceptions.AccessDenied, match="must be addressed using the specified endpoint"):
            far.get_bucket_info()
    for each in (theirs, far):
        each.session.session.close()


def test_a_bucket_is_removed_when_it_is_empty(bucket: Any, oss_state: OssState) -> None:
    bucket.put_object("a", b"one")
    with pytest.raises(oss2.exceptions.BucketNotEmpty):
        bucket.delete_bucket()
    bucket.delete_object("a")
    bucket.delete_bucket()
    assert oss_state.buckets == {}


def test_an_upload_that_breaks_off_leaves_no_file(bucket: Any, oss_state: OssState, tmp_path: Any) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise LookupError("the source is gone")

    with pytest.raises(LookupError):
        bucket.put_object("a", breaking())
    bucket.session.session.close()
    bucket.put_object("b", b"x")
    assert not bucket.object_exists("a")


def test_what_is_replaced_or_removed_leaves_no_file(bucket: Any, tmp_path: Any) -> None:
    for _ in range(3):
        bucket.put_object("a", b"x")
    upload = bucket.init_multipart_upload("a").upload_id
    bucket.upload_part("a", upload, 1, b"y")
    bucket.upload_part("a", upload, 1, b"z")
    assert len(list((tmp_path / "oss").iterdir())) == 2
    bucket.abort_multipart_upload("a", upload)
    bucket.delete_object("a")
    assert list((tmp_path / "oss").iterdir()) == []


def test_what_the_simulator_does_not_do_says_so(bucket: Any) -> None:
    with pytest.raises(oss2.exceptions.ServerError, match="NotImplemented"):
        bucket.get_bucket_lifecycle()


def test_other_services_of_the_cloud_read_and_write_objects(oss_state: OssState, tmp_path: Any) -> None:
    (tmp_path / "in").write_bytes(b"video")
    oss_state.store(ACCOUNT, BUCKET, "a", tmp_path / "in")
    oss_state.fetch(ACCOUNT, BUCKET, "a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"video"
    assert oss_state.region_of(ACCOUNT, BUCKET) == REGION
    assert oss_state.region_of("other", BUCKET) is None
    for given, code in (
        (("other", BUCKET, "a"), "AccessDenied"),
        ((ACCOUNT, "none", "a"), "NoSuchBucket"),
        ((ACCOUNT, BUCKET, "b"), "NoSuchKey"),
    ):
        with pytest.raises(StorageRefusedError, match=code):
            oss_state.fetch(*given, tmp_path / "out")

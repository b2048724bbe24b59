"""S3 as an object store: over moto where it is honest, over scripted answers where it is too kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ErrorCode,
    MediaError,
    ProviderError,
    UnavailableError,
)
from mediabroker.objects import UnnameableError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from mediabroker_aws import S3Store
from tests.store_contract import MIB, StoreContract, StorePlace, read
from tests.unit.aws.conftest import REGION, Aws, Scripted, hang_up, reply


@pytest.fixture
def bucket(aws: Aws, name: str) -> str:
    aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def settings(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"endpoint_url": endpoint, "region": REGION, "path_style": True, "part_bytes": 5 * MIB, **more}


@pytest.fixture
def store(endpoint: str) -> Iterator[S3Store]:
    store = S3Store(settings(endpoint))
    yield store
    store.close()


def uri(bucket: str, key: str = "a.mp4") -> MediaURI:
    return MediaURI(f"s3://{bucket}/{key}")


def uploads(aws: Aws, bucket: str) -> list[Any]:
    return list(aws("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", []))


class TestS3(StoreContract):
    """Over moto's server."""

    @pytest.fixture
    def place(self, aws: Aws, endpoint: str, bucket: str) -> StorePlace:
        s3 = aws("s3")
        return StorePlace(
            make=lambda **more: S3Store(settings(endpoint, **more)),
            settings=settings(endpoint),
            uri=lambda key: uri(bucket, key),
            elsewhere=uri("no-such-bucket-here"),
            keys=lambda: [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())],
            uploads=lambda: [each["Key"] for each in uploads(aws, bucket)],
            begin_upload=lambda key: s3.create_multipart_upload(Bucket=bucket, Key=key),
        )


def test_a_folder_is_listed_page_by_page_and_cleared_without_its_neighbours(
    store: S3Store, bucket: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = {uri(bucket, f"t/{name}") for name in ("in/a", "out/b c.ts", "out/d#%41")}
    for where in (*inside, uri(bucket, "t2/e")):
        store.write(where, iter([b"x"]))
    whole = store._client.call
    monkeypatch.setattr(
        store._client,
        "call",
        lambda name, **given: whole(name, **given, **({"MaxKeys": 2} if name == "list_objects_v2" else {})),
    )
    assert set(store.list(uri(bucket, "t/"))) == inside
    stores = Stores({"s3": settings(endpoint)})
    stores.clear(uri(bucket, "t/"))
    stores.close()
    assert list(store.list(uri(bucket, "t2/"))) == [uri(bucket, "t2/e")]
    assert list(store.list(uri(bucket, "t/"))) == []


def test_a_key_that_no_uri_can_stand_for_is_said_after_all_others(store: S3Store, bucket: str, aws: Aws) -> None:
    for key in ("t/a.ts", "t/tab\there.ts", "t/z.ts"):
        aws("s3").put_object(Bucket=bucket, Key=key, Body=b"x")
    listing = store.list(uri(bucket, "t/"))
    assert [next(listing), next(listing)] == [uri(bucket, "t/a.ts"), uri(bucket, "t/z.ts")]
    with pytest.raises(UnnameableError, match=r"tab\\there"):
        next(listing)


@pytest.fixture
def rough(scripted: Scripted) -> Iterator[S3Store]:
    store = S3Store(settings(scripted.url))
    yield store
    store.close()


BODY = bytes(range(256)) * 20_000
WHERE = uri("bucket")
NEVER = reply(206, b"x" * 10, send=0, ETag='"v1"', Content_Range="bytes 1-2/3")


def refusing(status: int, code: str, *, head: int = 403, times: int = 99) -> Any:
    """As S3 does: HEAD is refused with a bare status, GET with a word."""
    left = [times]

    def answer(handler: Any) -> None:
        is_head = handler.command == "HEAD"
        if left[0] <= 0:
            reply(200 if is_head else 206, b"x", ETag='"v1"', Content_Range="bytes 0-0/1")(handler)
        elif is_head:
            reply(head)(handler)
        else:
            left[0] -= 1
            reply(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())(handler)

    return answer


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [(400, 400, "ExpiredToken"), (403, 403, "InvalidAccessKeyId"), (403, 403, "SignatureDoesNotMatch")],
)
def test_a_look_with_credentials_that_do_not_do_blames_them_and_not_the_media(
    scripted: Scripted, rough: S3Store, head: int, status: int, code: str
) -> None:
    scripted.answers = [refusing(status, code, head=head)]
    with pytest.raises(AuthenticationError) as caught:
        rough.stat(WHERE)
    assert caught.value.provider_code == code
    ranges = {headers.get("range") for method, _, headers in scripted.requests if method == "GET"}
    assert ranges == {"bytes=0-0"}


def test_a_look_with_expired_credentials_reads_them_again(scripted: Scripted, rough: S3Store) -> None:
    scripted.answers = [refusing(400, "ExpiredToken", head=400, times=1)]
    found = rough.stat(WHERE)
    assert found is not None
    assert (found.size_bytes, found.version) == (1, "v1")


def test_a_look_at_what_may_not_be_read_is_denied(scripted: Scripted, rough: S3Store) -> None:
    scripted.answers = [refusing(403, "AccessDenied")]
    with pytest.raises(MediaError) as caught:
        rough.stat(WHERE)
    assert caught.value.error.code is ErrorCode.INPUT_DENIED


def test_a_look_at_an_empty_object_survives_that_it_has_no_first_byte(scripted: Scripted, rough: S3Store) -> None:
    beyond = b"<Error><Code>InvalidRange</Code><Message>no</Message></Error>"
    scripted.answers = [reply(403), reply(416, beyond), reply(200, b"", ETag='"v0"')]
    found = rough.stat(WHERE)
    assert found is not None
    assert (found.size_bytes, found.version) == (0, "v0")


def test_a_look_says_how_old_an_object_is_and_leaves_it_open_where_the_store_does(
    scripted: Scripted, rough: S3Store
) -> None:
    written = formatdate(time.time() - 90, usegmt=True)
    scripted.answers = [reply(200, b"", ETag='"v1"', Last_Modified=written), reply(200, b"", ETag='"v1"')]
    told, untold = rough.stat(WHERE), rough.stat(WHERE)
    assert told is not None
    assert untold is not None
    assert told.age_s is not None
    assert 85 < told.age_s < 150
    assert untold.age_s is None


def test_O1_O2_a_download_that_breaks_is_resumed_in_the_same_version(scripted: Scripted, rough: S3Store) -> None:
    cut = 3 * MIB
    scripted.answers = [
        reply(200, BODY, send=cut, ETag='"v1"'),
        hang_up,
        reply(206, BODY[cut:], ETag='"v1"', Content_Range=f"bytes {cut}-{len(BODY) - 1}/{len(BODY)}"),
    ]
    assert read(rough, WHERE) == BODY
    _, _, last = scripted.requests[-1]
    assert (last["range"], last["if-match"]) == (f"bytes={cut}-", '"v1"')


def test_O3_an_object_that_is_replaced_meanwhile_is_an_error_and_no_mixture(scripted: Scripted, rough: S3Store) -> None:
    changed = b"<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>"
    scripted.answers = [reply(200, BODY, send=2 * MIB, ETag='"v1"'), reply(412, changed)]
    with pytest.raises(MediaError) as caught:
        read(rough, WHERE)
    assert caught.value.error.code is ErrorCode.INPUT_CHANGED


def test_a_download_that_never_gets_further_is_given_up(
    scripted: Scripted, rough: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediabroker_aws.s3.store._PAUSE_S", 0)
    scripted.answers = [
        reply(200, BODY, send=MIB, ETag='"v1"'),
        reply(206, b"x" * 10, send=0, ETag='"v1"', Content_Range="bytes 1-2/3"),
    ]
    with pytest.raises(UnavailableError, match=f"breaks off at byte {MIB}"):
        read(rough, WHERE)


def test_O9_a_flipped_bit_is_noticed(scripted: Scripted, rough: S3Store) -> None:
    scripted.answers = [reply(200, b"video", ETag='"v1"', x_amz_checksum_crc32="AAAAAA==")]
    with pytest.raises(UnavailableError, match="damaged"):
        read(rough, WHERE)
    assert len(scripted.requests) == 1


def test_O5_an_upload_whose_answer_was_lost_is_recognised_by_its_mark(scripted: Scripted, rough: S3Store) -> None:
    exists = b"<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>"
    marks: list[str] = []

    def accept_and_hang_up(handler: Any) -> None:
        marks.append(handler.headers["x-amz-meta-mediabroker-upload"])
        hang_up(handler)

    def head(handler: Any) -> None:
        reply(200, b"", ETag='"v1"', x_amz_meta_mediabroker_upload=marks[0])(handler)

    scripted.answers = [accept_and_hang_up, reply(412, exists), head]
    assert rough.write(WHERE, iter([b"video"])).version == "v1"


def test_O5_somebody_elses_object_is_not_taken_for_ours(scripted: Scripted, rough: S3Store) -> None:
    exists = b"<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>"
    other = reply(200, b"", ETag='"v1"', x_amz_meta_mediabroker_upload="another")
    scripted.answers = [hang_up, reply(412, exists), other]
    with pytest.raises(MediaError) as caught:
        rough.write(WHERE, iter([b"video"]))
    assert caught.value.error.code is ErrorCode.OUTPUT_EXISTS


def test_O6_a_concurrent_write_is_tried_again(scripted: Scripted, rough: S3Store) -> None:
    conflict = b"<Error><Code>ConditionalRequestConflict</Code><Message>m</Message></Error>"
    scripted.answers = [reply(409, conflict), reply(200, b"", ETag='"v2"')]
    assert rough.write(WHERE, iter([b"video"])).version == "v2"


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState"])
def test_refusals_are_said_in_words_of_the_media(scripted: Scripted, rough: S3Store, code: str) -> None:
    scripted.answers = [reply(403, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())]
    with pytest.raises(MediaError) as caught:
        read(rough, WHERE)
    assert caught.value.error.code is ErrorCode.INPUT_DENIED
    with pytest.raises(MediaError) as caught:
        rough.write(WHERE, iter([b"1"]))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED


def test_O7_expired_credentials_are_an_authentication_error_without_a_secret(
    scripted: Scripted, rough: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.answers = [reply(400, b"<Error><Code>ExpiredToken</Code><Message>m</Message></Error>")]
    caplog.set_level(logging.DEBUG, "mediabroker")
    caplog.set_level(logging.DEBUG, "mediabroker_aws")
    with pytest.raises(AuthenticationError) as caught:
        read(rough, WHERE)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("mediabroker")]
    for text in (*ours, repr(caught.value), repr(rough._client)):
        assert "secret-canary" not in text
        assert "AKIDCANARY" not in text


def test_without_a_region_the_setting_is_named(name: str) -> None:
    store = S3Store({"region": None, "profile": "nobody"})
    with pytest.raises(ConfigurationError, match="nobody"):
        store.stat(uri(name))


@pytest.mark.parametrize(
    ("announced", "named", "code"),
    [
        ({}, True, "InvalidPart"),
        ({"ChecksumAlgorithm": "CRC32"}, False, "InvalidRequest"),
        ({"ChecksumAlgorithm": "CRC32"}, True, None),
        ({"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}, False, None),
    ],
)
def test_the_simulator_completes_only_uploads_whose_checksums_were_announced(
    aws: Aws, bucket: str, announced: dict[str, str], named: bool, code: str | None
) -> None:
    s3 = aws("s3")
    upload = {"Bucket": bucket, "Key": "a"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **announced)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    tags = {"PartNumber": 1, "ETag": part["ETag"], **({"ChecksumCRC32": part["ChecksumCRC32"]} if named else {})}
    try:
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [tags]})
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code
    else:
        assert code is None


def test_a_large_object_is_completed_under_the_rules_of_s3_and_its_checksum_covers_it_whole(
    store: S3Store, bucket: str, aws: Aws
) -> None:
    store.write(uri(bucket), iter([b"x" * (11 * MIB)]))
    assert read(store, uri(bucket)) == b"x" * (11 * MIB)
    assert uploads(aws, bucket) == []


def test_a_conflict_at_the_completion_is_left_to_a_new_upload(
    store: S3Store, bucket: str, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, completions = store._client.call, list[str]()

    def conflicting(name: str, **given: Any) -> Any:
        if name == "complete_multipart_upload":
            completions.append(name)
            if len(completions) == 1:
                raise ProviderError("conflict", provider_code="ConditionalRequestConflict")
        return whole(name, **given)

    monkeypatch.setattr(store._client, "call", conflicting)
    with pytest.raises(UnavailableError, match="write it again"):
        store.write(uri(bucket), iter([b"x" * (11 * MIB)]))
    assert (len(completions), uploads(aws, bucket)) == (1, [])
    store.write(uri(bucket), iter([b"x" * (11 * MIB)]))

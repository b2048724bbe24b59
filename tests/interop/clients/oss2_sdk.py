"""oss2, with both signatures."""

from __future__ import annotations

import urllib.request
from typing import Any

import oss2
from checks import BUCKET, KEY_ID, OSS, REGION, SECRET, refusal, run

V1 = oss2.Bucket(oss2.Auth(KEY_ID, SECRET), OSS, BUCKET)
V4 = oss2.Bucket(oss2.AuthV4(KEY_ID, SECRET), OSS, BUCKET, region=REGION)
KEY = "oss2/a b+c*~(中)'!.bin"


def objects() -> None:
    for bucket in (V1, V4):
        bucket.put_object(KEY, b"0123456789", headers={"x-oss-meta-of": "oss2"})
        assert bucket.get_object(KEY, byte_range=(2, 4)).read() == b"234"
        assert bucket.head_object(KEY).headers["x-oss-meta-of"] == "oss2"
        assert [each.key for each in oss2.ObjectIteratorV2(bucket, prefix="oss2/")] == [KEY]
        bucket.copy_object(BUCKET, KEY, "oss2/copy")
        bucket.batch_delete_objects([KEY, "oss2/copy"])
        assert not bucket.object_exists(KEY)


def parts() -> None:
    for bucket in (V1, V4):
        upload = bucket.init_multipart_upload("oss2/parts").upload_id
        sizes = (102_400, 5)
        made = [
            oss2.models.PartInfo(number, bucket.upload_part("oss2/parts", upload, number, b"x" * size).etag)
            for number, size in enumerate(sizes, 1)
        ]
        assert [each.size for each in oss2.PartIterator(bucket, "oss2/parts", upload)] == list(sizes)
        bucket.complete_multipart_upload("oss2/parts", upload, made)
        assert bucket.head_object("oss2/parts").content_length == sum(sizes)


def presigned() -> None:
    for bucket in (V1, V4):
        bucket.put_object("oss2/signed", b"signed")
        with urllib.request.urlopen(bucket.sign_url("GET", "oss2/signed", 60)) as answer:
            assert answer.read() == b"signed"


def wrong_secret() -> None:
    for auth in (oss2.Auth(KEY_ID, "wrong"), oss2.AuthV4(KEY_ID, "wrong")):
        wrong = oss2.Bucket(auth, OSS, BUCKET, region=REGION)
        error: Any = refusal(lambda bucket=wrong: bucket.get_object("oss2/signed"))  # type: ignore[misc]
        assert error.code == "SignatureDoesNotMatch"


run(objects, parts, presigned, wrong_secret)

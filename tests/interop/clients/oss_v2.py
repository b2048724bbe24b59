"""alibabacloud-oss-v2."""

from __future__ import annotations

import urllib.request
from typing import Any

import alibabacloud_oss_v2 as oss
from checks import BUCKET, KEY_ID, OSS, REGION, SECRET, refusal, run

KEY = "v2/a b+c*~(中)'!.bin"


def client(secret: str = SECRET) -> Any:
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(KEY_ID, secret)
    config.region, config.endpoint = REGION, OSS
    return oss.Client(config)


def objects() -> None:
    put = client().put_object(oss.PutObjectRequest(bucket=BUCKET, key=KEY, body=b"0123456789"))
    assert put.status_code == 200
    got = client().get_object(oss.GetObjectRequest(bucket=BUCKET, key=KEY, range_header="bytes=2-4"))
    assert got.body.read() == b"234"
    pages = client().list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket=BUCKET, prefix="v2/"))
    assert [each.key for page in pages for each in page.contents or ()] == [KEY]
    client().delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=KEY))
    error: Any = refusal(lambda: client().head_object(oss.HeadObjectRequest(bucket=BUCKET, key=KEY)))
    assert error.unwrap().code == "NoSuchKey"


def parts() -> None:
    data = b"y" * 300_000
    uploader = client().uploader(part_size=102_400)
    uploader.upload_from(oss.PutObjectRequest(bucket=BUCKET, key="v2/parts"), io_of(data))
    got = client().get_object(oss.GetObjectRequest(bucket=BUCKET, key="v2/parts"))
    assert got.body.read() == data


def io_of(data: bytes) -> Any:
    import io

    return io.BytesIO(data)


def presigned() -> None:
    client().put_object(oss.PutObjectRequest(bucket=BUCKET, key="v2/signed", body=b"signed"))
    url = client().presign(oss.GetObjectRequest(bucket=BUCKET, key="v2/signed")).url
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"signed"


def wrong_secret() -> None:
    request = oss.GetObjectRequest(bucket=BUCKET, key="v2/signed")
    error: Any = refusal(lambda: client("wrong").get_object(request))
    assert error.unwrap().code == "SignatureDoesNotMatch"


run(objects, parts, presigned, wrong_secret)

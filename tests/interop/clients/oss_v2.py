"""alibabacloud-oss-v2: the newer Python client, V4."""

from __future__ import annotations

import alibabacloud_oss_v2 as oss
from checks import BUCKET, KEY_ID, OSS, REGION, SECRET, check, refused


def connect(secret: str = SECRET) -> oss.Client:
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(KEY_ID, secret)
    config.region, config.endpoint, config.use_path_style = REGION, OSS, True
    return oss.Client(config)


client = connect()
KEY = "v2/a b+ü.bin"
BODY = bytes(range(256)) * 2048


def simple() -> None:
    client.put_object(oss.PutObjectRequest(bucket=BUCKET, key=KEY, body=BODY))
    assert client.get_object(oss.GetObjectRequest(bucket=BUCKET, key=KEY)).body.content == BODY
    assert client.head_object(oss.HeadObjectRequest(bucket=BUCKET, key=KEY)).content_length == len(BODY)


def multipart() -> None:
    begun = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket=BUCKET, key=KEY))
    parts = []
    for number, body in enumerate((BODY[:262_144], BODY[262_144:]), start=1):
        answer = client.upload_part(
            oss.UploadPartRequest(bucket=BUCKET, key=KEY, upload_id=begun.upload_id, part_number=number, body=body)
        )
        parts.append(oss.UploadPart(part_number=number, etag=answer.etag))
    client.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest(
            bucket=BUCKET,
            key=KEY,
            upload_id=begun.upload_id,
            complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
        )
    )
    assert client.get_object(oss.GetObjectRequest(bucket=BUCKET, key=KEY)).body.content == BODY


def listing() -> None:
    found = client.list_objects_v2(oss.ListObjectsV2Request(bucket=BUCKET, prefix="v2/"))
    assert [each.key for each in found.contents] == [KEY]
    client.delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=KEY))


def missing() -> None:
    work = oss.GetObjectRequest(bucket=BUCKET, key="v2/none")
    refused(lambda: client.get_object(work), oss.exceptions.OperationError, "NoSuchKey")


def wrong_secret() -> None:
    work = oss.GetObjectRequest(bucket=BUCKET, key=KEY)
    refused(lambda: connect("x").get_object(work), oss.exceptions.OperationError, "SignatureDoesNotMatch")


check("put, get, head", simple)
check("multipart", multipart)
check("list, delete", listing)
check("missing object", missing)
check("wrong secret", wrong_secret)

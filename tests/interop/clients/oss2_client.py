"""oss2: V1, V4, signed URLs, resumable transfers with CRC-64 compared."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import oss2
from checks import BUCKET, KEY_ID, OSS, REGION, SECRET, check, refused

VERSION = sys.argv[1]
bucket = oss2.Bucket(oss2.make_auth(KEY_ID, SECRET, VERSION), OSS, BUCKET, region=REGION)
KEY = "oss2/a b+ü.bin"
BODY = bytes(range(256)) * 4096


def simple() -> None:
    bucket.put_object(KEY, BODY, headers={"x-oss-meta-k": "v"})
    assert bucket.get_object(KEY).read() == BODY
    assert bucket.get_object(KEY, byte_range=(5, 9)).read() == BODY[5:10]
    assert bucket.head_object(KEY).headers["x-oss-meta-k"] == "v"
    assert bucket.object_exists(KEY)
    assert not bucket.object_exists("none")


def chunked() -> None:
    bucket.put_object(KEY, (BODY[start : start + 4096] for start in range(0, len(BODY), 4096)))
    assert bucket.get_object(KEY).read() == BODY


def resumable() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.write_bytes(BODY)
        small = {"multipart_threshold": 200_000, "part_size": 200_000, "num_threads": 3}
        oss2.resumable_upload(bucket, KEY, str(source), store=oss2.ResumableStore(folder), **small)
        again = {"multiget_threshold": 200_000, "part_size": 200_000, "num_threads": 3}
        oss2.resumable_download(bucket, KEY, str(target), store=oss2.ResumableDownloadStore(folder), **again)
        assert target.read_bytes() == BODY


def signed() -> None:
    bucket.put_object_with_url(bucket.sign_url("PUT", KEY, 60), b"by url")
    assert bucket.get_object_with_url(bucket.sign_url("GET", KEY, 60, slash_safe=True)).read() == b"by url"


def append() -> None:
    bucket.delete_object("oss2/log")
    first = bucket.append_object("oss2/log", 0, b"one")
    bucket.append_object("oss2/log", first.next_position, b"two", init_crc=first.crc)
    refused(lambda: bucket.append_object("oss2/log", 0, b"x"), oss2.exceptions.PositionNotEqualToLength, "Position")


def listing() -> None:
    assert "oss2/log" in [each.key for each in oss2.ObjectIterator(bucket, prefix="oss2/", max_keys=1)]
    assert "oss2/log" in [each.key for each in oss2.ObjectIteratorV2(bucket, prefix="oss2/", max_keys=1)]
    bucket.batch_delete_objects(["oss2/log", KEY])


check("put, get, range, head", simple)
check("chunked body", chunked)
check("resumable up and down", resumable)
check("signed URLs", signed)
check("append", append)
check("lists, batch delete", listing)
wrong = oss2.Bucket(oss2.make_auth(KEY_ID, "x", VERSION), OSS, BUCKET, region=REGION)
check("wrong secret", lambda: refused(lambda: wrong.get_object(KEY), oss2.exceptions.ServerError, "SignatureDoesNot"))

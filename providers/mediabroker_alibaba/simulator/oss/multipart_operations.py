"""Uploads in parts. Source: Alibaba Cloud OSS, API reference, multipart upload operations."""

from __future__ import annotations

from collections.abc import Mapping

from mediabroker.markup import local_name
from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.simulator.oss.answers import document, empty, etag, iso_date, kept_headers, url_encoded
from mediabroker_alibaba.simulator.oss.blobs import Blob
from mediabroker_alibaba.simulator.oss.listing import page_of
from mediabroker_alibaba.simulator.oss.object_operations import Operation, check_key, forbids_overwrite, receive
from mediabroker_alibaba.simulator.oss.ranges import wanted_range
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.requests import Ask
from mediabroker_alibaba.simulator.oss.state import Bucket, OssState, Part, StoredObject, Upload
from mediabroker_alibaba.simulator.server import Response

__all__ = ["MULTIPART_OPERATIONS", "copy_part"]

_PARTS_LIMIT = 10_000
_PART_BYTES = 100 * 1024
"""Of every part but the last, at least."""


def _initiate(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    check_key(ask.key)
    if forbids_overwrite(ask) and ask.key in bucket.objects:
        raise OssRefusedError("FileAlreadyExists")
    acl = ask.headers.get("x-oss-object-acl", "default")
    upload = state.begin_upload(bucket, ask.key, kept_headers(ask.headers), acl)
    return document("InitiateMultipartUploadResult", {"Bucket": bucket.name, **_key(ask), "UploadId": upload.id})


def _key(ask: Ask) -> Tree:
    encoding = ask.query.get("encoding-type")
    return {"Key": url_encoded(ask.key, encoding), **({"EncodingType": encoding} if encoding else {})}


def _upload_part(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    upload = bucket.upload(ask.key, ask.query.get("uploadId", ""))
    number = ask.number("partNumber", 1, _PARTS_LIMIT, 0)
    blob = receive(state, ask)
    _keep(state, bucket, upload, number, blob)
    return empty(200, ("ETag", f'"{blob.md5}"'), ("x-oss-hash-crc64ecma", str(blob.crc64)))


def copy_part(state: OssState, bucket: Bucket, ask: Ask, source: StoredObject) -> Response:
    """`UploadPartCopy` of a source that was found."""
    upload = bucket.upload(ask.key, ask.query.get("uploadId", ""))
    number = ask.number("partNumber", 1, _PARTS_LIMIT, 0)
    wanted = {"range": ask.headers.get("x-oss-copy-source-range", ""), "x-oss-range-behavior": "standard"}
    start, end, _ = wanted_range(wanted, source.blob.size_bytes)
    blob = state.blobs.cut(source.blob, start, end - start)
    _keep(state, bucket, upload, number, blob)
    said = {"ETag": f'"{blob.md5}"', "LastModified": iso_date(state.world.clock.now())}
    crc, tag = ("x-oss-hash-crc64ecma", str(blob.crc64)), ("ETag", said["ETag"])
    return document("CopyPartResult", said, crc, tag)


def _keep(state: OssState, bucket: Bucket, upload: Upload, number: int, blob: Blob) -> None:
    with state.lock:
        if upload.id not in bucket.uploads:  # it was aborted while the part came in
            blob.path.unlink()
            raise OssRefusedError("NoSuchUpload")
        before = upload.parts.get(number)
        upload.parts[number] = Part(number, blob, state.world.clock.now())
    if before is not None:
        before.blob.path.unlink(missing_ok=True)


def _complete(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    with state.lock:
        upload = bucket.upload(ask.key, ask.query["uploadId"])
        if forbids_overwrite(ask) and ask.key in bucket.objects:
            raise OssRefusedError("FileAlreadyExists")
        parts = _named_parts(upload, ask)
        if not parts or any(part.blob.size_bytes < _PART_BYTES for part in parts[:-1]):
            raise OssRefusedError("EntityTooSmall" if parts else "MalformedXML")
        blob = state.blobs.join([part.blob for part in parts])
        tag = f"{blob.md5}-{len(parts)}"
        stored = StoredObject(ask.key, blob, tag, state.world.clock.now(), upload.headers, "Multipart", upload.acl)
        state.put(bucket, stored)
        state.end_upload(bucket, upload)
    said: Tree = {
        "Location": f"http://{ask.host}{ask.resource}",
        "Bucket": bucket.name,
        **_key(ask),
        "ETag": etag(stored),
    }
    return document(
        "CompleteMultipartUploadResult", said, ("x-oss-hash-crc64ecma", str(blob.crc64)), ("ETag", etag(stored))
    )


def _named_parts(upload: Upload, ask: Ask) -> list[Part]:
    if ask.headers.get("x-oss-complete-all") == "yes":
        return [upload.parts[number] for number in sorted(upload.parts)]
    named = []
    for each in ask.document("CompleteMultipartUpload"):
        given = {local_name(child): (child.text or "").strip() for child in each}
        number, tag = given.get("PartNumber", ""), given.get("ETag", "").strip('"')
        part = upload.parts.get(int(number)) if number.isdecimal() else None
        if part is None or part.blob.md5 != tag.upper():
            raise OssRefusedError("InvalidPart", more={"PartNumber": number, "ETag": tag})
        named.append(part)
    numbers = [part.number for part in named]
    if numbers != sorted(set(numbers)):
        raise OssRefusedError("InvalidPartOrder")
    return named


def _abort(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    state.end_upload(bucket, bucket.upload(ask.key, ask.query["uploadId"]))
    return empty(204)


def _list_parts(_: OssState, bucket: Bucket, ask: Ask) -> Response:
    upload = bucket.upload(ask.key, ask.query["uploadId"])
    marker, most = ask.number("part-number-marker", 0, _PARTS_LIMIT, 0), ask.number("max-parts", 1, 1000, 1000)
    numbers = [number for number in sorted(upload.parts) if number > marker]
    shown = [upload.parts[number] for number in numbers[:most]]
    return document(
        "ListPartsResult",
        {
            "Bucket": bucket.name,
            **_key(ask),
            "UploadId": upload.id,
            "StorageClass": "Standard",
            "PartNumberMarker": str(marker),
            "NextPartNumberMarker": str(shown[-1].number if shown else marker),
            "MaxParts": str(most),
            "IsTruncated": str(len(numbers) > most).lower(),
            "Part": [_described(part) for part in shown],
        },
    )


def _described(part: Part) -> Tree:
    return {
        "PartNumber": str(part.number),
        "LastModified": iso_date(part.modified),
        "ETag": f'"{part.blob.md5}"',
        "HashCrc64ecma": str(part.blob.crc64),
        "Size": str(part.blob.size_bytes),
    }


def _list_uploads(state: OssState, bucket: Bucket, ask: Ask) -> Response:
    prefix, delimiter, encoding = (ask.query.get(name) for name in ("prefix", "delimiter", "encoding-type"))
    key_marker, id_marker = ask.query.get("key-marker", ""), ask.query.get("upload-id-marker", "")
    most = ask.number("max-uploads", 1, 1000, 1000)
    with state.lock:
        uploads = dict(bucket.uploads)
    waiting = sorted(((each.key, each.id) for each in uploads.values()), key=lambda each: (each[0].encode(), each[1]))
    after = [each for each in waiting if _is_after(each, key_marker, id_marker)]
    page = page_of(
        after, prefix=prefix or "", delimiter=delimiter or "", most=most, key=lambda each: each[0], after=key_marker
    )
    last = page.items[-1] if page.items else ("", "")
    shown: list[Tree] = [
        {
            "Key": url_encoded(key, encoding),
            "UploadId": upload_id,
            "StorageClass": "Standard",
            "Initiated": iso_date(uploads[upload_id].initiated),
        }
        for key, upload_id in page.items
    ]
    return document(
        "ListMultipartUploadsResult",
        {
            "Bucket": bucket.name,
            **({"EncodingType": encoding} if encoding else {}),
            "KeyMarker": url_encoded(key_marker, encoding),
            "UploadIdMarker": id_marker,
            "NextKeyMarker": url_encoded(page.next_marker, encoding),
            "NextUploadIdMarker": last[1] if page.next_marker == last[0] else "",
            "Delimiter": url_encoded(delimiter or "", encoding),
            "Prefix": url_encoded(prefix or "", encoding),
            "MaxUploads": str(most),
            "IsTruncated": str(page.truncated).lower(),
            "Upload": shown,
            "CommonPrefixes": [{"Prefix": url_encoded(each, encoding)} for each in page.prefixes],
        },
    )


def _is_after(each: tuple[str, str], key_marker: str, id_marker: str) -> bool:
    key, upload_id = each
    if key == key_marker and id_marker:
        return upload_id > id_marker
    return key.encode() > key_marker.encode()


MULTIPART_OPERATIONS: Mapping[str, Operation] = {
    "AbortMultipartUpload": _abort,
    "CompleteMultipartUpload": _complete,
    "InitiateMultipartUpload": _initiate,
    "ListMultipartUploads": _list_uploads,
    "ListParts": _list_parts,
    "UploadPart": _upload_part,
}

"""One S3 object on its way up: in one put or in parts, whole or not at all.

Conditional writes (`If-None-Match: *`, `If-Match`, also when a multipart upload is completed) answer 412 when the
object is there or another one, 404 when `If-Match` finds none, and 409 when another one is being written. An upload
marks its object, so that an answer that was lost is recognised.
Source: Amazon S3 User Guide, "Conditional writes", "Multipart upload limits" (10,000 parts), read 2026.
"""

from __future__ import annotations

import itertools
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from mediabroker.errors import ProviderError, UnavailableError
from mediabroker.refs import MediaURI
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.settings import S3Settings

__all__ = ["Upload"]

_log = logging.getLogger(__name__)

_WRITES = 4
_PAUSE_S = 0.2
_TIER_PARTS = 1000
"""Parts double in size after so many, so that 10,000 of them hold the largest object there can be."""
_MARK = "mediabroker-upload"
_CONTENT_TYPES = {
    "json": "application/json",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4s": "video/iso.segment",
    "mp4": "video/mp4",
    "ts": "video/mp2t",
}
"""What players are told that an object is. Source: RFC 8216, section 4; IANA, "Media Types"."""
_WHOLE = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
"""botocore sends a checksum with each part. S3 refuses them, named or not, for an upload that has not announced them
so; with this one a damaged download is noticed, too.
Source: Amazon S3 User Guide, "Checking object integrity": full-object checksums need no list of parts; read 2026."""
_CONFLICT = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})


class Upload:
    """One object on its way up."""

    def __init__(
        self, client: AwsClient, settings: S3Settings, uri: MediaURI, *, overwrite: bool, if_version: str | None = None
    ) -> None:
        self._client = client
        self._settings = settings
        self._uri = uri
        self._where = {"Bucket": uri.bucket, "Key": uri.key}
        self._condition: dict[str, str] = {} if overwrite else {"IfNoneMatch": "*"}
        if if_version is not None:
            self._condition = {"IfMatch": f'"{if_version}"'}
        self._mark = secrets.token_hex(16)
        kind = _CONTENT_TYPES.get(uri.key.rpartition(".")[2].lower())
        self._about: dict[str, Any] = {"Metadata": {_MARK: self._mark}, **({"ContentType": kind} if kind else {})}

    def run(self, chunks: Iterator[bytes]) -> tuple[int, str]:
        """Size in bytes and ETag of what was stored."""
        parts = _parts(chunks, self._settings.part_bytes)
        first = next(parts, b"")
        second = next(parts, None)
        if second is None:
            answer = self._settled(
                lambda: self._client.call("put_object", **self._where, **self._condition, **self._about, Body=first)
            )
            return len(first), str(answer["ETag"])
        return self._in_parts(itertools.chain((first, second), parts))

    def _in_parts(self, parts: Iterator[bytes]) -> tuple[int, str]:
        self._abort_abandoned()
        started = self._client.call("create_multipart_upload", **self._where, **self._about, **_WHOLE)
        upload = {**self._where, "UploadId": started["UploadId"]}
        try:
            done, size_bytes = [], 0
            for number, part in enumerate(parts, start=1):
                answer = self._client.call("upload_part", **upload, PartNumber=number, Body=part)
                done.append({"PartNumber": number, "ETag": answer["ETag"]})
                size_bytes += len(part)
            answer = self._settled(
                lambda: self._client.call(
                    "complete_multipart_upload", **upload, **self._condition, MultipartUpload={"Parts": done}
                ),
                repeats_conflicts=False,
            )
        except BaseException:
            self._abort(started["UploadId"])
            raise
        return size_bytes, str(answer["ETag"])

    def _settled(self, send: Callable[[], dict[str, Any]], *, repeats_conflicts: bool = True) -> dict[str, Any]:
        """The answer to the call that makes the object appear, also when an answer was lost on the way.

        After a conflict S3 does not complete a multipart upload any more: all of it must be sent again, which is for
        the caller, who has the bytes.
        """
        for attempt in range(1, _WRITES + 1):
            try:
                return send()
            except ProviderError as error:
                if error.provider_code not in _CONFLICT and (stored := self._already_stored()):
                    return stored
                is_conflict = error.provider_code in _CONFLICT
                if is_conflict and not repeats_conflicts:
                    raise UnavailableError(
                        f"{self._uri} was being written by another upload; write it again",
                        provider=error.provider,
                        operation=error.operation,
                        provider_code=error.provider_code,
                        request_id=error.request_id,
                    ) from error
                if not (error.retryable or is_conflict) or attempt == _WRITES:
                    raise
                time.sleep(random.uniform(0, _PAUSE_S * 2**attempt))  # noqa: S311  jitter is no secret
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _already_stored(self) -> dict[str, Any] | None:
        try:
            found = self._client.call("head_object", **self._where)
        except ProviderError:
            return None
        return found if found.get("Metadata", {}).get(_MARK) == self._mark else None

    def _abort_abandoned(self) -> None:
        """Uploads to this key that nobody has finished for a day: they cost storage and are seen by nobody."""
        horizon = datetime.now(timezone.utc) - timedelta(seconds=self._settings.abandoned_after_s)
        try:
            listed = self._client.call("list_multipart_uploads", Bucket=self._uri.bucket, Prefix=self._uri.key)
        except ProviderError as error:
            _log.info("abandoned uploads could not be listed: %s", error)
            return
        for each in listed.get("Uploads", ()):
            if each["Key"] == self._uri.key and each["Initiated"] < horizon:
                self._abort(each["UploadId"])

    def _abort(self, upload_id: str) -> None:
        try:
            self._client.call("abort_multipart_upload", **self._where, UploadId=upload_id)
        except ProviderError as error:
            # The next write to this key, or the bucket's life-cycle rule, will do it.
            _log.warning("an upload could not be aborted: %s", error, extra={"uri": str(self._uri)})


def _parts(chunks: Iterator[bytes], part_bytes: int) -> Iterator[bytes]:
    """The same bytes in parts as large as the store wants them; only the last one is smaller."""
    buffer, number = bytearray(), 0
    for chunk in chunks:
        buffer += chunk
        while len(buffer) > (wanted := part_bytes * 2 ** (number // _TIER_PARTS)):
            yield bytes(buffer[:wanted])
            del buffer[:wanted]
            number += 1
    if buffer:
        yield bytes(buffer)

"""`s3://` objects: read in one version however often the connection breaks, written whole or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, FlexibleChecksumError

from mediabroker.errors import ErrorCode, MediaError, ProviderError, UnavailableError
from mediabroker.models import build_settings
from mediabroker.objects import ObjectStat, named
from mediabroker.refs import MediaURI
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.s3.upload import Upload
from mediabroker_aws.settings import S3Settings

__all__ = ["S3Store"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_RESUMES = 5
"""How often in a row a download may break without a byte of progress."""
_PAUSE_S = 0.2
_NOT_FOUND = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_DENIED = frozenset({"403", "AccessDenied", "AllAccessDisabled", "InvalidObjectState"})
_CHANGED = frozenset({"412", "PreconditionFailed"})
_NOTHING_LEFT = frozenset({"416", "InvalidRange"})
_BARE = frozenset({"400", "403"})
"""What stands for the code where a refusal has no body. Source: Amazon S3 API Reference, "HeadObject", "Errors"."""
_ELSEWHERE = frozenset(
    {"301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)


class S3Store:
    """An `ObjectStore`; see there for the promises."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = build_settings(S3Settings, "stores.s3", settings)
        style = {"addressing_style": "path"} if self._settings.path_style else {}
        # Every call below may be repeated: reads, parts, and writes whose outcome the upload's mark tells.
        self._client = AwsClient("s3", self._settings, attempts=3, s3=style)

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        try:
            found = self._head(uri)
        except ProviderError as error:
            if error.provider_code in _NOT_FOUND:
                return None
            raise _explained(error, uri, writing=False) from error
        return ObjectStat(found["ContentLength"], found["ETag"].strip('"'), _age_s(found))

    def _head(self, uri: MediaURI) -> dict[str, Any]:
        """What `HeadObject` tells. It refuses without a body, and a bare status does not say whether the object may not
        be read or the credentials are wrong or have expired; a request for one byte does."""
        where = {"Bucket": uri.bucket, "Key": uri.key}
        try:
            return self._client.call("head_object", **where)
        except ProviderError as error:
            if error.provider_code not in _BARE:
                raise
        try:
            self._client.call("get_object", **where, Range="bytes=0-0")["Body"].close()
        except ProviderError as error:
            if error.provider_code not in _NOTHING_LEFT:  # of an empty object there is no first byte
                raise
        return self._client.call("head_object", **where)  # the credentials were read again

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        offset, version, failures = start, "", 0
        while True:
            try:
                answer = self._get(uri, offset, version)
                if answer is None:
                    return
                version = answer["ETag"]
                for chunk in _chunks(answer["Body"]):
                    offset, failures = offset + len(chunk), 0
                    yield chunk
            except _BrokenError as error:
                failures += 1
                if failures > _RESUMES:
                    raise UnavailableError(f"{uri} breaks off at byte {offset}: {error}", provider="s3") from error
                _log.info(
                    "a download is resumed (uri %s, offset %s)",
                    str(uri),
                    offset,
                    extra={"uri": str(uri), "offset": offset},
                )
                time.sleep(_PAUSE_S * failures)
            else:
                return

    def _get(self, uri: MediaURI, offset: int, version: str) -> dict[str, Any] | None:
        """The object from `offset` on, of that version; None when there is nothing left."""
        conditions = {"IfMatch": version} if version else {}
        ranged = {"Range": f"bytes={offset}-"} if offset else {}  # whole objects also have their checksum verified
        try:
            answer = self._client.call("get_object", Bucket=uri.bucket, Key=uri.key, **conditions, **ranged)
        except ProviderError as error:
            if error.provider_code in _NOTHING_LEFT:
                return None
            raise _explained(error, uri, writing=False) from error
        if offset and "ContentRange" not in answer:
            raise MediaError(ErrorCode.INPUT_DENIED, f"{uri}: the store does not serve parts of objects")
        return answer

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        upload = Upload(self._client, self._settings, uri, overwrite=overwrite, if_version=if_version)
        try:
            size_bytes, version = upload.run(chunks)
        except ProviderError as error:
            if if_version is not None and error.provider_code in (_CHANGED | _NOT_FOUND) - {"NoSuchBucket"}:
                raise MediaError(
                    ErrorCode.INPUT_CHANGED,
                    f"{uri} is not of version {if_version} any more",
                    provider_code=error.provider_code,
                    request_id=error.request_id,
                ) from error
            raise _explained(error, uri, writing=True) from error
        return ObjectStat(size_bytes, version.strip('"'))

    def delete(self, uri: MediaURI) -> None:
        try:
            self._client.call("delete_object", Bucket=uri.bucket, Key=uri.key)
        except ProviderError as error:
            if error.provider_code not in _NOT_FOUND:
                raise _explained(error, uri, writing=True) from error

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        page: dict[str, Any] = {}
        while True:
            try:
                answer = self._client.call("list_objects_v2", Bucket=folder.bucket, Prefix=folder.key, **page)
            except ProviderError as error:
                raise _explained(error, folder, writing=False) from error
            yield from named(folder, (f"s3://{folder.bucket}/{each['Key']}" for each in answer.get("Contents", ())))
            if not answer.get("IsTruncated"):
                return
            page = {"ContinuationToken": answer["NextContinuationToken"]}

    def close(self) -> None:
        self._client.close()


def _age_s(found: Mapping[str, Any]) -> float | None:
    """How long ago an object was written, by the store's clock alone; some stores in S3's manner leave times out."""
    written_at = found.get("LastModified")
    told = found.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if written_at is None or told is None:
        return None
    age: timedelta = parsedate_to_datetime(told) - written_at
    return max(0.0, age.total_seconds())


class _BrokenError(Exception):
    """The connection broke in the middle of a body."""


def _chunks(body: Any) -> Iterator[bytes]:
    try:
        yield from body.iter_chunks(_CHUNK_BYTES)
    except FlexibleChecksumError as error:
        # The bytes are already with the caller and cannot be taken back; the whole read may be tried again.
        raise UnavailableError(f"the object arrived damaged: {error}", provider="s3", operation="get_object") from error
    except BotoCoreError as error:  # cut short, reset, timed out
        raise _BrokenError(str(error)) from error
    finally:
        body.close()


def _explained(error: ProviderError, uri: MediaURI, *, writing: bool) -> Exception:
    """What the refusal means for the object; errors of credentials and of the service stay what they are."""
    code = error.provider_code or ""
    about = {"provider_code": error.provider_code, "request_id": error.request_id}
    denied = ErrorCode.OUTPUT_DENIED if writing else ErrorCode.INPUT_DENIED
    if code in _NOT_FOUND:
        missing = "the bucket does not exist" if code == "NoSuchBucket" else "it does not exist"
        return MediaError(denied if writing else ErrorCode.INPUT_NOT_FOUND, f"{uri}: {missing}", **about)
    if code in _DENIED:
        why = "it is archived; restore it first" if code == "InvalidObjectState" else "access is denied"
        return MediaError(denied, f"{uri}: {why}", **about)
    if code in _CHANGED:
        if writing:
            return MediaError(ErrorCode.OUTPUT_EXISTS, f"{uri} exists; set overwrite to replace it", **about)
        return MediaError(ErrorCode.INPUT_CHANGED, f"{uri} was replaced while it was read", **about)
    if code in _ELSEWHERE:
        where = _region_of(error.__cause__) or "another region"
        advice = "set it as region of the provider, or of stores.s3"
        return MediaError(denied, f"{uri}: the bucket lies in {where}; {advice}", **about)
    return error


def _region_of(refusal: BaseException | None) -> str | None:
    """The bucket's region, which S3 names where it refuses another's requests."""
    answer: Any = getattr(refusal, "response", {})
    named: str | None = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    return named

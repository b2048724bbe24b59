"""`oss://` objects: read in one version however often the connection breaks, written whole or not at all.

`oss://bucket/key` lies in the configured region, `oss://bucket.oss-<region>.aliyuncs.com/key` where it says. A range
beyond the end is answered with the whole object unless `x-oss-range-behavior: standard` is sent; oss2 neither retries
nor compares the checksum of what is read.
Source: Alibaba Cloud OSS, API reference, `GetObject`; measured with oss2 2.19.1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

from oss2.utils import Crc64
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from mediabroker.errors import ErrorCode, MediaError, ProviderError, UnavailableError, UnsupportedError
from mediabroker.models import build_settings
from mediabroker.objects import ObjectStat, named
from mediabroker.refs import MediaURI
from mediabroker_alibaba.oss.client import OssClient
from mediabroker_alibaba.oss.errors import MISSING, explain
from mediabroker_alibaba.oss.upload import OssUpload
from mediabroker_alibaba.settings import OssSettings

__all__ = ["OssStore"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_RESUMES = 5
"""How often in a row a download may break without a byte of progress."""
_PAUSE_S = 0.2
_AS_STORED = {"Accept-Encoding": "identity", "x-oss-range-behavior": "standard"}


class OssStore:
    """An `ObjectStore`; see there for the promises. Thread-safe."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = build_settings(OssSettings, "stores.oss", settings)
        self._client = OssClient(self._settings)

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        try:
            found = self._client.call(uri, "head_object", uri.key)
        except ProviderError as error:
            if error.provider_code in MISSING:
                return None
            raise explain(error, uri, writing=False) from error
        return ObjectStat(int(found.content_length), str(found.etag))

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        """See `ObjectStore.read`. A whole object is compared with its CRC-64 when its last byte has been given.

        Raises:
            UnavailableError: also when it has arrived damaged; the caller has the bytes, and may read again.
        """
        offset, version, failures = start, "", 0
        crc, stored_crc = Crc64(), None
        while True:
            try:
                answer = self._get(uri, offset, version)
                if answer is None:
                    break
                version, stored_crc = str(answer.etag), answer.server_crc
                for chunk in _chunks(answer):
                    crc.update(chunk)
                    offset, failures = offset + len(chunk), 0
                    yield chunk
            except _BrokenError as error:
                failures += 1
                if failures > _RESUMES:
                    raise UnavailableError(f"{uri} breaks off at byte {offset}: {error}", provider="oss") from error
                _log.info(
                    "a download is resumed (uri %s, offset %s)",
                    str(uri),
                    offset,
                    extra={"uri": str(uri), "offset": offset},
                )
                time.sleep(_PAUSE_S * failures)
            else:
                break
        if start == 0 and stored_crc is not None and int(stored_crc) != int(crc.crc):
            raise UnavailableError(f"{uri} arrived damaged (CRC-64)", provider="oss", operation="get_object")

    def _get(self, uri: MediaURI, offset: int, version: str) -> Any | None:
        """The object from `offset` on, of that version; None when there is nothing left."""
        headers = {**_AS_STORED, **({"If-Match": f'"{version}"'} if version else {})}
        ranged = {"byte_range": (offset, None)} if offset else {}
        try:
            answer = self._client.call(uri, "get_object", uri.key, headers=headers, **ranged)
        except ProviderError as error:
            if error.provider_code in ("416", "InvalidRange"):
                return None
            raise explain(error, uri, writing=False) from error
        if offset and answer.status != 206:
            answer.close()
            raise MediaError(ErrorCode.INPUT_DENIED, f"{uri}: the store does not serve parts of objects")
        return answer

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        """See `ObjectStore.write`. Large objects go up in parts; one that broke off some time ago is taken up again.

        OSS rejects a write where an object is (`x-oss-forbid-overwrite`); it cannot compare versions.
        Source: Alibaba Cloud OSS, API reference, `PutObject`, request headers.
        """
        if if_version is not None:
            raise UnsupportedError(f"{uri}: OSS cannot compare an object's version before it replaces it")
        try:
            return OssUpload(self._client, self._settings, uri, overwrite=overwrite).run(chunks)
        except ProviderError as error:
            raise explain(error, uri, writing=True) from error

    def delete(self, uri: MediaURI) -> None:
        try:
            self._client.call(uri, "delete_object", uri.key)
        except ProviderError as error:
            if error.provider_code not in MISSING:
                raise explain(error, uri, writing=True) from error

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        page = ""
        while True:
            try:
                answer = self._client.call(folder, "list_objects_v2", prefix=folder.key, continuation_token=page)
            except ProviderError as error:
                raise explain(error, folder, writing=False) from error
            yield from named(folder, (f"{folder.removesuffix(folder.key)}{each.key}" for each in answer.object_list))
            if not answer.is_truncated:
                return
            page = answer.next_continuation_token

    def signed_url(self, uri: MediaURI, *, lifetime_s: int = 3600, method: str = "GET") -> SecretStr:
        """A URL with which anybody can read (or, with PUT, write) the object for a while; it does not print itself.

        Args:
            lifetime_s: up to a week.
        """
        url = self._client.call(uri, "sign_url", method, uri.key, lifetime_s, slash_safe=True)
        return SecretStr(str(url))

    def close(self) -> None:
        self._client.close()


class _BrokenError(Exception):
    """The connection broke in the middle of a body."""


def _chunks(answer: Any) -> Iterator[bytes]:
    # Below oss2 and requests, which would unpack what was stored with `Content-Encoding: gzip`.
    raw = answer.resp.response.raw
    left = answer.content_length
    try:
        while chunk := raw.read(_CHUNK_BYTES, decode_content=False):
            left = None if left is None else left - len(chunk)
            yield chunk
    except (HTTPError, OSError) as error:  # cut short, reset, timed out
        raise _BrokenError(type(error).__name__) from error
    finally:
        answer.close()
    if left:
        raise _BrokenError(f"{left} bytes are missing")

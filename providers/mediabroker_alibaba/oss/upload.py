"""One object on its way up to OSS: in parts, several at a time, each checked; taken up again where it broke off.

Memory is bounded by the size of a part times how many are on their way. What appears appears whole, and under
`x-oss-forbid-overwrite` only where nothing is; the upload marks its object, so that a lost answer is recognised.
Source: Alibaba Cloud OSS, API reference, `PutObject`, `CompleteMultipartUpload`; "Limits": 10,000 parts
of 100 KB to 5 GB.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from oss2.models import PartInfo
from oss2.utils import Crc64

from mediabroker.errors import ProviderError, UnavailableError
from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI
from mediabroker_alibaba.oss.client import OssClient
from mediabroker_alibaba.oss.crc64 import combine_crc64
from mediabroker_alibaba.oss.errors import NO_UPLOAD
from mediabroker_alibaba.settings import OssSettings

__all__ = ["OssUpload"]

_log = logging.getLogger(__name__)

_TIER_PARTS = 1000
"""Parts double in size after so many, so that 10,000 of them hold the largest object there can be."""
_MARK = "x-oss-meta-mediabroker-upload"
_WRITES = 4


class _Left(NamedTuple):
    """An upload that somebody has begun, and when it was last touched."""

    id: str
    parts: dict[int, tuple[str, int]]
    touched_s: float


class _Part:
    """One part as the chunks that it came in: they are sent as they are, for copying would cost as much as sending."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._size_bytes = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def crc64(self) -> int:
        crc = Crc64()
        for piece in self._pieces:
            crc.update(piece)
        return int(crc.crc)

    def md5(self) -> Any:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self._pieces:
            digest.update(piece)
        return digest


class OssUpload:
    """See the module. One thread runs it."""

    def __init__(self, client: OssClient, settings: OssSettings, uri: MediaURI, *, overwrite: bool) -> None:
        self._client = client
        self._settings = settings
        self._uri = uri
        self._headers = {} if overwrite else {"x-oss-forbid-overwrite": "true"}
        self._mark = secrets.token_hex(16)
        self._crc64: int | None = None
        self._is_ours: Callable[[Any], bool] = self._has_our_mark

    def run(self, chunks: Iterator[bytes]) -> ObjectStat:
        """Store the chunks.

        Raises:
            ProviderError: it did not work; nothing is there, and nothing unfinished that nobody will remove.
        """
        parts = _parts(chunks, self._settings.part_bytes)
        first = next(parts, _Part((b"",)))
        second = next(parts, None)
        if second is not None:
            return self._in_parts(itertools.chain((first, second), parts))
        digest = base64.b64encode(first.md5().digest()).decode()
        headers = {**self._headers, _MARK: self._mark, "Content-MD5": digest}
        answer = self._settled(lambda: self._client.call_once(self._uri, "put_object", self._uri.key, first, headers))
        _compare("put_object", first.crc64(), answer)
        return ObjectStat(len(first), str(answer.etag))

    def _in_parts(self, parts: Iterator[_Part]) -> ObjectStat:
        left = self._take_up()
        upload_id = left.id if left else self._begin()
        try:
            done = self._send_all(upload_id, parts, left.parts if left else {})
            self._crc64 = combine_crc64((each.part_crc, each.size) for each in done)
            answer = self._settled(
                lambda: self._client.call_once(
                    self._uri, "complete_multipart_upload", self._uri.key, upload_id, done, self._headers
                )
            )
        except BaseException:
            self._abort(upload_id)
            raise
        _compare("complete_multipart_upload", self._crc64, answer)
        return ObjectStat(sum(each.size for each in done), str(answer.etag))

    def _begin(self) -> str:
        headers = {**self._headers, _MARK: self._mark}
        return str(self._client.call(self._uri, "init_multipart_upload", self._uri.key, headers).upload_id)

    def _send_all(self, upload_id: str, parts: Iterator[_Part], there: dict[int, tuple[str, int]]) -> list[Any]:
        done: list[Any] = []
        waiting: set[Future[Any]] = set()
        with ThreadPoolExecutor(self._settings.parallel, thread_name_prefix="oss-part") as pool:
            try:
                for number, part in enumerate(parts, start=1):
                    waiting.add(pool.submit(self._send, upload_id, number, part, there.get(number)))
                    del part  # the pool holds it now, and only as long as it is on its way
                    if len(waiting) >= self._settings.parallel:
                        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        done += [each.result() for each in finished]
                done += [each.result() for each in waiting]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return sorted(done, key=lambda each: int(each.part_number))

    def _send(self, upload_id: str, number: int, part: _Part, there: tuple[str, int] | None) -> Any:
        crc64 = part.crc64()
        if there is not None and there == (part.md5().hexdigest().upper(), len(part)):
            return PartInfo(number, there[0], size=len(part), part_crc=crc64)
        answer = self._client.repeat(lambda: self._send_once(upload_id, number, part, crc64))
        return PartInfo(number, answer.etag, size=len(part), part_crc=crc64)

    def _send_once(self, upload_id: str, number: int, part: _Part, crc64: int) -> Any:
        answer = self._client.call_once(self._uri, "upload_part", self._uri.key, upload_id, number, part)
        _compare("upload_part", crc64, answer)
        return answer

    def _settled(self, send: Callable[[], Any]) -> Any:
        """The answer to the call that makes the object appear, also when an answer was lost on the way."""
        for attempt in range(1, _WRITES + 1):
            try:
                return send()
            except ProviderError as error:
                may_be_there = attempt > 1 or error.retryable
                if may_be_there and (stored := self._already_stored()) is not None:
                    return stored
                if not error.retryable or attempt == _WRITES:
                    raise
                time.sleep(0.2 * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _already_stored(self) -> Any:
        try:
            found = self._client.call(self._uri, "head_object", self._uri.key)
        except ProviderError:
            return None
        return found if self._is_ours(found) else None

    def _has_our_mark(self, found: Any) -> bool:
        return bool(found.headers.get(_MARK) == self._mark)

    def _has_our_content(self, found: Any) -> bool:
        return bool(found.headers.get("x-oss-hash-crc64ecma") == str(self._crc64))

    def _take_up(self) -> _Left | None:
        """The upload to this key that broke off last and that nobody works on; forgotten ones are removed."""
        now_s, found = time.time(), None
        try:
            for left in self._left():
                if now_s - left.touched_s >= self._settings.abandoned_after_s:
                    self._abort(left.id)
                elif found is None and now_s - left.touched_s >= self._settings.resume_after_s:
                    found = left
        except ProviderError as error:
            _log.info("unfinished uploads could not be listed: %s", error)
            return None
        if found is not None:
            self._is_ours = self._has_our_content  # its mark is in no list
            _log.info(
                "an upload is taken up again (uri %s, parts %s)",
                str(self._uri),
                len(found.parts),
                extra={"uri": str(self._uri), "parts": len(found.parts)},
            )
        return found

    def _left(self) -> list[_Left]:
        """The newest first."""
        listed = self._client.call(self._uri, "list_multipart_uploads", prefix=self._uri.key)
        ours = [each for each in listed.upload_list if each.key == self._uri.key]
        return [self._looked_at(each) for each in sorted(ours, key=lambda each: -float(each.initiation_date))]

    def _looked_at(self, upload: Any) -> _Left:
        parts: list[Any] = []
        marker, more = "", True
        while more:
            page = self._client.call(self._uri, "list_parts", self._uri.key, upload.upload_id, marker)
            parts += page.parts
            marker, more = page.next_marker, bool(page.is_truncated)
        touched_s = max(float(each) for each in (upload.initiation_date, *(part.last_modified for part in parts)))
        there = {int(part.part_number): (str(part.etag).strip('"').upper(), int(part.size)) for part in parts}
        return _Left(upload.upload_id, there, touched_s)

    def _abort(self, upload_id: str) -> None:
        try:
            self._client.call(self._uri, "abort_multipart_upload", self._uri.key, upload_id)
        except ProviderError as error:
            if error.provider_code != NO_UPLOAD:
                # The next write to this key, or the bucket's life-cycle rule, will do it.
                _log.warning("an upload could not be aborted: %s", error, extra={"uri": str(self._uri)})


def _parts(chunks: Iterator[bytes], part_bytes: int) -> Iterator[_Part]:
    """The same bytes in parts as large as the store wants them; only the last one is smaller."""
    held: deque[bytes] = deque()
    size_bytes, number = 0, 0
    for chunk in chunks:
        held.append(chunk)
        size_bytes += len(chunk)
        while size_bytes > (wanted := part_bytes * 2 ** (number // _TIER_PARTS)):
            yield _cut(held, wanted)
            size_bytes -= wanted
            number += 1
    if size_bytes:
        yield _Part(tuple(held))


def _cut(held: deque[bytes], wanted: int) -> _Part:
    """So many bytes from the beginning; of the chunk that the part ends in, both halves are copied."""
    pieces = []
    while wanted:
        head = held.popleft()
        if len(head) > wanted:
            held.appendleft(head[wanted:])
            head = head[:wanted]
        pieces.append(head)
        wanted -= len(head)
    return _Part(pieces)


def _compare(operation: str, crc64: int, answer: Any) -> None:
    stored = answer.headers.get("x-oss-hash-crc64ecma")
    if stored is not None and int(stored) != crc64:
        raise UnavailableError(f"{operation}: the object arrived damaged (CRC-64)", provider="oss", operation=operation)

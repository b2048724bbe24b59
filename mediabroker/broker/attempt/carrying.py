"""Copies an object from one place to another for a job: under the attempt's lease, measured, and ended by a stop."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.core import Core
from mediabroker.errors import ErrorCode, MediaBrokerError, MediaError
from mediabroker.refs import MediaURI
from mediabroker.results import Output, Transfer

__all__ = ["Carrier", "ClosingError", "CopyStoppedError", "size_of"]

_log = logging.getLogger(__name__)

_TELL_EVERY_S = 1.0


class ClosingError(MediaBrokerError):
    """The broker is being closed in the middle of a copy; another process, or the next, begins it again."""


class CopyStoppedError(MediaBrokerError):
    """A cancel, or a limit, came in the middle of a copy."""


class Copied(NamedTuple):
    """What went through: how many bytes, and their SHA-256."""

    size_bytes: int
    sha256: str


class Carrier:
    """Copies for one attempt, whose lease the caller holds.

    Between two chunks, once a second at most, it renews the lease, stores how far it is, and looks whether the job is
    to end. `total_bytes` is what will be copied in all.
    """

    def __init__(self, attempt: Attempt, total_bytes: int) -> None:
        self._core = attempt.core
        self._attempt = attempt
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._told_s: float | None = None

    def carry(self, source: MediaURI, target: MediaURI, *, overwrite: bool, expected: Output | None = None) -> Output:
        """Copy one object and look at it afterwards; `target` appears whole or not at all.

        What is at `target` already and has the same bytes is taken for what an earlier, interrupted try has written.

        Raises:
            MediaError: `OUTPUT_EXISTS`, or what `Stores.copy` says; `OUTPUT_MISSING` when the source is not what
                `expected` announced.
            ProviderError: a store cannot be asked now.
            CopyStoppedError: a cancel came meanwhile.
            LeaseLostError: another process drives the attempt now.
        """
        stores, passed = self._core.stores, hashlib.sha256()
        try:
            wrote = stores.of(target).write(target, self._passing(source, passed, expected), overwrite=overwrite)
        except MediaError as error:
            if error.error.code is not ErrorCode.OUTPUT_EXISTS:
                raise
            copied = self._same(source, target)
            if copied is None:
                raise
            return Output(uri=target, size_bytes=copied.size_bytes, sha256=copied.sha256)
        found = stores.of(target).stat(target)
        if found is None or found.size_bytes != wrote.size_bytes:
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"{target} is not there as it was written")
        return Output(uri=target, size_bytes=found.size_bytes, sha256=passed.hexdigest())

    def _passing(self, source: MediaURI, passed: hashlib._Hash, expected: Output | None) -> Iterator[bytes]:
        size_bytes = 0
        self._step(0)
        for chunk in self._core.stores.of(source).read(source):
            passed.update(chunk)
            size_bytes += len(chunk)
            yield chunk
            self._step(len(chunk))
        # Before the writer closes the object: what is wrong must never appear under its name.
        if expected is not None and expected.size_bytes not in (None, size_bytes):
            raise MediaError(
                ErrorCode.OUTPUT_MISSING, f"{source} has {size_bytes} bytes, announced {expected.size_bytes}"
            )
        if expected is not None and expected.sha256 not in (None, passed.hexdigest()):
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"{source} has not the SHA-256 that was announced")

    def _same(self, source: MediaURI, target: MediaURI) -> Copied | None:
        found = [self._core.stores.of(each).stat(each) for each in (source, target)]
        sizes = {stat.size_bytes if stat else None for stat in found}
        if len(sizes) > 1 or None in sizes:
            return None
        digests = []
        for each in (source, target):
            digest = hashlib.sha256()
            for chunk in self._core.stores.of(each).read(each):
                digest.update(chunk)
                self._step(0)
            digests.append(digest.hexdigest())
        size_bytes = found[0].size_bytes if found[0] else 0
        return Copied(size_bytes, digests[0]) if digests[0] == digests[1] else None

    def _step(self, more_bytes: int) -> None:
        if self._core.mover.closing.is_set():
            raise ClosingError("the broker is being closed; the copy begins again with the next look at the job")
        self._done_bytes += more_bytes
        now_s = self._core.clock.monotonic_s()
        every_s = min(_TELL_EVERY_S, self._core.settings.lease_s / 3)
        if self._told_s is not None and now_s - self._told_s < every_s:
            return
        self._told_s = now_s
        total_bytes = max(self._total_bytes, self._done_bytes)  # it may have grown since it was looked at
        with self._attempt.unit():
            if self._attempt.stop_wanted:
                raise CopyStoppedError("the job was stopped while its bytes were copied")
            self._attempt.change_job(transfer=Transfer(done_bytes=self._done_bytes, total_bytes=total_bytes))


def size_of(core: Core, uri: MediaURI) -> int:
    """The object's size in bytes.

    Raises:
        MediaError: `INPUT_NOT_FOUND`, or what the store says.
        ProviderError: the store cannot be asked now.
    """
    found = core.stores.of(uri).stat(uri)
    if found is None:
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{uri} does not exist")
    return found.size_bytes

"""Brings an attempt's input to where its provider can read it, and clears the place when the attempt has ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mediabroker.broker.core import Core
from mediabroker.broker.drive import HoldError, StopRequestedError
from mediabroker.broker.transfer import Carrier, CopyStoppedError, size_of
from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    MediaBrokerError,
    MediaError,
    ProviderError,
)
from mediabroker.refs import MediaURI
from mediabroker.store import attempts, jobs
from mediabroker.store.journal import LeaseLostError
from mediabroker.store.records import AttemptRecord, JobRecord, Placement

__all__ = ["STAGING", "clear_ended", "stage"]

_log = logging.getLogger(__name__)

STAGING = "staging"
"""The phase in which the input is copied."""


class _StagingHeldError(HoldError):
    phase = STAGING


def stage(core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
    """Copy what the attempt's placement says; nothing if that is done. The caller holds the lease.

    Nothing is at the vendor yet, so an output that is in the way ends the job here.

    Raises:
        HoldError: a store cannot be asked now.
        MediaError: it never will be: what the job fails with.
        StopRequestedError: a cancel came meanwhile.
        LeaseLostError: another process drives the attempt now.
    """
    if not attempt.placement.folders or attempt.staged_at is not None:
        return
    assert job.spec is not None
    try:
        _refuse_existing(core, attempt.placement)
        _make_folders(attempt.placement)
        if attempt.placement.input is not None:
            _copy(core, job.spec.input, attempt, attempt.placement.input)
    except CopyStoppedError as error:
        raise StopRequestedError(str(error), provider=attempt.provider) from error
    except ProviderError as error:
        if error.retryable:
            raise _StagingHeldError(f"{job.spec.input} cannot be staged now: {error}") from error
        code = ErrorCode.AUTH if isinstance(error, AuthenticationError) else ErrorCode.INPUT_DENIED
        raise MediaError(code, f"{job.spec.input} cannot be staged: {error}", request_id=error.request_id) from error
    with core.store.write() as tx:
        staged_at = core.clock.now()
        if not attempts.update_attempt(
            tx, attempt, fenced=True, staged_at=staged_at, lease_until=staged_at + core.lease
        ):
            raise LeaseLostError(f"job {job.id} is driven by another process")
        jobs.update_job(tx, job.id, phase=None, transfer=None)


def _copy(core: Core, source: MediaURI, attempt: AttemptRecord, target: MediaURI) -> None:
    carrier = Carrier(core, attempt, size_of(core, source))
    with core.store.write() as tx:
        jobs.update_job(tx, attempt.job_id, phase=STAGING, hold_reason=None)
    carrier.carry(source, target, overwrite=True)  # under this token, whatever is there is our own earlier try


def _refuse_existing(core: Core, placement: Placement) -> None:
    target = placement.target
    if target is None or placement.overwrite or target.is_folder:
        return
    if core.stores.of(target).stat(target) is not None:
        raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{target} exists; set overwrite to replace it")


def _make_folders(placement: Placement) -> None:
    """Of a staging place on this machine; object stores have none."""
    for uri in (placement.input, placement.output):
        if uri is not None and uri.scheme == "file":
            folder = uri.path if uri.is_folder else uri.path.parent
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise MediaError(ErrorCode.OUTPUT_DENIED, f"{folder} cannot be made: {error.strerror}") from error


def clear_ended(core: Core, ids: Sequence[str] | None = None) -> None:
    """Remove what was staged for attempts that have ended, of `ids` or of all jobs; the next pass tries again.

    Kept are those of a job with `debug`, and those of an end that was only inferred: the vendor may still read them.
    """
    with core.store.read() as tx:
        ended = attempts.uncleared(tx, ids)
    for job_id, attempt in ended:
        with core.store.read() as tx:
            job = jobs.by_id(tx, job_id)
        if job is None or job.spec is None:
            continue  # another host has staged it, and clears it
        try:
            for folder in () if job.spec.debug else attempt.placement.folders:
                core.stores.clear(folder)
        except MediaBrokerError as error:
            _log.warning("what was staged could not be cleared: %s", error, extra={"job": job_id})
            continue
        with core.store.write() as tx:
            attempts.update_attempt(tx, attempt, cleared_at=core.clock.now())

"""Brings an attempt's input to where its provider can read it, and clears the place when the attempt has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.attempt.carrying import Carrier, CopyStoppedError, size_of
from mediabroker.broker.core import Core
from mediabroker.errors import AuthenticationError, ErrorCode, MediaBrokerError, MediaError, ProviderError
from mediabroker.flows import HoldError, StopRequestedError
from mediabroker.media.publish import own_folder
from mediabroker.store import attempts
from mediabroker.store.records import Placement

__all__ = ["STAGING", "clear_ended", "make_folders", "stage"]

_log = logging.getLogger(__name__)

STAGING = "staging"
"""The phase in which the input is copied."""


def stage(attempt: Attempt) -> None:
    """Copy what the attempt's placement says. The caller holds the lease.

    Nothing is at the vendor yet, so an output that is in the way ends the job here.

    Raises:
        HoldError: a store cannot be asked now.
        MediaError: it never will be: what the job fails with.
        StopRequestedError: a cancel came meanwhile.
        LeaseLostError: another process drives the attempt now.
    """
    core, placement, spec = attempt.core, attempt.row.placement, attempt.job.spec
    assert spec is not None
    try:
        _refuse_existing(core, placement)
        make_folders(placement)
        if placement.input is not None:
            carrier = Carrier(attempt, size_of(core, spec.input))
            with attempt.unit():
                attempt.change_job(phase=STAGING, hold_reason=None)
            # Under this token, whatever is there is an earlier try of this attempt.
            carrier.carry(spec.input, placement.input, overwrite=True)
    except CopyStoppedError as error:
        raise StopRequestedError(str(error), provider=attempt.row.provider) from error
    except ProviderError as error:
        if error.retryable:
            raise HoldError(f"{spec.input} cannot be staged now: {error}", phase=STAGING) from error
        code = ErrorCode.AUTH if isinstance(error, AuthenticationError) else ErrorCode.INPUT_DENIED
        raise MediaError(code, f"{spec.input} cannot be staged: {error}", request_id=error.request_id) from error
    with attempt.unit():
        attempt.change(staged_at=core.clock.now())
        attempt.change_job(phase=None, transfer=None)


def _refuse_existing(core: Core, placement: Placement) -> None:
    target = placement.target
    if target is None or placement.overwrite or target.is_folder:
        return
    if core.stores.of(target).stat(target) is not None:
        raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{target} exists; set overwrite to replace it")


def make_folders(placement: Placement) -> None:
    """Make those of a staging place on this machine; object stores have none.

    The place may be a folder that others write to, such as the temporary one, so none of them may be a link.

    Raises:
        MediaError: `OUTPUT_DENIED`.
    """
    for own in (each.path for each in placement.folders if each.scheme == "file"):
        with _denied(own):
            own.parent.mkdir(parents=True, exist_ok=True)
            own_folder(own)
    for uri in (placement.input, placement.output):
        if uri is not None and uri.scheme == "file":
            folder = uri.path if uri.is_folder else uri.path.parent
            with _denied(folder):
                own_folder(folder)


@contextmanager
def _denied(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MediaError(ErrorCode.OUTPUT_DENIED, f"{folder} cannot be made: {error.strerror}") from error


def clear_ended(core: Core, ids: Sequence[str] | None = None) -> None:
    """Remove what was staged for attempts that have ended, of `ids` or of all jobs; the next pass tries again.

    Kept are those of a job with `debug`, and those of an end that was only inferred: the vendor may still read them.
    """
    with core.store.read() as tx:
        ended = attempts.uncleared(tx, ids)
        known = {job.id: job for job, *_ in attempts.load(tx, [each.job_id for each in ended])} if ended else {}
    for attempt in ended:
        job = known.get(attempt.job_id)
        if job is None or job.spec is None:
            continue  # another host has staged it, and clears it
        try:
            for folder in () if job.spec.debug else attempt.placement.folders:
                core.stores.clear(folder)
        except MediaBrokerError as error:
            _log.warning("job %s: what was staged could not be cleared: %s", job.id, error, extra={"job": job.id})
            continue
        with core.store.write() as tx:
            attempts.update_attempt(tx, attempt, {"cleared_at": core.clock.now()})

"""The last step: the vendor says "done", and the broker looks whether the bytes are where they were asked for."""

from __future__ import annotations

from mediabroker.broker import lease
from mediabroker.broker.core import Core
from mediabroker.broker.tell import end
from mediabroker.errors import ConfigurationError, ErrorCode, JobError, MediaError, UnsupportedError
from mediabroker.jobs import result_type_of
from mediabroker.results import JobResult, Output
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["deliver"]


def deliver(core: Core, job_id: str) -> None:
    """Verify the outputs under the attempt's lease and end the job; nothing if another process is at it."""
    taken = lease.take(core, job_id, state=JobState.RUNNING)
    if taken is None:
        return
    job, attempt = taken
    try:
        _finish(core, job, attempt)
        result, missing = _inspect(core, job, attempt)
    except (ConfigurationError, MediaError, UnsupportedError) as error:
        # Nobody here can look at the outputs until a person has changed something.
        _hold(core, job, attempt, str(error))
        return
    except BaseException:
        with core.store.write() as tx:
            attempts.release(tx, attempt)
        raise
    with core.store.write() as tx:
        if not attempts.update_attempt(tx, attempt, fenced=True, lease_until=None):
            return
        if missing is None:
            end(tx, core, job, attempt, JobState.SUCCEEDED, result=result)
        else:
            end(tx, core, job, attempt, JobState.FAILED, error=missing, result=result)


def _finish(core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
    with core.store.read() as tx:
        members = [each.status for each in attempts.members_of(tx, attempt, job.kind)]
    core.converse(attempt.provider, core.fleet.named(attempt.provider).finish(members))


def _inspect(core: Core, job: JobRecord, attempt: AttemptRecord) -> tuple[JobResult, JobError | None]:
    """The result with what was really found, and an error that names the first output that is not as announced."""
    result = result_type_of(job.kind).model_validate(attempt.result or {})
    announced = result.outputs or _asked_for(job)
    found, missing = [], None
    for output in announced:
        stat = core.stores.of(output.uri).stat(output.uri)
        if stat is not None and stat.size_bytes > 0 and output.size_bytes in (None, stat.size_bytes):
            found.append(output.model_copy(update={"size_bytes": stat.size_bytes}))
        elif missing is None:
            seen = "is not there" if stat is None else f"has {stat.size_bytes} bytes, announced {output.size_bytes}"
            missing = JobError.of(
                ErrorCode.OUTPUT_MISSING, f"{attempt.provider} reported success, but {output.uri} {seen}"
            )
    return result.model_copy(update={"outputs": tuple(found)}), missing


def _asked_for(job: JobRecord) -> tuple[Output, ...]:
    """What to look for when the vendor names no files: the output that the job asked for."""
    return (Output(uri=job.spec.output),) if job.spec and job.spec.output else ()


def _hold(core: Core, job: JobRecord, attempt: AttemptRecord, reason: str) -> None:
    with core.store.write() as tx:
        attempts.release(tx, attempt)
        jobs.update_job(tx, job.id, hold_reason=reason)

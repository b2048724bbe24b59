"""The last step: the vendor says "done", and the broker sees to it that the bytes are where they were asked for."""

from __future__ import annotations

from mediabroker.broker import lease
from mediabroker.broker.attempt import fail, stopped
from mediabroker.broker.core import Core
from mediabroker.broker.placement import folder_of, home_of
from mediabroker.broker.tell import end
from mediabroker.broker.transfer import Carrier, CopyStoppedError, size_of
from mediabroker.errors import ConfigurationError, ErrorCode, InvalidJobError, JobError, MediaError
from mediabroker.jobs import result_type_of
from mediabroker.refs import MediaURI
from mediabroker.results import JobResult, Output
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.journal import LeaseLostError
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["deliver"]

_FINAL = frozenset({ErrorCode.OUTPUT_EXISTS, ErrorCode.OUTPUT_MISSING})
"""What no other look will mend."""


def deliver(core: Core, job_id: str) -> None:
    """Verify the outputs, copy those that were staged, and end the job; nothing if another process is at it."""
    taken = lease.take(core, job_id, state=JobState.RUNNING)
    if taken is None:
        return
    job, attempt = taken
    if attempt.state is not JobState.SUCCEEDED:
        _release(core, attempt)  # another attempt has begun meanwhile
        return
    _finish(core, job, attempt)


def _finish(core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
    try:
        _complete(core, job, attempt)
        result, problem = _inspect(core, job, attempt)
        if problem is None and attempt.placement.output is not None:
            result = _bring_home(core, attempt, result)
    except LeaseLostError:
        return
    except CopyStoppedError:
        _stopped(core, job, attempt)
    except MediaError as error:
        if error.error.code in _FINAL:
            _end(core, job, attempt, JobState.FAILED, error=error.error)
        else:
            _release(core, attempt, hold_reason=str(error))
    except (ConfigurationError, InvalidJobError) as error:
        # Nobody here can look at the outputs until a person has changed something.
        _release(core, attempt, hold_reason=str(error))
    except BaseException:
        _release(core, attempt)
        raise
    else:
        _end(core, job, attempt, JobState.FAILED if problem else JobState.SUCCEEDED, error=problem, result=result)


def _complete(core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
    """What the provider itself makes of its finished jobs, as the playlist above a ladder's renditions."""
    with core.store.read() as tx:
        members = [each.status for each in attempts.members_of(tx, attempt, job.kind)]
    core.converse(attempt.provider, core.fleet.named(attempt.provider).finish(members))


def _inspect(core: Core, job: JobRecord, attempt: AttemptRecord) -> tuple[JobResult, JobError | None]:
    """The result with what was really found, and an error that names the first output that is not as announced."""
    result = result_type_of(job.kind).model_validate(attempt.result or {})
    if (delivered := _delivered_elsewhere(core, job, attempt)) is not None:
        return result.model_copy(update={"outputs": (delivered,)}), None
    announced = result.outputs or _asked_for(job, attempt)
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


def _asked_for(job: JobRecord, attempt: AttemptRecord) -> tuple[Output, ...]:
    """What to look for when the vendor names no files: the output that it was asked for."""
    wanted = attempt.placement.output or (job.spec.output if job.spec else None)
    return (Output(uri=wanted),) if wanted is not None else ()


def _delivered_elsewhere(core: Core, job: JobRecord, attempt: AttemptRecord) -> Output | None:
    """The output of a job that was taken over here, once the host that submitted it has delivered it."""
    staged, target = attempt.placement.output, attempt.placement.target
    if job.spec is not None or staged is None or target is None or core.stores.of(staged).stat(staged) is not None:
        return None
    found = core.stores.of(target).stat(target)
    return Output(uri=target, size_bytes=found.size_bytes) if found is not None else None


def _bring_home(core: Core, attempt: AttemptRecord, result: JobResult) -> JobResult:
    """Copy all that lies in the staged output's folder to the job's own output, the file that was asked for last."""
    placement = attempt.placement
    staged, target = placement.output, placement.target
    if staged is None or target is None or [each.uri for each in result.outputs] == [target]:
        return result
    announced = {each.uri: each for each in result.outputs}
    folder = folder_of(staged)
    made = sorted({*core.stores.of(folder).list(folder), *announced}, key=lambda uri: (uri == staged, uri))
    carrier = Carrier(core, attempt, sum(size_of(core, each) for each in made))
    brought: dict[MediaURI, Output] = {}
    for uri in made:
        home = home_of(placement, uri)
        _make_subfolder(home, target)
        brought[uri] = carrier.carry(uri, home, overwrite=placement.overwrite, expected=announced.get(uri))
    items = tuple(
        item.model_copy(update={"output": brought[item.output].uri}) if item.output in brought else item
        for item in result.items
    )
    return result.model_copy(update={"outputs": tuple(brought[each] for each in announced), "items": items})


def _make_subfolder(home: MediaURI, target: MediaURI) -> None:
    """Folders below the one that was asked for, where a store has such things; that one itself must be there."""
    if home.scheme == "file" and folder_of(home) != folder_of(target) and folder_of(target).path.is_dir():
        home.path.parent.mkdir(parents=True, exist_ok=True)


def _end(
    core: Core,
    job: JobRecord,
    attempt: AttemptRecord,
    state: JobState,
    *,
    error: JobError | None = None,
    result: JobResult | None = None,
) -> None:
    with core.store.write() as tx:
        if not attempts.update_attempt(tx, attempt, fenced=True, lease_until=None):
            return
        if state is JobState.FAILED:
            kept = result if attempt.placement.output is None else None  # what is staged will be cleared
            fail(tx, core, job, attempt, error=error, result=kept)
        else:
            end(tx, core, job, attempt, state, error=error, result=result)


def _stopped(core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
    with core.store.write() as tx:
        if attempts.update_attempt(tx, attempt, fenced=True, lease_until=None):
            stopped(tx, core, job, attempt)


def _release(core: Core, attempt: AttemptRecord, *, hold_reason: str | None = None) -> None:
    with core.store.write() as tx:
        attempts.release(tx, attempt)
        if hold_reason is not None:
            jobs.update_job(tx, attempt.job_id, hold_reason=hold_reason)

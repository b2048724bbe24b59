"""The last step: the vendor says "done", and the broker sees to it that the bytes are where they were asked for."""

from __future__ import annotations

import logging
import re

from mediabroker.broker.attempt.attempt import Attempt, LeaseLostError
from mediabroker.broker.attempt.carrying import Carrier, CopyStoppedError, size_of
from mediabroker.broker.attempt.placement import folder_of, home_of
from mediabroker.broker.core import Core
from mediabroker.errors import (
    ConfigurationError,
    ErrorCode,
    InvalidJobError,
    JobError,
    MediaBrokerError,
    MediaError,
)
from mediabroker.jobs import SmartProduction, result_type_of
from mediabroker.media.publish import output_errors
from mediabroker.objects import nameable
from mediabroker.production.names import placeholders
from mediabroker.refs import MediaURI
from mediabroker.results import JobResult, Output
from mediabroker.states import JobState

__all__ = ["deliver"]

_log = logging.getLogger(__name__)

_HELD = re.compile(r"\{(\w+)\}")
_FINAL = frozenset({ErrorCode.OUTPUT_EXISTS, ErrorCode.OUTPUT_MISSING, ErrorCode.PROVIDER_INTERNAL})
"""What no later pass will change."""


def deliver(core: Core, job_id: str) -> None:
    """Verify the outputs, copy those that were staged, and end the job; nothing if another process drives it."""
    attempt = Attempt.acquire(core, job_id, JobState.RUNNING)
    if attempt is None:
        return
    try:
        if attempt.is_delivering:
            _deliver(attempt)
        else:  # another attempt has begun meanwhile
            _release(attempt)
    except LeaseLostError:
        _log.info("job %s: another process drives the attempt", job_id, extra={"job": job_id})


def _deliver(attempt: Attempt) -> None:
    try:
        result, problem = _finish(attempt)
    except CopyStoppedError:
        with attempt.unit():
            attempt.stop()
    except MediaError as error:
        if error.error.code in _FINAL:
            with attempt.unit():
                attempt.fail(error.error)
        else:
            _release(attempt, hold_reason=str(error))
    except (ConfigurationError, InvalidJobError) as error:
        # No pass can verify the outputs until a person has changed something.
        _release(attempt, hold_reason=str(error))
    except LeaseLostError:
        raise
    except BaseException:
        _release(attempt)
        raise
    else:
        with attempt.unit():
            if problem is None:
                attempt.end(JobState.SUCCEEDED, result=result)
                _tell_undelivered(attempt, result)
            else:  # what is staged will be cleared
                attempt.fail(problem, result if attempt.row.placement.output is None else None)


def _finish(attempt: Attempt) -> tuple[JobResult, JobError | None]:
    """Return the result as found at its place, and the first problem with it."""
    # What the provider itself makes of its finished jobs, such as the playlist above a ladder's renditions.
    members = [each.status for each in attempt.members]
    attempt.core.converse(attempt.row.provider, attempt.provider.finish(members))
    result, problem = _inspect(attempt)
    placement = attempt.row.placement
    if problem is None and placement.output is not None and placement.undelivered is None:
        result = _bring_home(attempt, result)
    return result, problem


def _tell_undelivered(attempt: Attempt, result: JobResult) -> None:
    """Say why the outputs are not where the job wants them, unless its own host has brought them there."""
    placement = attempt.row.placement
    if placement.undelivered is not None and placement.target not in [each.uri for each in result.outputs]:
        attempt.change_job(hold_reason=placement.undelivered)


def _release(attempt: Attempt, *, hold_reason: str | None = None) -> None:
    with attempt.unit():
        attempt.change(lease_until=None)
        if hold_reason is not None:
            attempt.change_job(hold_reason=hold_reason)


def _inspect(attempt: Attempt) -> tuple[JobResult, JobError | None]:
    """The result with what was really found, and an error that names the first output that is not as announced."""
    core, row = attempt.core, attempt.row
    result = result_type_of(attempt.job.kind).model_validate(row.result or {})
    if (delivered := _delivered_elsewhere(attempt)) is not None:
        return result.model_copy(update={"outputs": (delivered,)}), None
    if not result.outputs and (pattern := _pattern_of(attempt)) is not None:
        return result.model_copy(update={"outputs": _matching(core, pattern)}), None
    announced = result.outputs or _asked_for(attempt)
    if row.placement.output is not None:
        for output in announced:  # before any store is asked for a URI of the vendor's choice
            home_of(row.placement, output.uri)
    found, missing = [], None
    for output in announced:
        stat = core.stores.of(output.uri).stat(output.uri)
        if stat is not None and stat.size_bytes > 0 and output.size_bytes in (None, stat.size_bytes):
            found.append(output.model_copy(update={"size_bytes": stat.size_bytes}))
        elif missing is None:
            seen = "is not there" if stat is None else f"has {stat.size_bytes} bytes, announced {output.size_bytes}"
            missing = JobError.of(ErrorCode.OUTPUT_MISSING, f"{row.provider} reported success, but {output.uri} {seen}")
    return result.model_copy(update={"outputs": tuple(found)}), missing


def _pattern_of(attempt: Attempt) -> MediaURI | None:
    """The output that was asked for, where it is a pattern that the provider fills: it names no file of its own."""
    cls = type(attempt.job.spec) if attempt.job.spec is not None else None
    wanted = attempt.row.placement.output or (attempt.job.spec.output if attempt.job.spec else None)
    is_pattern = cls is not None and issubclass(cls, SmartProduction) and wanted is not None and placeholders(wanted)
    return wanted if is_pattern else None


def _matching(core: Core, pattern: MediaURI) -> tuple[Output, ...]:
    """The files that fit a pattern, found by listing what lies below its fixed part; else the pattern, unverified."""
    form = re.compile("".join(".+?" if at % 2 else re.escape(part) for at, part in enumerate(_HELD.split(pattern.key))))
    try:
        listed = nameable(core.stores.of(pattern).list(folder_of(pattern)))
        found = sorted(uri for uri in listed if form.fullmatch(uri.key))
        sizes = [(uri, core.stores.of(uri).stat(uri)) for uri in found]
    except (MediaBrokerError, InvalidJobError) as error:
        _log.warning("%s cannot be listed, so its files are not verified: %s", pattern, error)
        sizes = []
    outputs = tuple(Output(uri=uri, size_bytes=stat.size_bytes) for uri, stat in sizes if stat and stat.size_bytes)
    return outputs or (Output(uri=pattern, verified=False),)


def _asked_for(attempt: Attempt) -> tuple[Output, ...]:
    """What to look for when the vendor names no files: the output that it was asked for."""
    spec = attempt.job.spec
    wanted = attempt.row.placement.output or (spec.output if spec else None)
    return (Output(uri=wanted),) if wanted is not None else ()


def _delivered_elsewhere(attempt: Attempt) -> Output | None:
    """The output of a job that was taken over here, once the host that submitted it has delivered it."""
    staged, target, core = attempt.row.placement.output, attempt.row.placement.target, attempt.core
    if (
        attempt.job.spec is not None
        or staged is None
        or target is None
        or core.stores.of(staged).stat(staged) is not None
    ):
        return None
    found = core.stores.of(target).stat(target)
    return Output(uri=target, size_bytes=found.size_bytes) if found is not None else None


def _bring_home(attempt: Attempt, result: JobResult) -> JobResult:
    """Copy all that lies in the staged output's folder to the job's own output, the file that was asked for last."""
    core, placement = attempt.core, attempt.row.placement
    staged, target = placement.output, placement.target
    if staged is None or target is None or [each.uri for each in result.outputs] == [target]:
        return result
    announced = {each.uri: each for each in result.outputs}
    folder = folder_of(staged)
    listed = (each for each in core.stores.of(folder).list(folder) if not each.is_folder)  # consoles make such marks
    made = sorted({*listed, *announced}, key=lambda uri: (uri == staged, uri))
    homes = {uri: home_of(placement, uri) for uri in made}  # all, before the first is copied
    carrier = Carrier(attempt, sum(size_of(core, each) for each in made))
    brought: dict[MediaURI, Output] = {}
    for uri, home in homes.items():
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
        with output_errors(home.path):
            home.path.parent.mkdir(parents=True, exist_ok=True)

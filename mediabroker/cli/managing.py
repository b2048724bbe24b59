"""Commands about jobs that are there: `get`, `list`, `watch`, `cancel`, `retry`, `prune`; and about providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from mediabroker.cli.describe import (
    capabilities_data,
    job_card,
    job_data,
    job_table,
    matrix,
    provider_table,
    result_card,
)
from mediabroker.cli.follow import follow
from mediabroker.cli.options import command
from mediabroker.cli.specs import STATES, duration_of, labels_of, state_of
from mediabroker.cli.terminal import Terminal
from mediabroker.errors import ConfigurationError, InvalidJobError, JobNotFoundError, MediaBrokerError, ProviderError
from mediabroker.jobs import known_kinds
from mediabroker.results import JobResult
from mediabroker.spi import CancelOutcome

if TYPE_CHECKING:
    from mediabroker.broker import Broker, Job

__all__ = ["add_managing_commands"]

JobName = Annotated[str, typer.Argument(metavar="ID", help="A job's id, its unique beginning, or its ref.")]

_OUTCOMES = {
    CancelOutcome.CANCELLED: "is cancelled",
    CancelOutcome.REQUESTED: "is asked to stop; it will end soon",
    CancelOutcome.TOO_LATE: "had already ended",
    CancelOutcome.UNSUPPORTED: "goes on: its provider cannot cancel",
}


def add_managing_commands(app: typer.Typer) -> None:
    """Register them in the order in which help lists them."""
    command(app, "get")(_get)
    command(app, "list")(_list)
    command(app, "watch")(_watch)
    command(app, "cancel")(_cancel)
    command(app, "retry")(_retry)
    command(app, "prune")(_prune)
    command(app, "providers")(_providers)


def _get(terminal: Terminal, job_name: JobName) -> None:
    """Show one job, as its provider knows it now."""
    with terminal.broker() as broker:
        job = _find(broker, job_name)
        try:
            job.refresh()
        except ProviderError as error:
            terminal.note(f"as last seen; its provider cannot be asked now: {error}")
        result = _result_so_far(job)
        terminal.show(job_data(job, result), job_card(job, result))


def _list(
    terminal: Terminal,
    *,
    state: Annotated[str | None, typer.Option(help=f"Only jobs in this state: {STATES}.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind, as super_resolution.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only jobs that ran on this provider.")] = None,
    label: Annotated[str | None, typer.Option(help="Only jobs with this name=value.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 20,
) -> None:
    """List jobs, newest first, as their providers know them now."""
    state_wanted = state_of(state) if state else None
    wanted = next(iter(labels_of([label]).items())) if label else None
    with terminal.broker() as broker:
        _check_known(broker, kind, provider)
        try:
            broker.reconcile()
        except MediaBrokerError as error:
            terminal.note(f"a provider cannot be queried now: {error}")
        found = list(broker.list(state=state_wanted, kind=kind, provider=provider, label=wanted, limit=limit))
        terminal.show([job_data(job) for job in found], job_table(found) if found else Text("no jobs", style="dim"))


def _check_known(broker: Broker, kind: str | None, provider: str | None) -> None:
    """Refuse a name that is neither known here nor that of any job: most likely it is misspelt."""
    if kind is not None and kind not in known_kinds() and not list(broker.list(kind=kind, limit=1)):
        raise InvalidJobError(f"kind {kind!r}: one of {', '.join(known_kinds())}")
    if provider is not None and provider not in broker.providers and not list(broker.list(provider=provider, limit=1)):
        raise InvalidJobError(f"provider {provider!r}: configured are {', '.join(broker.providers)}")


def _watch(
    terminal: Terminal,
    job_name: JobName,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.", min=0)] = None,
) -> None:
    """Follow a job to its end. Ctrl-C leaves; the job goes on."""
    with terminal.broker() as broker:
        job = _find(broker, job_name)
        if terminal.json:
            for event in job.events():
                terminal.json_line(event.model_dump(mode="json"))
            return
        follow(terminal, job, timeout_s=timeout, cancel_on_interrupt=False)
        result = job.result()
        terminal.show(job_data(job, result), result_card(result))


def _cancel(terminal: Terminal, job_name: JobName) -> None:
    """Ask a job to stop, and say what came of it."""
    with terminal.broker() as broker:
        job = _find(broker, job_name)
        outcome = job.cancel()
        terminal.show({"id": job.id, "outcome": str(outcome)}, f"job {job.id} {_OUTCOMES[outcome]}")


def _retry(terminal: Terminal, job_name: JobName) -> None:
    """Start a new job from the spec of one that failed or was cancelled. Repeated, it shows the same new job."""
    with terminal.broker() as broker:
        job = broker.retry(_find(broker, job_name))
        terminal.show(job_data(job, None), job_card(job, None))


def _prune(
    terminal: Terminal,
    age: Annotated[str, typer.Option("--older-than", metavar="AGE", help="As 30d, 12h, 90m, 2w.")] = "30d",
) -> None:
    """Forget jobs that ended long ago, what their providers keep of them, and messages quarantined long ago."""
    with terminal.broker() as broker:
        report = broker.prune(duration_of(age))
        messages = f", and {report.messages} quarantined messages" if report.messages else ""
        terminal.show(report.model_dump(mode="json"), f"{report.jobs} jobs forgotten{messages}")


def _providers(
    terminal: Terminal,
    show_matrix: Annotated[bool, typer.Option("--matrix", help="Kinds down, providers across.")] = False,
) -> None:
    """List the configured providers and what each can do."""
    with terminal.broker() as broker:
        described = {name: _described(broker, name) for name in broker.providers}
        terminal.show(described, matrix(described) if show_matrix else provider_table(described))


def _described(broker: Broker, name: str) -> dict[str, Any]:
    try:
        provider = broker.providers[name]
        return capabilities_data(provider.type, provider.capabilities())
    except ConfigurationError as error:
        # One instance that cannot be made must not hide the others.
        return {"type": broker.settings.providers[name].type, "error": str(error)}


def _find(broker: Broker, name: str) -> Job[Any]:
    """The job with that id or ref, or the only one whose id begins so."""
    try:
        return broker.get(name)
    except JobNotFoundError:
        found = [job for job in broker.list() if job.id.startswith(name)] if name.isalnum() else []
        if not found:
            raise
    if len(found) > 1:
        raise InvalidJobError(f"{name!r} is the beginning of {len(found)} job ids; type more of it")
    return found[0]


def _result_so_far(job: Job[Any]) -> JobResult | None:
    """The result of a job that has ended, whole or in part."""
    if not job.state.is_terminal:
        return None
    failure = job.exception()
    result: JobResult | None = job.result() if failure is None else failure.result
    return result

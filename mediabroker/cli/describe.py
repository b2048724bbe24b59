"""Jobs, results, plans and providers as JSON for machines and as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mediabroker.cli.media_card import media_card
from mediabroker.cli.units import size_text, span_text
from mediabroker.jobs import JobSpec
from mediabroker.refs import MediaURI
from mediabroker.results import ImagesResult, JobResult, MediaInfoResult, Output, VideoResult
from mediabroker.spi import Capabilities
from mediabroker.states import JobState

if TYPE_CHECKING:
    from mediabroker.broker import Job, Plan
    from mediabroker.broker.plan import PlannedTransfer

__all__ = [
    "capabilities_data",
    "job_card",
    "job_data",
    "job_table",
    "matrix",
    "plan_card",
    "provider_table",
    "result_card",
    "short_uri",
]

_STYLES = {JobState.SUCCEEDED: "green", JobState.FAILED: "red", JobState.CANCELLED: "yellow", JobState.RUNNING: "cyan"}
SHORT_ID = 10
"""Characters of an id that a table shows; any unique beginning names a job."""


def job_data(job: Job[Any], result: JobResult | None = None) -> dict[str, Any]:
    """Everything about a job, as JSON values."""
    return {
        "id": job.id,
        "ref": str(job.ref),
        "kind": job.kind,
        "state": str(job.state),
        "phase": job.phase,
        "progress": job.progress,
        "frames": job.frames.model_dump(mode="json") if job.frames else None,
        "hold_reason": job.hold_reason,
        "cancel_requested": job.cancel_requested,
        "deadline_at": job.deadline_at.isoformat() if job.deadline_at else None,
        "queue_timeout_s": job.queue_timeout.total_seconds() if job.queue_timeout else None,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "spec": job.spec.model_dump(mode="json") if job.spec else None,
        "attempts": [
            {"number": each.number, "provider": each.provider, "state": str(each.state), "error": _error(each.error)}
            for each in job.attempts
        ],
        "error": _error(job.error),
        "result": result.model_dump(mode="json") if result else None,
    }


def _error(error: Any) -> Any:
    return error.model_dump(mode="json") if error else None


def job_card(job: Job[Any], result: JobResult | None = None) -> RenderableType:
    """One job, one fact a line, only the facts there are."""
    spec = job.spec
    progress = None if job.progress is None or job.state.is_terminal else f"{job.progress:.0%}"
    facts: list[tuple[str, str | Text | None]] = [
        ("id", job.id),
        ("state", Text(str(job.state), style=_STYLES.get(job.state, ""))),
        ("phase", job.phase if not job.state.is_terminal else None),
        ("progress", progress),
        ("on hold", job.hold_reason),
        ("error", str(job.error) if job.error else None),
        ("kind", job.kind),
        ("input", short_uri(spec.input) if spec else None),
        ("output", short_uri(spec.output) if spec and spec.output else None),
        ("labels", ", ".join(f"{name}={value}" for name, value in job.labels.items()) or None),
        ("attempts", ", ".join(f"{each.provider} {each.state}" for each in job.attempts)),
        ("created", job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")),
        ("took", span_text(job.created_at, job.finished_at) if job.finished_at else None),
        ("ref", str(job.ref)),
    ]
    grid = _grid((name, value) for name, value in facts if value)
    made = result_card(result) if result else None
    return Group(grid, made) if made else grid


def job_table(listed: Sequence[Job[Any]]) -> Table:
    table = _table("id", "kind", "state", "progress", "provider", "age", "input → output")
    now = datetime.now(timezone.utc)
    for job in listed:
        table.add_row(
            job.id[:SHORT_ID],
            job.kind,
            Text(str(job.state), style=_STYLES.get(job.state, "")),
            "" if job.progress is None else f"{job.progress:.0%}",
            ", ".join(each.provider for each in job.attempts),
            span_text(job.created_at, now),
            _route(job.spec) if job.spec else "",
        )
    return table


def _route(spec: JobSpec[Any]) -> str:
    return " → ".join(uri.name for uri in (spec.input, spec.output) if uri is not None)


def result_card(result: JobResult) -> Text:
    """What a job has made: one line an output, what was measured, and what a file was found to be."""
    lines = [_output_line(output) for output in result.outputs]
    measured = _measured(result)
    lines += [Text(measured, style="dim")] if measured else []
    lines += [Text(f"{item.outcome:7} {short_uri(item.source)}") for item in result.items if len(result.items) > 1]
    lines += [media_card(result.media)] if isinstance(result, MediaInfoResult) and result.media else []
    return Text("\n").join(lines)


def _output_line(output: Output) -> Text:
    size = f"  {size_text(output.size_bytes)}" if output.size_bytes is not None else ""
    return Text.assemble((short_uri(output.uri), "bold"), size)


def _measured(result: JobResult) -> str:
    if not isinstance(result, (VideoResult, ImagesResult)):
        return ""
    parts = [f"{result.width_px}×{result.height_px}"] if result.width_px else []
    if isinstance(result, VideoResult):
        parts += [f"{result.frame_count} frames"] if result.frame_count is not None else []
        parts += [f"{result.duration_s:.2f} s of video"] if result.duration_s is not None else []
        if result.elapsed_s:
            rate = f", {result.frame_count / result.elapsed_s:.1f} frames/s" if result.frame_count else ""
            parts.append(f"made in {result.elapsed_s:.1f} s{rate}")
    return " · ".join(parts)


def plan_card(plan: Plan) -> RenderableType:
    head = Text.assemble("the job would run on ", (plan.provider, "bold"))
    next_ones = Text(f"after a failure, on {', then '.join(plan.followers)}") if plan.followers else None
    moved = [_transfer_line(each) for each in plan.transfers]
    passed = [Text(f"not {each.provider}: {each.reason}", style="dim") for each in plan.rejected]
    table = _table("effect", "call", "parameters")
    for call in plan.calls:
        params = json.dumps(dict(call.params), indent=2, ensure_ascii=False)
        table.add_row(call.effect, f"{call.service}.{call.operation}", Text(params))
    rest = Text(plan.open_end, style="dim") if plan.open_end else None
    return Group(*(each for each in (head, next_ones, *moved, *passed, table, rest) if each is not None))


def _transfer_line(planned: PlannedTransfer) -> Text:
    size = f" ({size_text(planned.size_bytes)})" if planned.size_bytes is not None else ""
    return Text(f"{planned.source} would be copied to {planned.target}{size}")


def capabilities_data(type_name: str, able: Capabilities) -> dict[str, Any]:
    """A provider's capabilities as JSON values."""
    data = able.model_dump(mode="json", exclude={"options"})
    names = sorted(name for name in able.options.model_fields if name != "extra") if able.options else []
    return {"type": type_name, **data, "options": names}


def provider_table(described: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("name", "type", "kinds", "reads", "writes", "cancel", "progress")
    for name, data in described.items():
        if "error" in data:
            table.add_row(name, data["type"], Text(data["error"], style="red"), "", "", "", "")
            continue
        table.add_row(
            name,
            data["type"],
            ", ".join(data["kinds"]),
            ", ".join(sorted(data["input_schemes"])),
            ", ".join(sorted(data["output_schemes"])),
            _yes(data["cancel"]),
            _yes(data["progress"]),
        )
    return table


def matrix(described: Mapping[str, Mapping[str, Any]]) -> Table:
    """Kinds down, providers across."""
    table = _table("kind", *described)
    kinds = sorted({kind for data in described.values() for kind in data.get("kinds", ())})
    for kind in kinds:
        table.add_row(kind, *(_yes(kind in data.get("kinds", ())) for data in described.values()))
    return table


def short_uri(uri: MediaURI) -> str:
    """A local path as it is typed, any other URI in full."""
    return str(uri.path) if uri.scheme == "file" else str(uri)


def _yes(flag: bool) -> str:
    return "yes" if flag else "–"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _grid(rows: Iterable[tuple[str, str | Text]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value if isinstance(value, Text) else Text(value))
    return grid

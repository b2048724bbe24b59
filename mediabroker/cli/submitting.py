"""Commands that start a job: `upscale`, `transcode`, `snapshot`, `info`, `submit`, each with the same options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from mediabroker.cli.describe import job_card, job_data, plan_card, result_card
from mediabroker.cli.follow import follow
from mediabroker.cli.options import command
from mediabroker.cli.specs import duration_of, labels_of, options_of, read_spec, rendition_fields
from mediabroker.cli.terminal import Terminal
from mediabroker.errors import InvalidJobError
from mediabroker.jobs import JobSpec, MediaInfo, Snapshot, SuperResolution, Transcode, build_spec
from mediabroker.results import VideoResult

if TYPE_CHECKING:
    from mediabroker.broker import Job

__all__ = ["Running", "add_submitting_commands"]

_RUNNING = "How it runs"
Source = Annotated[str, typer.Argument(metavar="IN", help="A path, or a file://, s3:// or oss:// URI.")]
Target = Annotated[str, typer.Argument(metavar="OUT", help="Where the result goes: a path or a URI.")]
Video = Annotated[
    str,
    typer.Argument(metavar="OUT", help="Where the result goes: a path or a URI that ends in .mp4, .m4v, .mov or .mkv."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is at OUT.")]


@dataclass(frozen=True)
class Running:
    """Options of every command that starts a job."""

    provider: Annotated[
        list[str] | None,
        typer.Option(help="Provider instance; several in order of preference.", rich_help_panel=_RUNNING),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(help="PROVIDER.NAME=VALUE, an option of one provider.", rich_help_panel=_RUNNING),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(help="Idempotency key: the same key and job never run twice.", rich_help_panel=_RUNNING),
    ] = None
    label: Annotated[
        list[str] | None, typer.Option(help="name=value to find the job by.", rich_help_panel=_RUNNING)
    ] = None
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not wait: print the job and leave.", rich_help_panel=_RUNNING)
    ] = False
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait at most; the job goes on.", min=0, rich_help_panel=_RUNNING),
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Stop the job after so long: 90m, 6h, 2d.", rich_help_panel=_RUNNING),
    ] = None
    queue_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Give up on a provider that has not begun after so long.", rich_help_panel=_RUNNING
        ),
    ] = None
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would happen and start nothing.", rich_help_panel=_RUNNING)
    ] = False

    def spec(self, cls: type[JobSpec[Any]], fields: dict[str, Any]) -> JobSpec[Any]:
        """The spec with this run's labels; options that were not given keep the kind's defaults."""
        given = {name: value for name, value in fields.items() if value is not None}
        return build_spec(cls, {**given, "labels": labels_of(self.label or ())})

    def limits(self) -> dict[str, timedelta | None]:
        """What `Broker.submit` and `Broker.plan` take as keywords."""
        given = {"deadline": self.deadline, "queue_timeout": self.queue_timeout}
        return {name: None if text is None else duration_of(text) for name, text in given.items()}


Shown = Callable[["Job[Any]", Any], None]


def add_submitting_commands(app: typer.Typer) -> None:
    """Register them in the order in which help lists them."""
    command(app, "upscale")(_upscale)
    command(app, "transcode")(_transcode)
    command(app, "snapshot")(_snapshot)
    command(app, "info")(_info)
    command(app, "submit")(_submit)


def _upscale(
    terminal: Terminal,
    running: Running,
    *,
    source: Source,
    target: Video,
    scale: Annotated[int, typer.Option(help="2 or 4.")] = 2,
    model: Annotated[str | None, typer.Option(help="Super-resolution model; default: fast.")] = None,
    crf: Annotated[float | None, typer.Option(help="Quality of the encoder, 0 to 51; default: 18.")] = None,
    overwrite: Overwrite = False,
    deinterlace: Annotated[bool, typer.Option("--deinterlace", help="Deinterlace first.")] = False,
    debug_intermediates: Annotated[
        bool, typer.Option("--debug-intermediates", help="Keep every intermediate file.")
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.html", help="Also write a page, and a PNG, that compare source and result."),
    ] = None,
) -> None:
    """Raise the resolution of a video, frame for frame."""
    fields = {
        "input": source,
        "output": target,
        "scale": scale,
        "model": model,
        "overwrite": overwrite,
        "deinterlace": deinterlace,
        "debug": debug_intermediates,
        "encoder": None if crf is None else {"crf": crf},
    }
    spec = running.spec(SuperResolution, fields)
    if compare is None:
        _perform(terminal, running, spec)
        return
    if running.detach:
        raise InvalidJobError("--compare needs the result: leave --detach out")
    _check_comparable(spec, compare)

    def show(job: Job[Any], result: VideoResult) -> None:
        files = _compare(terminal, spec, result, compare)
        _show_result(terminal, job, result, files)

    _perform(terminal, running, spec, show=show)


def _transcode(
    terminal: Terminal,
    running: Running,
    *,
    source: Source,
    target: Target,
    hls: Annotated[bool, typer.Option("--hls", help="An HLS ladder; OUT is its master playlist.")] = False,
    rendition: Annotated[
        list[str] | None, typer.Option(help="HEIGHT:BITRATE, as 720:2500k; several for a ladder.")
    ] = None,
    crf: Annotated[float | None, typer.Option(help="Quality of the encoder, 0 to 51; default: 21.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Re-encode a video to mp4, or to an HLS ladder."""
    fields = {
        "input": source,
        "output": target,
        "container": "hls" if hls else "mp4",
        "renditions": [rendition_fields(text) for text in rendition or ()],
        "encoder": None if crf is None else {"crf": crf},
        "overwrite": overwrite,
    }
    _perform(terminal, running, running.spec(Transcode, fields))


def _snapshot(
    terminal: Terminal,
    running: Running,
    *,
    source: Source,
    target: Target,
    at: Annotated[list[float] | None, typer.Option(help="Seconds from the start; repeat for several.")] = None,
    width: Annotated[int | None, typer.Option(help="Width in pixels; default: the source's.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Take still pictures. Several need {index} in OUT's name."""
    fields = {"input": source, "output": target, "at_s": at or None, "width_px": width, "overwrite": overwrite}
    _perform(terminal, running, running.spec(Snapshot, fields))


def _info(terminal: Terminal, running: Running, source: Source) -> None:
    """Describe a media file: container, streams, durations, colour."""
    _perform(terminal, running, running.spec(MediaInfo, {"input": source}))


def _submit(
    terminal: Terminal,
    running: Running,
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A job as JSON or YAML; - reads stdin.")],
) -> None:
    """Run any job that a file describes."""
    described = read_spec(spec)
    labels = {**described.labels, **labels_of(running.label or ())}
    _perform(terminal, running, described.model_copy(update={"labels": labels}))


def _perform(terminal: Terminal, running: Running, spec: JobSpec[Any], *, show: Shown | None = None) -> None:
    with terminal.broker() as broker:
        options = options_of(running.option or (), broker.providers)
        if running.plan:
            plan = broker.plan(spec, provider=running.provider, options=options, **running.limits())
            terminal.show(plan.model_dump(mode="json"), plan_card(plan))
            return
        job = broker.submit(
            spec, provider=running.provider, options=options, idempotency_key=running.key, **running.limits()
        )
        if running.detach:
            terminal.show(job_data(job), job_card(job))
            return
        follow(terminal, job, timeout_s=running.timeout, cancel_on_interrupt=True)
        result = job.result()
        if show is None:
            _show_result(terminal, job, result)
        else:
            show(job, result)


def _show_result(terminal: Terminal, job: Job[Any], result: Any, comparison: tuple[Path, ...] = ()) -> None:
    data = {**job_data(job, result), **({"comparison": [str(path) for path in comparison]} if comparison else {})}
    terminal.show(data, result_card(result), *(Text(f"compare: {path}") for path in comparison))


def _check_comparable(spec: JobSpec[Any], page: Path) -> None:
    """Refuse before the work what would fail after it."""
    if spec.output is None or {spec.input.scheme, spec.output.scheme} != {"file"}:
        raise InvalidJobError("--compare reads both videos: IN and OUT must be local files")
    if page.suffix.lower() not in (".html", ".htm"):
        raise InvalidJobError(f"--compare {page}: the page's name must end in .html")
    if not page.absolute().parent.is_dir():
        raise InvalidJobError(f"--compare {page}: the folder {page.absolute().parent} does not exist")


def _compare(terminal: Terminal, spec: JobSpec[Any], result: VideoResult, page: Path) -> tuple[Path, ...]:
    from mediabroker.compare import compare  # noqa: PLC0415  loads PyAV, numpy and Pillow

    assert isinstance(spec, SuperResolution)
    with terminal.err.status("comparing"):
        return compare(
            spec.input.path,
            spec.output.path,
            page=page,
            method=f"{spec.model} ×{spec.scale}",
            elapsed_s=result.elapsed_s,
        )

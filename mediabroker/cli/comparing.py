"""`compare`: how near an upscaled video comes to its original, or what it kept of its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mediabroker.cli.options import command
from mediabroker.cli.terminal import Terminal
from mediabroker.errors import InvalidJobError

if TYPE_CHECKING:
    from mediabroker.compare.figures import Comparison, Quality

__all__ = ["add_comparing_commands"]

_LINE_EVERY_FRAMES = 250

Progress = Callable[[int, float], None]


def add_comparing_commands(app: typer.Typer) -> None:
    command(app, "compare")(_compare)


def _compare(
    terminal: Terminal,
    *,
    source: Annotated[str, typer.Argument(metavar="SRC", help="The video that was upscaled, a local file.")],
    result: Annotated[str, typer.Argument(metavar="OUT", help="What came of it.")],
    reference: Annotated[
        str | None, typer.Option(metavar="REF", help="The full-resolution original, of OUT's size.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page with pictures, figures and curves.")
    ] = None,
    still: Annotated[Path | None, typer.Option(metavar="STILL.png", help="Write the pictures as one PNG.")] = None,
    every: Annotated[int, typer.Option(help="Measure one frame in so many.", min=1)] = 1,
    limit_s: Annotated[float | None, typer.Option(help="Measure only so many seconds.", min=0.001)] = None,
    vmaf: Annotated[bool, typer.Option("--vmaf/--no-vmaf", help="Measure VMAF too; needs REF.")] = True,
) -> None:
    """Measure an upscaled video: PSNR, SSIM and VMAF over time, and what stayed as it was."""
    from mediabroker.compare import measure, show  # noqa: PLC0415  loads PyAV, numpy and Pillow

    videos = [_local(source), _local(result)]
    original = None if reference is None else _local(reference)
    _check_target(page, "--page", (".html", ".htm"))
    _check_target(still, "--still", (".png",))
    with _progress(terminal) as on_progress:
        comparison = measure(
            *videos, reference=original, every=every, limit_s=limit_s, vmaf=vmaf, on_progress=on_progress
        )
    if page is not None or still is not None:
        show(comparison, page=page, still=still)
    written = [path for path in (page, still) if path is not None]
    data = {**comparison.model_dump(mode="json"), "written": [str(path) for path in written]}
    terminal.show(data, *_cards(comparison), *(Text(str(path)) for path in written))


def _local(name: str) -> Path:
    if "://" in name:
        raise InvalidJobError(f"{name}: compare reads local files only; copy it here and give its path")
    return Path(name)


def _check_target(path: Path | None, option: str, endings: tuple[str, ...]) -> None:
    """Refuse before the work what would fail after it."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise InvalidJobError(f"{option} {path}: the name must end in {endings[0]}")
    if not path.absolute().parent.is_dir():
        raise InvalidJobError(f"{option} {path}: the folder {path.absolute().parent} does not exist")


@contextmanager
def _progress(terminal: Terminal) -> Iterator[Progress | None]:
    """How far the work is, on stderr: a live line where somebody looks, a line now and then where nobody does."""
    if terminal.json:
        yield None
    elif terminal.err.is_terminal:
        with terminal.err.status("measuring") as status:
            yield lambda frames, time_s: status.update(_reached(frames, time_s))
    else:

        def note(frames: int, time_s: float) -> None:
            if frames % _LINE_EVERY_FRAMES == 0:
                terminal.note(_reached(frames, time_s))

        yield note


def _reached(frames: int, time_s: float) -> str:
    return f"measured {frames} frames, up to {time_s:.1f} s"


def _cards(comparison: Comparison) -> Iterator[Table | Text]:
    from mediabroker.compare.words import checks, meaning, verdicts  # noqa: PLC0415  the command has loaded it

    quality = comparison.quality
    truth = "the original" if quality.against == "reference" else "the source; no original was given"
    samples = f"{quality.bits} bit {'full' if quality.full_range else 'limited'} range"
    size = f"{quality.width_px}×{quality.height_px}"
    yield Text(f"{quality.frames} frames against {truth} ({size}, {samples})", style="bold")
    yield _figures(quality)
    yield Text("")
    for sentence in verdicts(quality):
        yield Text(f"{sentence[0].upper()}{sentence[1:]}.")
    yield Text(meaning(quality), style="dim")
    yield Text("")
    kept = Table.grid(padding=(0, 2, 0, 0))
    for check in checks(comparison.agreement):
        kept.add_row(Text(check.name, style="dim"), Text(check.text, style="" if check.kept else "yellow"))
    yield kept


def _figures(quality: Quality) -> Table:
    from mediabroker.compare.words import LABELS, NAMES, decimals  # noqa: PLC0415  the command has loaded it

    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for column in ("", "", *(NAMES[pictures.name] for pictures in quality.pictures)):
        table.add_column(column, justify="right" if column else "left")
    for metric in quality.metrics():
        spreads = [pictures.spread(metric) for pictures in quality.pictures]
        for label, name in (("mean", "mean"), ("worst 1 %", "worst_1pct"), ("lowest", "lowest")):
            figures = [f"{getattr(spread, name):.{decimals(metric)}f}" if spread else "–" for spread in spreads]
            table.add_row(
                LABELS[metric] if name == "mean" else "",
                Text(label, style="dim"),
                *figures,
                style="" if name == "mean" else "dim",
            )
    return table

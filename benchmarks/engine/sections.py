"""The questions and how each is answered: which runs stand beside which, and what their ratio is held against."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine.clip import make_clip
from benchmarks.engine.order import Measured, Order
from benchmarks.engine.race import Summary, race, run_once, run_together

__all__ = ["SECTIONS", "Finding", "Setting"]

_VARIANTS = ("fp32", "int8")
_RATES_FPS = (12.5, 25.0, 60.0)
_ACCELERATED_S, _BARE_S = 10, 2
_MEMORY_FRAMES = 32
"""More than decoder, queues and encoder hold at a time."""
_GOAL_ACCELERATED, _GOAL_SHARED, _GOAL_SERIAL, _GOAL_TOGETHER = 0.95, 0.9, 1.5, 1.0
_GOAL_ON_DISK = {"fp32": 6.0, "int8": 8.0}


class Setting(NamedTuple):
    """What clips are made of, by name, a folder for them, frames of a run, runs of each way, processors in use."""

    footage: dict[str, Path]
    folder: Path
    frames: int
    rounds: int
    threads: int

    def clip(self, frames: int, height: int = 360, footage: str | None = None) -> Path:
        """A clip of that many 16:9 frames, made once; of the first footage unless named."""
        footage = footage or next(iter(self.footage))
        path = self.folder / f"{footage}-{height}p-{frames}.mp4"
        if not path.exists():
            make_clip(self.footage[footage], path, width=height * 16 // 9, height=height, frames=frames)
        return path

    def order(self, way: str, *, name: str | None = None, frames: int | None = None, **fields: object) -> Order:
        """`way` on the 360p clip, unless `fields` say otherwise."""
        frames = frames or self.frames
        clip = fields.pop("clip", None) or self.clip(frames)
        folder = self.folder / (name or way).replace(" ", "-")
        return Order(way, clip, folder, frames, **{"threads": self.threads, **fields})  # type: ignore[arg-type]  # by name


class Finding(NamedTuple):
    """One row: what was compared and the ratio found; `by_cpu` is the same ratio of processor time a frame, which
    other programs on the machine disturb less. `goal` None: nothing is promised."""

    section: str
    what: str
    runs: dict[str, Summary]
    ratio: float | None = None
    goal: float | None = None
    by_cpu: float | None = None


def accelerated(setting: Setting) -> Iterator[Finding]:
    """Share of an accelerator's rate that is left when the whole job runs around it."""
    for rate_fps in _RATES_FPS:
        bare = setting.order("model", frames=int(rate_fps * _BARE_S), rate_fps=rate_fps)
        whole = setting.order("pipeline", frames=int(rate_fps * _ACCELERATED_S), rate_fps=rate_fps)
        model, pipeline = race([bare, whole], rounds=max(1, setting.rounds - 1))
        yield Finding(
            "share of a simulated accelerator",
            f"{rate_fps:g} fps",
            {"model": model, "pipeline": pipeline},
            pipeline.fps / model.fps,
            _GOAL_ACCELERATED,
        )


def shared(setting: Setting) -> Iterator[Finding]:
    """Share of T / (T + decode + encode), with model and encoder on the same processors."""
    for variant in _VARIANTS:
        names = ["model", "decode", "pipeline", "encode"]
        orders = [setting.order(name, variant=variant) for name in names]
        model, decode, pipeline, encode = race(orders, rounds=setting.rounds)
        parts_ms = [model.cpu_ms, decode.cpu_ms, encode.cpu_ms]
        ceiling = model.cpu_ms / sum(parts_ms)
        yield Finding(
            "share of T/(T + decode + encode)",
            f"{variant}, ceiling {ceiling:.2f}",
            {"model": model, "decode": decode, "encode": encode, "pipeline": pipeline},
            pipeline.fps / model.fps / ceiling,
            _GOAL_SHARED,
            sum(parts_ms) / pipeline.cpu_ms,
        )


def rivals(setting: Setting) -> Iterator[Finding]:
    """Against the ways of scripts, on each footage."""
    for footage, variant in product(setting.footage, _VARIANTS):
        clip = setting.clip(setting.frames, footage=footage)
        names = ["pipeline", "serial rgb", "serial yuv"]
        summaries = race([setting.order(name, clip=clip, variant=variant) for name in names], rounds=setting.rounds)
        runs = dict(zip(names, summaries, strict=True))
        # It takes longer than all the others together.
        on_disk = setting.order("frames on disk", clip=clip, variant=variant)
        runs[on_disk.way] = race([on_disk], rounds=(setting.rounds + 1) // 2)[0]
        pipeline = runs.pop("pipeline")
        goals = {"serial rgb": _GOAL_SERIAL, "serial yuv": None, "frames on disk": _GOAL_ON_DISK[variant]}
        for name, rival in runs.items():
            yield Finding(
                "times as fast as a script",
                f"{variant} against {name}, {footage}",
                {name: rival, "pipeline": pipeline},
                pipeline.fps / rival.fps,
                goals[name],
                rival.cpu_ms / pipeline.cpu_ms,
            )


def together(setting: Setting) -> Iterator[Finding]:
    """Two slices in two processes with half the processors each, and both in one process with all; none merges them."""
    for variant in _VARIANTS:
        one, two = [], []
        for _ in range(setting.rounds):
            whole = setting.order("pipeline", variant=variant, slices=2, merged=False)
            one.append(run_once(whole))
            halves = [whole._replace(piece=index, threads=max(1, setting.threads // 2)) for index in range(2)]
            two.append(_joined(run_together(halves)))
        apart, alone = Summary.of(two), Summary.of(one)
        yield Finding(
            "two processes against one",
            variant,
            {"one process": alone, "two processes": apart},
            apart.fps / alone.fps,
            _GOAL_TOGETHER,
            alone.cpu_ms / apart.cpu_ms,
        )


def memory(setting: Setting) -> Iterator[Finding]:
    """The most memory that a process took."""
    for height in (360, 1080, 2160):
        clip = setting.clip(_MEMORY_FRAMES, height // 2)
        runs = {
            variant: race([setting.order("pipeline", clip=clip, frames=_MEMORY_FRAMES, variant=variant)], rounds=1)[0]
            for variant in _VARIANTS
        }
        yield Finding("peak memory", f"{height}p output", runs)


def _joined(runs: list[Measured]) -> Measured:
    return Measured(
        sum(each.frames for each in runs),
        max(each.wall_s for each in runs),
        sum(each.cpu_s for each in runs),
        sum(each.peak_rss_bytes for each in runs),
        runs[0].others,
    )


SECTIONS = {
    "accelerated": accelerated,
    "shared": shared,
    "rivals": rivals,
    "together": together,
    "memory": memory,
}

"""A job on this machine: its document, its plan and its folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mediabroker.errors import ConfigurationError, ErrorCode, MediaError
from mediabroker.media.publish import check_output, output_errors
from mediabroker.media.sniff import check_readable
from neuron_worker.document import JobDocument
from neuron_worker.runtimes import Card, Choice, Runtime, choose, load, load_card
from neuron_worker.runtimes.golden import digest_of_golden
from neuron_worker.video.companions import check_companions
from neuron_worker.video.containers import container_of
from neuron_worker.video.encode import codec_of
from neuron_worker.video.plan import Plan, Source, make_slices
from neuron_worker.video.rgbframes import check_rgb
from neuron_worker.video.slicework import SliceFolder
from neuron_worker.video.source import examine
from neuron_worker.workspace import claim, read_record, sha256_of, write_record

__all__ = ["Job", "source_of"]

_ENGINE = 2
"""Raised when the same plan would give other frames than before."""
_PLAN = "plan.json"
_PLANNING_S = 600.0
"""How long somebody else may take to make the plan; it reads the packets of the source and decodes none."""
_ROOM_FACTOR = 2
"""Slices and result together are at least twice the source."""


@dataclass(frozen=True)
class Job:
    """`root` holds everything of this one plan: another source, other settings or other weights get another one."""

    document: JobDocument
    card: Card
    plan: Plan
    root: Path

    @classmethod
    def open(
        cls, document: JobDocument, stop: Event, *, origin: Source | None = None, stored: Plan | None = None
    ) -> Job:
        """Read the stored plan of the document, or make and store it.

        Everything that can be refused is refused here, weights and output first: reading a source takes longest.

        Args:
            document: what to do.
            stop: ends the reading.
            origin: which bytes the source consists of, if the caller has read them already.
            stored: a plan that another machine has made, to be obeyed.

        Raises:
            MediaError: the source cannot be upscaled as asked, or the output cannot be written; `INPUT_CHANGED`, the
                stored plan is about another source.
            ConfigurationError: the model or the runtime cannot be used here, or the stored plan was made with others.
            InterruptedWorkError: `stop` was set.
            DuplicateWorkError: another process has been making the plan for ten minutes.
        """
        card = load_card(document.job.model, document.job.scale)
        card.verify()
        muxer, source = container_of(document.job.output.path), document.job.input.path
        check_readable(source)
        check_output(document.job.output.path, overwrite=document.job.overwrite, source=source)
        with output_errors(document.work_dir):
            document.work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        origin = origin or source_of(source, stop)
        key = _key_of(document, card, origin)
        if stored is not None:
            _check_stored(stored, key, origin, source)
        root = document.work_dir / key[:16]
        with output_errors(root):
            root.mkdir(exist_ok=True, mode=0o700)
        with claim(root / "plan.lock", "the plan", patience_s=_PLANNING_S, stop=stop):
            plan = stored or read_record(root / _PLAN, Plan)
            if plan is None or plan.key != key:
                check_companions(source, muxer)
                _check_room(document.work_dir, origin)
                plan = _make_plan(document, card, key, origin, stop=stop)
                write_record(root / _PLAN, plan)
        return cls(document, card, plan, root)

    @property
    def folder(self) -> SliceFolder:
        """Where the slices lie."""
        return SliceFolder(self.root, self.plan.key)

    def load_runtime(self) -> Runtime:
        """What the plan says that all slices are made with.

        Raises:
            ConfigurationError: it cannot be used on this machine.
        """
        runtime = load(self.card, Choice(self.plan.runtime, self.plan.variant), workers=self.document.threads)
        if self.plan.golden is not None and digest_of_golden(runtime) != self.plan.golden:
            raise ConfigurationError(
                f"{self.plan.runtime} computes {self.plan.variant} on this processor otherwise than where the plan of "
                "this job was made; run all slices on processors of one kind, or with runtime torch, which has 32 bits"
            )
        return runtime


def source_of(path: Path, stop: Event) -> Source:
    """Which bytes the source consists of."""
    return Source(size_bytes=path.stat().st_size, sha256=sha256_of(path, stop))


def _check_stored(plan: Plan, key: str, origin: Source, source: Path) -> None:
    if plan.source != origin:
        raise MediaError(ErrorCode.INPUT_CHANGED, f"{source} is not what the plan was made for")
    if plan.key != key:
        raise ConfigurationError("the plan was made with another release, other weights or other settings than here")


_OF_NO_SLICE = {"kind", "input", "output", "overwrite", "debug", "labels", "user_data"}
"""Fields that change no slice; every other one, and so each new option, makes slices of their own."""


def _key_of(document: JobDocument, card: Card, source: Source) -> str:
    settings = document.job.model_dump(mode="json", exclude=_OF_NO_SLICE) | {"runtime": document.runtime}
    content = {"engine": _ENGINE, "source": source.sha256, "settings": settings, "weights": card.digest}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _make_plan(document: JobDocument, card: Card, key: str, origin: Source, *, stop: Event) -> Plan:
    facts = examine(document.job.input.path, deinterlace=document.job.deinterlace)
    codec_of(document.job.encoder, facts, document.job.scale)
    if card.channels > 1:
        check_rgb(document.job.input.path, facts)
    frame_px = (facts.height_px, facts.width_px)
    choice = choose(card, runtime=document.runtime, deep=facts.is_deep, frame_px=frame_px)
    runtime = load(card, choice, workers=1)
    slices, step, last_ticks = make_slices(document.job.input.path, facts, document.job.slice_s, stop=stop)
    return Plan(
        key=key,
        source=origin,
        facts=facts,
        slices=slices,
        step=step,
        last_ticks=last_ticks,
        runtime=choice.runtime,
        variant=choice.variant,
        weights=runtime.weights,
        golden=digest_of_golden(runtime),
    )


def _check_room(folder: Path, source: Source) -> None:
    free = shutil.disk_usage(folder).free
    if free < _ROOM_FACTOR * source.size_bytes:
        need = f"{_ROOM_FACTOR * source.size_bytes >> 20} MiB"
        raise MediaError(ErrorCode.OUT_OF_RESOURCES, f"{folder} has {free >> 20} MiB free; at least {need} are needed")

"""Smart production, done: the effects of `mediabroker.media`, and what they found in the vendor's shapes.

Source: SubmitIProductionJob, "Result" of each function (2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mediabroker.media.effects import EFFECTS, EffectResult, EffectTask, run_effect
from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.jobs import Outcome
from mediabroker_alibaba.simulator.mps.work.desk import Desk
from mediabroker_alibaba.simulator.mps.work.naming import KeyNamer

__all__ = ["produce"]

_CHORUS = "副歌"
"""The title that MusicSegmentDetect gives a chorus."""


def produce(desk: Desk) -> Outcome:
    """Do the function, store its files in their order, and tell what it found."""
    job = desk.job
    if job.function not in EFFECTS:
        return Outcome("NotSimulated", f"{job.function} needs the vendor's model; the simulator does not pretend")
    made = desk.folder / "made"
    made.mkdir()
    pattern = job.output.key if job.output else "{sequenceId}"
    assert job.input is not None
    namer = KeyNamer(pattern, job.input.key, job.started_at or job.created_at, made)
    task = EffectTask(
        source=desk.source,
        params=cast("Mapping[str, Any]", job.config),
        outputs=namer,
        fetch=desk.fetch,
        stop=desk.stop,
        ffmpeg=desk.ffmpeg,
    )
    result = run_effect(job.function, task)
    keys = tuple(namer.key_of(path) for path in result.files)
    for path, key in zip(result.files, keys, strict=True):
        desk.store(key, path)
    return Outcome(data=_data(job.function, result, keys), keys=keys)


def _data(function: str, result: EffectResult, keys: tuple[str, ...]) -> Json:
    found: Any = result.data
    if function == "Cover":
        return [
            {"Score": each["score"], "Time": f"{1000 * each['time_s']:.2f}", "Url": key}
            for key, each in zip(keys, found, strict=True)
        ]
    if function == "MusicSegmentDetect":
        sections: list[Json] = [{"start": each["start_s"], "end": each["end_s"], "title": _CHORUS} for each in found]
        return {"result": sections}
    files: list[Json] = [{"file": key} for key in keys]
    return {"result": files}

"""How the provider contract tests this provider: `pytest --pyargs mediabroker.testing.contract --provider local`.

Real processes and real media in a folder of their own. Only the tests load this module.
"""

from __future__ import annotations

import shlex
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
from PIL import Image
from pydantic import JsonValue

from mediabroker.jobs import JobSpec
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.spi import Call, CancelOutcome, Member, Observation
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start, watch

__all__ = ["LocalRig"]

_OUTPUTS = {
    "super_resolution": "x2.mp4",
    "transcode": "t.mp4",
    "snapshot": "s.png",
    "media_info": "i.json",
    "audio_beat_detection": "beats.txt",
    "cover": "cover-{sequenceId}.jpg",
    "image_cartoonize": "drawn.png",
    "image_h2v": "portrait.png",
    "smart_production": "clip.mp4",
    "speech_denoise": "clean.m4a",
    "video_green_screen_matting": "cut.webm",
}
_HEARD = frozenset({"audio_beat_detection", "music_segment_detect", "speech_denoise"})
_WITHOUT_OUTPUT = frozenset({"music_segment_detect"})
_BOX = {"x": 0.1, "y": 0.1, "width": 0.3, "height": 0.3}
_MORE: Mapping[str, Mapping[str, Any]] = {
    "smart_production": {"function": "VideoClip"},
    "video_delogo": {"boxes": [_BOX]},
    "video_detext": {"boxes": [_BOX]},
}
_WIDTH_PX, _HEIGHT_PX, _FRAMES = 32, 24, 6
_PAUSE_S = 0.02


class LocalRig(Rig):
    """A root folder of its own, and an ffmpeg that waits at a gate: a transcode runs for as long as a check needs."""

    type: ClassVar[str] = "local"
    kind: ClassVar[str] = "media_info"
    idempotent_creates: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clip = _make_clip(folder / "clip.mp4")
        self._picture, self._sound = _make_picture(folder / "in.png"), _make_sound(folder / "tone.wav")
        self._gate = folder / "gate"
        self._root = folder / "root"
        self.settings: dict[str, JsonValue] = {
            "root": str(self._root),
            "ffmpeg": str(_gated_ffmpeg(folder / "gated-ffmpeg", self._gate)),
            "cancel_grace_s": 0.2,
        }
        self._made = 0
        self._blocked = False

    def spec(self, kind: str) -> JobSpec[Any]:
        if kind != self.kind:
            self._gate.touch()
        if kind.startswith("image_"):
            return self._spec(kind, self._picture)
        return self._spec(kind, self._sound if kind in _HEARD else self._clip)

    def _spec(self, kind: str, source: Path) -> JobSpec[Any]:
        self._made += 1
        fields: dict[str, Any] = {"kind": kind, "input": str(source), **_MORE.get(kind, {})}
        if kind not in _WITHOUT_OUTPUT:
            fields["output"] = str(self._folder / f"{self._made}-{_OUTPUTS.get(kind, 'made.mp4')}")
        if kind == "audio_mixing":
            fields["track"] = str(self._sound)
        return JobSpec.parse(fields)

    def arrange(self, driver: Driver, state: JobState) -> Started:
        if state is JobState.RUNNING:
            return self._hold(driver)
        if state in (JobState.QUEUED, JobState.CANCELLED) and not self._blocked:
            self._hold(driver)
        started = start(driver, self._hopeless() if state is JobState.FAILED else self.spec(self.kind))
        if state is JobState.CANCELLED:
            driver.run(driver.provider.cancel(started.members))
        if state.is_terminal:
            watch(self, driver, started)
        return started

    def _hold(self, driver: Driver) -> Started:
        """A job that runs until the gate opens; only one runs at a time, so those after it stay queued."""
        self._blocked = True
        started = start(driver, self._spec("transcode", self._clip))
        watch(self, driver, started, until=lambda state: state is JobState.RUNNING)
        return started

    def _hopeless(self) -> JobSpec[Any]:
        broken = self._folder / "broken.mp4"
        broken.write_bytes(self._clip.read_bytes()[:200])
        return self._spec("snapshot", broken)

    def count_jobs(self) -> int:
        return len(self._tokens())

    def _tokens(self) -> list[str]:
        jobs = self._root / "jobs"
        return [each.name for each in jobs.iterdir() if each.name[0] != "."] if jobs.is_dir() else []

    def unknown_id(self) -> str:
        return "aaaaaaaaaaaaaaaaaaaaaaaa-run"

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        lost = self._spec("media_info", self._folder / "nowhere.mp4")
        unnamed: Call[Any] = Call("machine", "start", {"token": "../etc", "spec": {}}, "create", "run")
        return [lambda: start(driver, lost), lambda: driver.perform(unnamed)]

    def close(self) -> None:
        """Cancel whatever still runs, and wait for its end: no process outlives the test."""
        members = [Member(role="run", native_id=token) for token in self._tokens()]
        with Driver(self.open()) as driver:
            if members and driver.run(driver.provider.cancel(members)) is CancelOutcome.REQUESTED:
                give_up_at_s = time.monotonic() + self.patience_s
                while not all(_is_over(each) for each in driver.run(driver.provider.query(members))):
                    assert time.monotonic() < give_up_at_s, f"jobs in {self._root} do not end"
                    time.sleep(_PAUSE_S)


def _is_over(seen: Observation) -> bool:
    return seen.state is not None and seen.state.is_terminal


def _gated_ffmpeg(script: Path, gate: Path) -> Path:
    """An ffmpeg that works once `gate` is there, and tells at any time what it can do."""
    wait = f'case "$*" in *-encoders*) ;; *) while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.05; done ;; esac'
    script.write_text(f'#!/bin/sh\n{wait}\nexec {shlex.quote(str(find_ffmpeg()))} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


def _make_clip(path: Path) -> Path:
    """A few frames that get brighter, with green borders; `yuv420p` in H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = _WIDTH_PX, _HEIGHT_PX, "yuv420p"
        for index in range(_FRAMES):
            picture = np.full((_HEIGHT_PX, _WIDTH_PX, 3), (10, 200, 20), dtype=np.uint8)
            picture[6:-6, 8:-8] = 40 * index
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _make_picture(path: Path) -> Path:
    Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(32, 48).astype(np.uint8)).save(path)
    return path


def _make_sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 11_025, 0, "NONE", ""))
        file.writeframes((9000 * np.sin(np.arange(11_025) / 5)).astype("<i2").tobytes())
    return path

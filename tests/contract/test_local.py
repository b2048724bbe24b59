"""The embedded default passes the provider contract, with real processes and real media."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediabroker.jobs import JobSpec
from mediabroker.spi import Call
from mediabroker.states import JobState
from mediabroker.testing.contract import ProviderContract
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start, watch
from tests.clips import make_clip, make_zero_frames
from tests.unit.local.rig import Workshop

OUTPUTS = {"super_resolution": "x2.mp4", "transcode": "t.mp4", "snapshot": "s.png", "media_info": "i.json"}


class LocalRig(Rig):
    """A root folder of its own. Transcodes wait at the workshop's gate, so a job runs for as long as a check needs."""

    type = "local"
    kind = "media_info"
    idempotent_creates = True

    def __init__(self, folder: Path, clip: Path) -> None:
        self._workshop = Workshop(folder, clip)
        gated = self._workshop.gated().provider.settings["ffmpeg"]
        self.settings = {"root": str(self._workshop.root), "ffmpeg": gated, "cancel_grace_s": 0.2}
        self._made = 0
        self._blocked = False

    def spec(self, kind: str) -> JobSpec[Any]:
        self._made += 1
        output = self._workshop.folder / f"{self._made}-{OUTPUTS[kind]}"
        if kind == "transcode":
            self._workshop.open_gate()
        return JobSpec.parse({"kind": kind, "input": str(self._workshop.clip), "output": str(output)})

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
        self._blocked = True
        started = start(driver, self._workshop.transcode(f"held-{self._made}.mp4"))
        watch(self, driver, started, until=lambda state: state is JobState.RUNNING)
        return started

    def _hopeless(self) -> JobSpec[Any]:
        empty = make_zero_frames(self._workshop.folder / "empty.mp4")
        return self.spec("snapshot").model_copy(update={"input": type(self._workshop.transcode().input)(empty)})

    def count_jobs(self) -> int:
        jobs = self._workshop.root / "jobs"
        return sum(1 for each in jobs.iterdir() if not each.name.startswith(".")) if jobs.is_dir() else 0

    def unknown_id(self) -> str:
        return "aaaaaaaaaaaaaaaaaaaaaaaa-run"

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        lost = self.spec("media_info").model_copy(update={"input": "file:///nowhere/a.mp4"})
        unnamed = Call("machine", "start", {"token": "../etc", "spec": {}}, "create", "run")
        return [lambda: start(driver, lost), lambda: driver.perform(unnamed)]

    def close(self) -> None:
        self._workshop.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "tiny.mp4", width=32, height=24, frames=6)


class TestLocal(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path, clip: Path) -> Iterator[Rig]:
        with closing(LocalRig(tmp_path, clip)) as rig:
            yield rig

"""How the contract suite tests this provider: `pytest --pyargs mediabroker.testing.contract --provider acme-vault`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from acme_vault import ArchiveCopy, VaultProvider
from acme_vault.simulator import API_KEY, Vault
from mediabroker.spi import Call
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start

STEPS = {JobState.QUEUED: 0, JobState.RUNNING: 1, JobState.SUCCEEDED: 2, JobState.FAILED: 2, JobState.CANCELLED: 0}


class VaultRig(Rig):
    """A vault of its own for each test; jobs stand still until they are nudged."""

    type = "acme-vault"
    kind = "archive_copy"
    secret = API_KEY
    idempotent_creates = True
    has_callbacks = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._vault = Vault()
        self._made = 0
        self.settings = {"endpoint": self._vault.endpoint, "api_key": API_KEY}

    def spec(self, kind: str) -> ArchiveCopy:
        self._made += 1
        source = self._folder / f"film-{self._made}.mp4"
        source.write_bytes(b"frames")
        return ArchiveCopy(input=source, output=source.with_suffix(".kept"))

    def arrange(self, driver: Driver, state: JobState) -> Started:
        spec = self.spec("archive_copy")
        if state is JobState.FAILED:
            spec.input.path.unlink()
        started = start(driver, spec)
        for _ in range(STEPS[state]):
            self.nudge(started)
        if state is JobState.CANCELLED:
            driver.run(driver.provider.cancel(started.members))
        return started

    def nudge(self, started: Started) -> None:
        self._vault.step(started.members[0].native_id)

    def count_jobs(self) -> int:
        return len(self._vault.copies)

    def unknown_id(self) -> str:
        return "fv-999999"

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        no_target = Call("vault", "POST /copies", {"token": "t"}, "create", "copy")
        stranger = VaultProvider("stranger", {**self.settings, "api_key": "wrong"}).connect("vault")

        def intrude() -> None:
            try:
                stranger.perform(Call("vault", "GET /copies", {"ids": "a"}))
            finally:
                stranger.close()

        return [lambda: driver.perform(no_target), intrude]

    def messages(self, started: Started) -> Sequence[Mapping[str, JsonValue]]:
        return [{"from": "acme-vault", "film": dict(self._vault.copies[started.members[0].native_id])}]

    def close(self) -> None:
        self._vault.close()

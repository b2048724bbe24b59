"""A submission of the super-resolution service that breaks at any of its records goes on to exactly one chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from mediabroker.errors import MediaBrokerError, UnavailableError
from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI, new_job_id, token_for
from mediabroker.storage.file import FileStore
from mediabroker.testing.driver import Driver
from mediabroker_aws import BatchOptions
from mediabroker_aws.functions.upscale.ledger import Ledger, Ticket
from mediabroker_aws.functions.upscale.vendor import BatchVendor, open_journal, submit
from mediabroker_aws.simulator.rigs.batch import BatchRig
from tests.unit.broker.conftest import HandClock

_SETTLE_S = 90.0


class KilledError(BaseException):
    """What a process does not survive."""


class Breaking:
    """Files that break at one call: before it takes effect, or after."""

    def __init__(self, at: int, error: BaseException, *, after: bool) -> None:
        self._store, self._at, self._error, self._after = FileStore(), at, error, after
        self.calls, self.has_broken = 0, False

    def _break(self, *, after: bool) -> None:
        self.calls += not after
        if self.calls == self._at and after is self._after:
            self.has_broken = True
            raise self._error

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        return self._store.stat(uri)

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        self._break(after=False)
        yield from self._store.read(uri, start=start)
        self._break(after=True)

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        self._break(after=False)
        uri.path.parent.mkdir(parents=True, exist_ok=True)
        stat = self._store.write(uri, chunks, overwrite=overwrite, if_version=if_version)
        self._break(after=True)
        return stat

    def delete(self, uri: MediaURI) -> None:
        self._store.delete(uri)

    def close(self) -> None:
        self._store.close()


class Desk:
    """Submits tickets to a simulated Batch, with records in files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, HandClock()
        self.rig = BatchRig(folder)
        self.rig.simulator.lifecycle.clock = self.clock
        self.driver = Driver(self.rig.open())

    def ticket(self) -> Ticket:
        spec: Any = self.rig.spec("super_resolution")
        job_id, now = new_job_id(), self.clock.now()
        return Ticket(
            job_id=job_id,
            fingerprint="f",
            key="in/clip.mp4",
            spec=spec,
            options=BatchOptions(),
            created_at=now,
            is_new=True,
        )

    def submit(self, ticket: Ticket, store: Any) -> None:
        ledger = Ledger(store, MediaURI(self.folder / "ledger"))
        provider, perform = self.driver.provider, self.driver.perform
        known = ledger.ticket(ticket.job_id) or ticket
        vendor = BatchVendor(provider, perform, known, settle_s=_SETTLE_S)
        submit(vendor, known, open_journal(ledger, known), self.clock)

    def chain(self, ticket: Ticket) -> list[tuple[str, str]]:
        """Which steps Batch has accepted, and what became of them."""
        ours = [job for job in self.rig.simulator.jobs() if token_for(ticket.job_id, 1) in job.name]
        return [(job.name.rpartition("-")[2], job.status) for job in ours]

    def close(self) -> None:
        self.driver.close()
        self.rig.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Desk(tmp_path)) as desk:
        yield desk


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [UnavailableError("closed"), KilledError()], ids=["trouble", "death"])
def test_whatever_record_it_breaks_at_there_is_one_chain_in_the_end(
    desk: Desk, error: BaseException, after: bool
) -> None:
    whole = Breaking(0, error, after=after)
    desk.submit(desk.ticket(), whole)
    broken = 0
    for at in range(1, whole.calls + 1):
        ticket = desk.ticket()
        breaking = Breaking(at, error, after=after)
        with suppress(MediaBrokerError, KilledError):
            desk.submit(ticket, breaking)
        broken += breaking.has_broken
        assert all(status != "FAILED" for _, status in desk.chain(ticket)), f"record {at}: something was ended"
        for _ in range(3):  # two searches a settle time apart, then what is left
            with suppress(MediaBrokerError):
                desk.submit(ticket, Breaking(0, error, after=after))
            desk.clock.advance(_SETTLE_S + 1)
        desk.submit(ticket, Breaking(0, error, after=after))
        assert [step for step, _ in desk.chain(ticket)] == ["array", "merge"], f"record {at}"
        assert all(status != "FAILED" for _, status in desk.chain(ticket)), f"record {at}: something was ended"
    assert broken >= 6  # those that are written are broken at in any case

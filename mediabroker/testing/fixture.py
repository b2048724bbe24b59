"""The broker of the fixture `mediabroker`: a real one, on a scripted vendor, with a clock that is moved by hand."""

from __future__ import annotations

from pathlib import Path

from mediabroker.broker import Broker
from mediabroker.config import BrokerSettings
from mediabroker.testing.clock import HandClock
from mediabroker.testing.scripted import ScriptedProvider, ScriptedVendor

__all__ = ["ScriptedBroker"]


class ScriptedBroker(Broker):
    """`vendor` scripts jobs and holds what lies at `s3://` and `oss://`; `clock.advance(seconds)` lets time pass."""

    def __init__(self, folder: Path) -> None:
        self.vendor, self.clock = ScriptedVendor(), HandClock()
        super().__init__(
            BrokerSettings(store=f"sqlite:///{folder / 'mediabroker.db'}"),
            providers={"scripted": ScriptedProvider(self.vendor)},
            stores={"s3": self.vendor.objects, "oss": self.vendor.objects},
            clock=self.clock,
        )

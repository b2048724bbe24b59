"""What all simulated services share: one clock, one list of tenants, one set of faults, one memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.faults import Faults
from mediabroker_alibaba.simulator.ledger import Ledger
from mediabroker_alibaba.simulator.nonces import NonceMemory
from mediabroker_alibaba.simulator.tenants import Tenants

__all__ = ["World"]


@dataclass
class World:
    """One simulated cloud. A service is made with it and answers the requests of one region's endpoint."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    faults: Faults = field(default_factory=Faults)
    ledger: Ledger = field(default_factory=Ledger)
    stopping: Event = field(default_factory=Event)
    """Set when the simulator ends: whoever holds an answer back lets go."""

    def __post_init__(self) -> None:
        self.tenants = Tenants(self.clock)
        self.nonces = NonceMemory(self.clock)

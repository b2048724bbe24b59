"""ApsaraVideo Media Processing (MPS, product code Mts) on loopback: RPC API of 2014-06-18."""

from __future__ import annotations

from mediabroker_alibaba.simulator.mps.jobs import Executor, Job, Outcome, Place
from mediabroker_alibaba.simulator.mps.service import MpsService
from mediabroker_alibaba.simulator.mps.work.scripted import ScriptedExecutor

__all__ = ["Executor", "Job", "MpsService", "Outcome", "Place", "ScriptedExecutor"]

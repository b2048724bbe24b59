"""What MPS keeps: for each account in each region its pipelines, templates and jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from mediabroker_alibaba.simulator.mps.jobs import Job, Template
from mediabroker_alibaba.simulator.mps.pipelines import Pipeline

__all__ = ["Shelf", "State"]


@dataclass
class Shelf:
    """Of one account in one region."""

    default_pipeline: Pipeline
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pipelines[self.default_pipeline.id] = self.default_pipeline


class State:
    """Every shelf; whoever reads or changes them holds `lock`."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._shelves: dict[tuple[str, str], Shelf] = {}

    def shelf(self, account: str, region: str, at: datetime) -> Shelf:
        """The account's part of a region, made at its first call."""
        with self.lock:
            if (account, region) not in self._shelves:
                self._shelves[account, region] = Shelf(Pipeline("mts-service-pipeline", at))
            return self._shelves[account, region]

"""What is written beside weights: how they were trained, what they score, which bytes they are."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Stage", "TrainingRecord", "machine_kind", "read_card", "sha256", "write_card"]


@dataclass(frozen=True)
class Stage:
    """One run of the training loop; a model may have several, each starting from the weights of the one before."""

    command: str
    data: str
    machine: str
    steps: int
    seconds: float


@dataclass(frozen=True)
class TrainingRecord:
    """Everything that was done to a set of weights, oldest stage first."""

    model: str
    scale: int
    stages: list[Stage] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @classmethod
    def beside(cls, weights: Path) -> TrainingRecord | None:
        """The record that belongs to a weights file, if it has one."""
        path = _record_path(weights)
        if not path.exists():
            return None
        content = json.loads(path.read_text())
        stages = [Stage(**stage) for stage in content.pop("stages")]
        return cls(**content, stages=stages)

    def write_beside(self, weights: Path) -> None:
        """Store the record next to its weights file."""
        _record_path(weights).write_text(json.dumps(asdict(self), indent=2) + "\n")


def machine_kind(device: str, threads: int) -> str:
    """A line that says what trained: the GPU's kind, or threads on a kind of CPU."""
    if device != "cpu":
        return device
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{threads} thread{'s' if threads > 1 else ''} of {name}"


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def read_card(path: Path) -> dict[str, Any]:
    """A model's card data."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Store card data in a stable layout, so that a change of one figure is a change of one line."""
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def _record_path(weights: Path) -> Path:
    return weights.with_suffix(".training.json")

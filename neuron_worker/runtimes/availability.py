"""What a way of executing networks can say about itself before it is loaded."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from neuron_worker.runtimes.protocol import Runtime
from neuron_worker.runtimes.weights import Card

__all__ = ["Engine", "Task"]


class Task(NamedTuple):
    """What is to be upscaled: by which model, whether 8 bits a sample are too few, and `(height, width)` in pixels of
    the source where that is known."""

    card: Card
    deep: bool = False
    frame_px: tuple[int, int] | None = None


class Engine(Protocol):
    """One runtime's entry in the survey. Everything here may import its package, which is known to be installed."""

    def obstacle(self) -> str | None:
        """Why it cannot be used on this machine, or None."""
        ...

    def describe(self) -> str:
        """What is there, in a few words: versions, devices. Called where there is no obstacle."""
        ...

    def choose_variant(self, task: Task) -> str:
        """The form of the weights to run the task with.

        Raises:
            ConfigurationError: it cannot run this task; the message says why.
        """
        ...

    def offer(self, task: Task) -> str | None:
        """As `choose_variant`, for `auto`: None where a runtime further down the list is the better choice."""
        ...

    def load(self, card: Card, variant: str, workers: int) -> Runtime:
        """The runtime, ready to run.

        Raises:
            ConfigurationError: weights or compiled graphs are missing, changed, or wrong on this machine.
        """
        ...

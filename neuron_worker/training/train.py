"""The training loop: Charbonnier loss, Muon, cosine learning rate, exponential average of the weights.

A run is interrupted at any moment and continued from its checkpoint, which holds all that moves.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from neuron_worker.training.checkpoint import load_checkpoint, save_checkpoint
from neuron_worker.training.material.dataset import Mixture, Pool, patches
from neuron_worker.training.model.branches import merged
from neuron_worker.training.model.network import LumaUpscaler, build_network
from neuron_worker.training.optimiser import Muon
from neuron_worker.training.precision import arithmetic, precision_name
from neuron_worker.training.scoring.validation import Validation

__all__ = ["Outcome", "Settings", "train"]

_log = logging.getLogger(__name__)

_REPORT_EVERY_S = 20.0
_SAVE_EVERY_S = 60.0
_WARM_UP_STEPS = 100
# Quadratic below about 2.5 grey levels, linear above: PSNR is what is scored, but a wrong edge must not rule the mean.
_CHARBONNIER_EPSILON = 0.01


@dataclass(frozen=True)
class Settings:
    """What to train and for how long; the run ends at ``steps`` or after ``minutes``, whichever comes first.

    One of the two must be finite.
    """

    model: str
    scale: int
    minutes: float = math.inf
    steps: float = math.inf
    seed: int = 1
    device: str = "cpu"
    threads: int = 1
    learning_rate: float = 0.006
    branches: bool = True
    average_decay: float = 0.999
    mixture: Mixture = field(default_factory=Mixture)
    start_from: Path | None = None

    @property
    def precision(self) -> str:
        """The arithmetic of convolutions, ``bf16`` or ``fp32``."""
        return precision_name(self.device)


@dataclass(frozen=True)
class Outcome:
    """The averaged network and what it took."""

    network: LumaUpscaler
    steps: int
    seconds: float


def train(settings: Settings, pool: Pool, validation: Validation, weights: Path) -> Outcome:
    """Train and return the averaged weights, writing them to ``weights`` every minute and at the end.

    A checkpoint beside ``weights`` is continued when there is one, and removed at the end. With a limit in steps the
    result of an uninterrupted run depends on the settings and the pool alone (per device, thread count and precision);
    a limit in minutes makes the number of steps, and so the weights, depend on the machine.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    network = build_network(settings.model, settings.scale)
    if settings.start_from is not None:
        _start_from(network, load_file(settings.start_from))
    if settings.branches:
        network.branch()
    network = network.to(torch.device(settings.device))
    _store_channels_last(network)
    run = _Run(settings, network)
    checkpoint = weights.with_suffix(".checkpoint")
    if checkpoint.exists():
        run.restore(load_checkpoint(checkpoint))
    _loop(run, settings, pool, validation, weights)
    checkpoint.unlink(missing_ok=True)
    final = build_network(settings.model, settings.scale)
    final.load_state_dict(run.averaged())
    return Outcome(final, run.steps, run.elapsed_s)


def _loop(run: _Run, settings: Settings, pool: Pool, validation: Validation, weights: Path) -> None:
    _log.info("training %s x%d in %s", settings.model, settings.scale, settings.precision)
    # A continued run must not meet the patches of its beginning again.
    batches = patches(pool, settings.mixture, settings.scale, np.random.default_rng([settings.seed, run.steps]))
    saved_at = time.monotonic()
    while not run.finished:
        low, high = (torch.from_numpy(half).to(settings.device) for half in next(batches))
        run.step(low, high)
        if time.monotonic() - saved_at > _SAVE_EVERY_S:
            saved_at = time.monotonic()
            save_checkpoint(weights.with_suffix(".checkpoint"), run.state())
            save_file(run.averaged(), weights)
        if validation.due(run.elapsed_s) or run.finished:
            validation.measure(run.averaged(), run.steps, run.elapsed_s)
    save_file(run.averaged(), weights)


class _Run:
    """The moving parts of one training run."""

    def __init__(self, settings: Settings, network: LumaUpscaler) -> None:
        self.steps = 0
        self._average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self._settings = settings
        self._network = network
        self._precision = settings.precision
        self._optimiser = Muon(network.parameters())
        self._started = time.monotonic()
        self._reported_at = self._started
        # Kept as tensors: reading a number every step would make a GPU wait every step.
        self._loss_sum = self._square_sum = torch.zeros((), device=settings.device)
        self._since_report = 0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0..1."""
        settings = self._settings
        return min(1.0, max(self.steps / settings.steps, self.elapsed_s / (60 * settings.minutes)))

    @property
    def finished(self) -> bool:
        return self.progress >= 1

    def state(self) -> dict[str, Any]:
        """Return all that moves, for a checkpoint."""
        network, optimiser = self._network.state_dict(), self._optimiser.state_dict()
        progress = {"steps": self.steps, "elapsed_s": self.elapsed_s}
        return {"network": network, "average": self._average, "optimiser": optimiser, **progress}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where a checkpoint was taken."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._average = {name: value.to(self._settings.device) for name, value in state["average"].items()}
        self.steps, self._started = state["steps"], time.monotonic() - state["elapsed_s"]
        _log.info("continuing after step %d", self.steps)

    def step(self, low: Tensor, high: Tensor) -> None:
        """One update of the weights and of their average."""
        rate = self._settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * self.progress)) / 2)
        with arithmetic(self._settings.device, self._precision):
            enlarged = self._network(low)
        error = enlarged.float() - high
        loss = (error.square() + _CHARBONNIER_EPSILON**2).sqrt().mean() - _CHARBONNIER_EPSILON
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step(rate * min(1.0, (self.steps + 1) / _WARM_UP_STEPS))
        self.steps += 1
        self._update_average()
        self._loss_sum = self._loss_sum + loss.detach()
        self._square_sum = self._square_sum + error.detach().square().mean()
        self._since_report += 1
        self._report()

    def _update_average(self) -> None:
        # The average starts short and lengthens, so that it does not drag the random beginning along.
        decay = min(self._settings.average_decay, self.steps / (self.steps + 10))
        with torch.no_grad():
            for name, value in self._network.state_dict().items():
                self._average[name].lerp_(value, 1 - decay)

    def averaged(self) -> dict[str, Tensor]:
        """A copy of the averaged weights of plain convolutions, in main memory and plain layout."""
        plain = merged(self._average)
        return {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in plain.items()}

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported_at < _REPORT_EVERY_S and not self.finished:
            return
        loss, square = (float(total) / self._since_report for total in (self._loss_sum, self._square_sum))
        left_s = self.elapsed_s * (1 / max(self.progress, 1e-9) - 1)
        _log.info(
            "step %d: loss %.5f, patch PSNR %.2f dB, %.1f steps/s, %d:%02d left",
            self.steps,
            loss,
            -10 * math.log10(square),
            self._since_report / (now - self._reported_at),
            *divmod(int(left_s), 60),
        )
        self._reported_at, self._since_report = now, 0
        self._loss_sum, self._square_sum = torch.zeros_like(self._loss_sum), torch.zeros_like(self._square_sum)


def _start_from(network: LumaUpscaler, weights: dict[str, Tensor]) -> None:
    """Take every tensor of the same shape; a network of another scale lends its body and keeps its own tail."""
    own = network.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    network.load_state_dict({**own, **fitting})


def _store_channels_last(network: LumaUpscaler) -> None:
    # The layout that CPU and GPU convolutions like best; it saves a quarter of the time of a step.
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

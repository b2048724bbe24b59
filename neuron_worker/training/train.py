"""The training loop: Charbonnier loss, Muon, cosine learning rate, exponential average of the weights."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from neuron_worker.training.dataset import Mixture, Pool, patches
from neuron_worker.training.network import LumaUpscaler, build_network
from neuron_worker.training.optimiser import Muon

__all__ = ["Outcome", "Settings", "train"]

_log = logging.getLogger(__name__)

_REPORT_EVERY_S = 20.0
_SAVE_EVERY_S = 120.0
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
    learning_rate: float = 0.02
    average_decay: float = 0.999
    mixture: Mixture = field(default_factory=Mixture)
    start_from: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """The averaged network and what it took."""

    network: LumaUpscaler
    steps: int
    seconds: float


def train(settings: Settings, pool: Pool, checkpoint: Path) -> Outcome:
    """Train and return the averaged weights, writing them to ``checkpoint`` every two minutes and at the end.

    With a limit in steps the result depends on the settings and the pool alone (per device and thread count); a limit
    in minutes makes the number of steps, and so the weights, depend on the machine.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    network = build_network(settings.model, settings.scale)
    if settings.start_from is not None:
        network.load_state_dict(load_file(settings.start_from))
    network = network.to(device)
    _store_channels_last(network)
    run = _Run(settings, network)
    random = np.random.default_rng(settings.seed)
    batches = patches(pool, settings.mixture, settings.scale, random)
    saved_at = time.monotonic()
    while not run.finished:
        low, high = (torch.from_numpy(half).to(device) for half in next(batches))
        run.step(low, high)
        if time.monotonic() - saved_at > _SAVE_EVERY_S:
            saved_at = time.monotonic()
            save_file(run.averaged(), checkpoint)
    save_file(run.averaged(), checkpoint)
    final = build_network(settings.model, settings.scale)
    final.load_state_dict(run.averaged())
    return Outcome(final, run.steps, run.elapsed_s)


class _Run:
    """The moving parts of one training run."""

    def __init__(self, settings: Settings, network: LumaUpscaler) -> None:
        self.steps = 0
        self._average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self._settings = settings
        self._network = network
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

    def step(self, low: Tensor, high: Tensor) -> None:
        """One update of the weights and of their average."""
        rate = self._settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * self.progress)) / 2)
        error = self._network(low) - high
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
        """A copy of the averaged weights, in main memory and plain layout."""
        return {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in self._average.items()}

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


def _store_channels_last(network: LumaUpscaler) -> None:
    # The layout that CPU and GPU convolutions like best; it saves a quarter of the time of a step.
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

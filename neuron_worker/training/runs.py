"""The `train` command: pool, loop, weights and record in one folder."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from safetensors.torch import save_file

from neuron_worker.training.material.dataset import Mixture, build_pool
from neuron_worker.training.material.folder import training_pictures, validation_pictures
from neuron_worker.training.record import Stage, TrainingRecord, machine_kind
from neuron_worker.training.scoring.validation import Validation
from neuron_worker.training.train import Settings, train

__all__ = ["run_training"]

_RESAMPLED_SHARE = 0.1


def run_training(options: argparse.Namespace) -> Path:
    """Train as the options say; return the path of the weights (the record lies beside them)."""
    settings = Settings(
        model=options.model,
        scale=options.scale,
        minutes=options.minutes,
        steps=options.steps,
        seed=options.seed,
        device=options.device,
        threads=options.threads,
        learning_rate=options.learning_rate,
        branches=not options.plain,
        mixture=Mixture(options.clean_share, _RESAMPLED_SHARE, options.batch_size, options.patch),
        start_from=options.init,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    weights: Path = options.out / f"{options.model}-x{options.scale}.safetensors"
    pool = build_pool(
        training_pictures(options.images, options.seed, options.drawn), options.scale, options.seed, options.clips
    )
    held_out = validation_pictures(options.images)
    validation = Validation(options.model, options.scale, held_out, weights.with_suffix(".curve.csv"))
    outcome = train(settings, pool, validation, weights)
    save_file(outcome.network.state_dict(), weights)
    earlier = TrainingRecord.beside(options.init) if options.init else None
    stage = Stage(
        command=_command(options),
        data=options.data_note or options.images.name,
        machine=f"{machine_kind(options.device, options.threads)}, {settings.precision}",
        steps=outcome.steps,
        seconds=round(outcome.seconds, 1),
    )
    stages = [*(earlier.stages if earlier else []), stage]
    TrainingRecord(options.model, options.scale, stages).write_beside(weights)
    return weights


def _command(options: argparse.Namespace) -> str:
    """The command line without this machine's folders."""
    command = f"train --images DIR --out DIR --model {options.model} --scale {options.scale}"
    if options.init:
        command += f" --init {options.init.name}"
    length = f"--minutes {options.minutes:g}" if math.isfinite(options.minutes) else f"--steps {options.steps}"
    command += f" {length} --seed {options.seed}"
    if options.plain:
        command += " --plain"
    command += f" --batch-size {options.batch_size} --patch {options.patch} --learning-rate {options.learning_rate:g}"
    return command + f" --clips {options.clips} --clean-share {options.clean_share:g} --drawn {options.drawn}"

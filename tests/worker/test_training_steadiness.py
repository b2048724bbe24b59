"""Flicker: movement is not counted, a change that no movement explains is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from neuron_worker.training.material.images import Bytes
from neuron_worker.training.material.resample import resize
from neuron_worker.training.scoring.evaluate import BASELINES
from neuron_worker.training.scoring.steadiness import flicker

LANCZOS = BASELINES["lanczos"](2)


@pytest.fixture
def picture() -> Bytes:
    coarse = np.random.default_rng(0).uniform(0, 255, (24, 28, 3))
    return np.clip(resize(coarse, 96, 112), 0, 255).astype(np.uint8)


def test_movement_alone_is_little_flicker(picture: Bytes) -> None:
    steady = flicker({}, [picture], 2)["lanczos"]
    assert steady["still"] <= steady["pan"] < 3
    moving = np.abs(picture[:, 1:].astype(int) - picture[:, :-1]).mean()
    assert steady["pan"] < moving / 2


def test_upscaler_that_brightens_every_other_frame_flickers_by_as_much(picture: Bytes) -> None:
    frames = itertools.count()

    def pulsing(low: Bytes) -> Bytes:
        flat = np.full((low.shape[0] * 2, low.shape[1] * 2), 90, np.uint8)
        return flat + np.uint8(20 * (next(frames) % 2))

    assert flicker({"pulsing": pulsing}, [picture], 2)["pulsing"] == {"still": 20.0, "pan": 20.0}

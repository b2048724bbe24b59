"""Training material: no held-out picture is trained on, large pictures are cut, drawings are repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from neuron_worker.training.material.drawing import drawn_picture  # noqa: E402
from neuron_worker.training.material.folder import (  # noqa: E402
    held_out_paths,
    training_paths,
    training_pictures,
    validation_pictures,
)
from neuron_worker.training.material.images import image_paths, load_rgb  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs and screens whose grey level says which picture a piece comes from."""
    for kind, count in (("photos", 14), ("screen", 3)):
        (tmp_path / kind).mkdir()
        for index in range(count):
            picture = np.full((200, 240, 3), 10 + index + (100 if kind == "screen" else 0), np.uint8)
            Image.fromarray(picture).save(tmp_path / kind / f"{index:02}.png")
    return tmp_path


def test_every_folder_keeps_a_part_out_and_no_picture_is_on_both_sides(folder: Path) -> None:
    held_out, trained_on = held_out_paths(folder), training_paths(folder)
    assert {path.parent.name for path in held_out} == {"photos", "screen"}
    assert not set(held_out) & set(trained_on)
    assert sorted(held_out + trained_on) == image_paths(folder)


def test_no_piece_of_a_held_out_picture_is_trained_on(folder: Path) -> None:
    kept_out = {int(picture[0, 0, 0]) for picture in validation_pictures(folder)}
    met = {int(picture[0, 0, 0]) for picture in training_pictures(folder, seed=1, drawn=0)}
    assert kept_out == {11, 17, 23, 111}
    assert not kept_out & met


def test_every_picture_is_met_at_two_sizes_when_the_smaller_one_still_holds_patches(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((400, 500, 3), np.uint8)).save(tmp_path / "one.png")
    first, smaller = training_pictures(tmp_path, seed=1, drawn=0)
    assert first.shape == (400, 500, 3)
    assert 160 <= smaller.shape[0] < 400


def test_large_pictures_are_cut_into_tiles_that_hold_something(tmp_path: Path) -> None:
    screen = np.zeros((1500, 1600, 3), np.uint8)
    screen[:, ::2] = 255
    Image.fromarray(screen).save(tmp_path / "screen.png")
    pieces = list(training_pictures(tmp_path, seed=1, drawn=0))
    assert len(pieces) > 1
    assert all(max(piece.shape) <= 512 for piece in pieces)
    Image.fromarray(np.zeros((1500, 1600, 3), np.uint8)).save(tmp_path / "screen.png")
    assert not list(training_pictures(tmp_path, seed=1, drawn=0))


def test_drawings_are_the_same_for_the_same_seed_and_hold_detail() -> None:
    first, again, other = (drawn_picture(np.random.default_rng(seed), 128) for seed in (4, 4, 5))
    assert first.shape == (128, 128, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.std() > 3


def test_drawings_follow_the_pictures_of_the_folder(folder: Path) -> None:
    pictures = list(training_pictures(folder, seed=1, drawn=2))
    assert len(pictures) == len(list(training_pictures(folder, seed=1, drawn=0))) + 2
    assert load_rgb(training_paths(folder)[0]).shape == pictures[0].shape

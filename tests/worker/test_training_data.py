"""The training data: resampling, colour, the H.264 round trip, pairs and patches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neuron_worker.training.material.codec import h264_luma
from neuron_worker.training.material.dataset import Mixture, Pool, build_pool, patches
from neuron_worker.training.material.degrade import clean_pair, compressed_pair, resampled_pair
from neuron_worker.training.material.images import crop_to_multiple, image_paths, load_rgb, luma, to_yuv420
from neuron_worker.training.material.resample import KERNELS, resize
from neuron_worker.training.scoring.evaluate import BASELINES, benchmark_cases, mean_score, score

Image = pytest.importorskip("PIL.Image")


def scenery(height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Soft blobs with hard-edged bars over them: something a codec and a down-scaler both change."""
    random = np.random.default_rng(seed)
    soft = resize(random.uniform(30, 220, (height_px // 8 + 2, width_px // 8 + 2, 3)), height_px, width_px)
    y, x = np.mgrid[:height_px, :width_px]
    bars = ((x + 2 * y) // 9 % 3 == 0)[..., None]
    return np.clip(np.where(bars, 255 - soft, soft), 0, 255).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(scenery(160, 192, seed)).save(folder / f"{seed}.png")
    return folder


def loaded(folder: Path) -> list[NDArray[np.uint8]]:
    return [load_rgb(path) for path in image_paths(folder)]


@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize("size", [(12, 9), (24, 18), (48, 36), (96, 72)])
def test_resizing_a_flat_picture_keeps_it_flat(kernel: str, size: tuple[int, int]) -> None:
    flat = np.full((48, 36, 3), 77, dtype=np.uint8)
    assert resize(flat, *size, kernel) == pytest.approx(77, abs=1e-3)


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "lanczos"])
def test_resizing_does_not_shift_the_picture(kernel: str) -> None:
    ramp = np.tile(np.arange(64, dtype=np.float32), (8, 1))
    inner = slice(8, -8)
    expected = (np.arange(32) + 0.5) * 2 - 0.5
    assert resize(ramp, 8, 32, kernel)[0, inner] == pytest.approx(expected[inner], abs=0.05)


def test_luma_of_white_and_black_is_the_limited_range() -> None:
    assert luma(np.full((2, 2, 3), 255, np.uint8)).tolist() == [[235, 235], [235, 235]]
    assert luma(np.zeros((2, 2, 3), np.uint8)).tolist() == [[16, 16], [16, 16]]


def test_grey_has_neutral_chroma() -> None:
    planes = to_yuv420(np.full((4, 6, 3), 128, np.uint8))
    assert planes.shape == (6, 6)
    assert set(planes[4:].ravel()) == {128}


def test_h264_returns_as_many_frames_as_it_got_and_a_higher_crf_costs_detail() -> None:
    clip = [scenery(45, 63)] * 5
    truth = luma(clip[0]).astype(float)
    good, bad = (h264_luma(clip, crf)[-1] for crf in (12, 40))
    assert len(h264_luma(clip, 23)) == 5
    assert good.shape == truth.shape
    assert np.abs(good - truth).mean() < np.abs(bad - truth).mean()


_COMPRESSED = """
import hashlib
import numpy as np
from neuron_worker.training.material.codec import h264_luma
y, x = np.mgrid[:160, :240]
shapes = [(x * x + blend * y * y) // 8 for blend in (1, 2, 3)]
frames = [np.stack([(shape + 7 * at * x) % 256 for shape in shapes], -1).astype(np.uint8) for at in range(8)]
print(hashlib.sha256(b"".join(plane.tobytes() for plane in h264_luma(frames, 23))).hexdigest())
"""


def test_compression_is_repeatable_in_every_process_as_training_with_one_seed_promises() -> None:
    digests = set()
    for perturb in ("0", "1", "85", "255"):  # with AVX-512, x264 alone gives four results
        environment = {**os.environ, "MALLOC_PERTURB_": perturb}
        command = [sys.executable, "-c", _COMPRESSED]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60).stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("scale", [2, 4])
def test_pairs_fit_each_other_in_size_and_place(scale: int) -> None:
    rgb = scenery(161, 193)
    random = np.random.default_rng(3)
    pairs = [clean_pair(rgb, scale), resampled_pair(rgb, scale, random)]
    pairs += [compressed_pair(rgb, scale, random) for _ in range(4)]
    for pair in pairs:
        assert pair.high.shape == (pair.low.shape[0] * scale, pair.low.shape[1] * scale)
        reduced = resize(pair.high, *pair.low.shape)
        error = np.abs(reduced - pair.low).mean()
        shifted = np.abs(np.roll(reduced, 1, axis=1) - pair.low).mean()
        assert error < 0.7 * shifted


def test_pool_is_the_same_for_the_same_seed_and_other_for_another(pictures: Path) -> None:
    first, again, other = (build_pool(loaded(pictures), 2, seed, 1) for seed in (5, 5, 6))
    assert len(first.clean) == len(first.resampled) == len(first.compressed) == 3
    assert all(np.array_equal(a.low, b.low) for a, b in zip(first.compressed, again.compressed, strict=True))
    assert not all(np.array_equal(a.low, b.low) for a, b in zip(first.compressed, other.compressed, strict=True))


def test_patches_hold_input_and_truth_of_the_same_place(pictures: Path) -> None:
    pool = build_pool(loaded(pictures), 2, 1, 1)
    mixture = Mixture(clean=1.0, resampled=0.0, batch_size=6, patch_px=24)
    low, high = next(patches(pool, mixture, 2, np.random.default_rng(0)))
    assert low.shape == (6, 1, 24, 24)
    assert high.shape == (6, 1, 48, 48)
    assert low.dtype == high.dtype == np.float32
    assert 0 <= low.min() <= low.max() <= 1
    for small, large in zip(low[:, 0], high[:, 0], strict=True):
        inner = slice(3, -3)
        assert resize(large, 24, 24)[inner, inner] == pytest.approx(small[inner, inner], abs=0.01)


def test_mixture_draws_only_from_the_kinds_it_names(pictures: Path) -> None:
    pool = build_pool(loaded(pictures), 2, 1, 0)
    only_clean = Pool(pool.clean, [], [])
    assert next(patches(only_clean, Mixture(1.0, 0.0, 4, 16), 2, np.random.default_rng(0)))[0].shape[0] == 4


def test_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        image_paths(tmp_path)


def test_crop_keeps_the_top_left_corner() -> None:
    picture = np.arange(35, dtype=np.uint8).reshape(5, 7)
    assert np.array_equal(crop_to_multiple(picture, 4), picture[:4, :4])


def test_perfect_copy_has_ssim_one_and_noise_less() -> None:
    truth = luma(scenery(64, 64))
    low = truth[::2, ::2]
    noisy = (truth ^ 8).astype(np.uint8)
    assert score(lambda _: truth, low, truth).ssim == pytest.approx(1)
    assert score(lambda _: noisy, low, truth).ssim < 0.99
    assert score(lambda _: noisy, low, truth).psnr_db == pytest.approx(10 * np.log10(255**2 / 64))


@pytest.mark.parametrize(("scale", "published_db"), [(2, 33.66), (4, 28.42)])
def test_bicubic_scores_its_published_figure_on_set5(shared_data: Path, scale: int, published_db: float) -> None:
    bicubic = BASELINES["bicubic"](scale)
    cases = benchmark_cases(image_paths(shared_data / "sr" / "set5"), scale)
    measured = mean_score(score(bicubic, case.clean, case.truth) for case in cases)
    assert measured.psnr_db == pytest.approx(published_db, abs=0.03)

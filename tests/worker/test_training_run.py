"""The whole way from a folder of pictures to files that ship, and the files that do ship."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("torch")
pytest.importorskip("onnx")

from safetensors.numpy import load_file  # noqa: E402

import neuron_worker  # noqa: E402
from neuron_worker.runtimes.golden import differs_from_golden, golden_tile  # noqa: E402
from neuron_worker.training.__main__ import main  # noqa: E402
from neuron_worker.training.material.images import image_paths  # noqa: E402
from neuron_worker.training.material.resample import resize  # noqa: E402
from neuron_worker.training.model.export import calibration_pictures  # noqa: E402
from neuron_worker.training.scoring.benchmark import shipped_models  # noqa: E402
from neuron_worker.training.scoring.evaluate import BASELINES, benchmark_cases, mean_score, score  # noqa: E402

WEIGHTS = Path(neuron_worker.__file__).parent / "weights"
CARDS = sorted(WEIGHTS.glob("*.json"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(2):
        coarse = np.random.default_rng(seed).uniform(0, 255, (20, 24, 3))
        picture = np.clip(resize(coarse, 160, 192), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{seed}.png")
    return folder


def train(pictures: Path, out: Path, *more: str) -> Path:
    arguments = ["train", "--images", str(pictures), "--out", str(out), "--steps", "3", "--clips", "1", "--drawn", "1"]
    assert main([*arguments, "--batch-size", "2", "--patch", "16", *more]) == 0
    return out / "fast-x2.safetensors"


def test_training_to_card_leaves_a_complete_described_model(pictures: Path, tmp_path: Path) -> None:
    trained = train(pictures, tmp_path / "trained", "--data-note", "two blurs, free")
    out = tmp_path / "out"
    assert main(["export", "--weights", str(trained), "--images", str(pictures), "--out", str(out)]) == 0
    scored = ["evaluate", "--images", str(pictures), "--held-out", str(pictures), "--weights", str(out)]
    assert main(scored) == 0
    assert main(["cards", "--weights", str(out), "--out", str(tmp_path / "models.md")]) == 0
    card = json.loads((out / "fast-x2.json").read_text())
    assert set(card["files"]) == {f"fast-x2{end}" for end in (".onnx", "-int8.onnx", "-deep.onnx", ".safetensors")}
    assert card["training"]["stages"][0]["steps"] == 3
    assert card["figures"]["pictures"]["compressed"]["fast-x2-int8"]["psnr_db"] > 20
    assert card["figures"]["pictures held out"]["clean"]["fast-x2"]["psnr_db"] > 20
    assert set(card["flicker"]) == {"lanczos", "fast-x2", "fast-x2-int8"}
    page = (tmp_path / "models.md").read_text()
    assert "Flicker of fast-x2-int8: still" in page
    assert "## fast x2" in page
    assert "two blurs, free" in page
    assert str(tmp_path) not in page


def test_same_seed_and_steps_give_the_same_weights(pictures: Path, tmp_path: Path) -> None:
    first, again = (load_file(train(pictures, tmp_path / name)) for name in ("first", "again"))
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_second_stage_starts_from_the_first_and_is_recorded_after_it(pictures: Path, tmp_path: Path) -> None:
    first = train(pictures, tmp_path / "first")
    second = train(pictures, tmp_path / "second", "--init", str(first), "--learning-rate", "1e-9")
    before, after = load_file(first), load_file(second)
    assert all(np.allclose(before[name], after[name], atol=1e-5) for name in before)
    stages = json.loads(second.with_suffix(".training.json").read_text())["stages"]
    assert len(stages) == 2
    assert "--init fast-x2.safetensors" in stages[1]["command"]


def test_export_without_a_record_says_which_file_it_misses(pictures: Path, tmp_path: Path) -> None:
    stray = tmp_path / "stray.safetensors"
    stray.write_bytes(b"")
    arguments = ["export", "--weights", str(stray), "--images", str(pictures), "--out", str(tmp_path)]
    assert main(arguments) == 1


@pytest.mark.parametrize("card_path", CARDS, ids=lambda path: path.stem)
def test_shipped_files_are_the_ones_the_card_describes(card_path: Path) -> None:
    card = json.loads(card_path.read_text())
    for name, digest in card["files"].items():
        content = (WEIGHTS / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert len(content) < 2**20


@pytest.mark.parametrize("scale", [2, 4])
def test_every_stage_of_the_default_model_names_open_licences_only(scale: int) -> None:
    card = json.loads((WEIGHTS / f"fast-x{scale}.json").read_text())
    for stage in card["training"]["stages"]:
        assert "CC BY-SA 4.0" in stage["data"]
        assert "CC0" in stage["data"]
        assert "research" not in stage["data"]


def test_calibration_meets_no_held_out_picture(tmp_path: Path) -> None:
    for index, grey in enumerate((40, 200, 60)):
        Image.fromarray(np.full((160, 192, 3), grey, np.uint8)).save(tmp_path / f"{index}.png")
    assert all(picture.max() < 120 for picture in calibration_pictures(tmp_path, 2))


@pytest.mark.parametrize("card_path", CARDS, ids=lambda path: path.stem)
def test_shipped_int8_agrees_with_fp32_on_the_golden_tile(card_path: Path) -> None:
    card = json.loads(card_path.read_text())
    golden, tile = card["golden"], golden_tile(64, 96)[0, 0]
    assert hashlib.sha256(tile.tobytes()).hexdigest() == golden["input_sha256"]
    exact, int8 = (model(tile).astype(int) for model in shipped_models(WEIGHTS, card["model"], card["scale"]).values())
    if hashlib.sha256(exact.astype(np.uint8).tobytes()).hexdigest() != golden["output_sha256"]:
        pytest.skip("this CPU rounds fp32 another way; the digest belongs to one with AVX-512")
    assert differs_from_golden(exact, int8, golden) is None


@pytest.mark.parametrize("kind", ["clean", "compressed"])
@pytest.mark.parametrize("card_path", CARDS, ids=lambda path: path.stem)
def test_shipped_models_score_on_set5_what_the_card_states(card_path: Path, kind: str, shared_data: Path) -> None:
    card = json.loads(card_path.read_text())
    scale = card["scale"]
    cases = benchmark_cases(image_paths(shared_data / "sr" / "set5"), scale)
    lanczos = mean_score(score(BASELINES["lanczos"](scale), getattr(case, kind), case.truth) for case in cases)
    for name, model in shipped_models(WEIGHTS, card["model"], scale).items():
        measured = mean_score(score(model, getattr(case, kind), case.truth) for case in cases)
        assert measured.psnr_db == pytest.approx(card["figures"]["set5"][kind][name]["psnr_db"], abs=0.05)
        assert measured.psnr_db > lanczos.psnr_db + 0.4

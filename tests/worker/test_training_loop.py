"""The training loop: a run goes on after an interruption, and arithmetic follows the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from neuron_worker.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from neuron_worker.training.material.dataset import Mixture, build_pool  # noqa: E402
from neuron_worker.training.model.branches import merged  # noqa: E402
from neuron_worker.training.model.network import build_network  # noqa: E402
from neuron_worker.training.precision import multiplies_bf16  # noqa: E402
from neuron_worker.training.scoring.validation import Validation  # noqa: E402
from neuron_worker.training.train import Settings, _Run, train  # noqa: E402

NOISE = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
MIXTURE = Mixture(clean=1.0, resampled=0.0, batch_size=2, patch_px=16)


def run_of(steps: int) -> _Run:
    torch.manual_seed(3)
    network = build_network("fast", 2)
    network.branch()
    return _Run(Settings("fast", 2, steps=steps), network)


def take_steps(run: _Run, count: int) -> None:
    for _ in range(count):
        torch.manual_seed(run.steps)
        run.step(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 32, 32))


def test_restored_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = run_of(8)
    take_steps(whole, 4)
    save_checkpoint(tmp_path / "run.checkpoint", whole.state())
    take_steps(whole, 4)
    continued = run_of(8)
    continued.restore(load_checkpoint(tmp_path / "run.checkpoint"))
    assert continued.steps == 4
    take_steps(continued, 4)
    assert all(torch.equal(value, continued.averaged()[name]) for name, value in whole.averaged().items())


def test_training_continues_a_checkpoint_and_removes_it_at_the_end(tmp_path: Path) -> None:
    weights = tmp_path / "fast-x2.safetensors"
    begun = run_of(6)
    take_steps(begun, 5)
    state = begun.state()
    for tensors in (state["network"], state["average"]):
        tensors["head.bias"].fill_(1)
    save_checkpoint(weights.with_suffix(".checkpoint"), state)
    settings = Settings("fast", 2, steps=6, mixture=MIXTURE)
    validation = Validation("fast", 2, [NOISE], tmp_path / "curve.csv")
    outcome = train(settings, build_pool([NOISE], 2, 1, 0), validation, weights)
    assert outcome.steps == 6
    assert outcome.network.state_dict()["head.bias"].min() > 0.9
    assert not weights.with_suffix(".checkpoint").exists()
    header, line = (tmp_path / "curve.csv").read_text().splitlines()
    assert header == "steps,seconds,clean_db,compressed_db"
    assert line.startswith("6,")


def test_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    save_checkpoint(path, {"steps": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"steps": lambda: 2})
    assert load_checkpoint(path) == {"steps": 1}


def test_weights_of_another_scale_lend_all_but_the_tail(tmp_path: Path) -> None:
    lender = build_network("fast", 2)
    save_file({name: value + 1 for name, value in lender.state_dict().items()}, tmp_path / "x2.safetensors")
    settings = Settings("fast", 4, steps=1, learning_rate=1e-9, mixture=MIXTURE, start_from=tmp_path / "x2.safetensors")
    validation = Validation("fast", 4, [], tmp_path / "curve.csv")
    outcome = train(settings, build_pool([NOISE], 4, 1, 0), validation, tmp_path / "x4.safetensors")
    trained = outcome.network.state_dict()
    assert torch.allclose(trained["head.weight"], lender.state_dict()["head.weight"] + 1, atol=1e-4)
    assert trained["tail.weight"].abs().max() < 0.01


def test_branches_merge_into_plain_convolutions_that_compute_the_same() -> None:
    torch.manual_seed(0)
    branched, plain = build_network("fast", 2), build_network("fast", 2)
    branched.branch()
    for value in branched.parameters():
        torch.nn.init.normal_(value, std=0.05)
    plain.load_state_dict(merged(branched.state_dict()))
    luma = torch.rand(1, 1, 24, 32)
    enlarged = branched(luma)
    assert torch.allclose(enlarged, plain(luma), atol=1e-5)
    enlarged.square().mean().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in branched.parameters())


def test_fresh_branches_change_nothing() -> None:
    network = build_network("fast", 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.branch()
    after = merged(network.state_dict())
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_tile_that_comes_out_exactly_does_not_rule_the_learning_curve(tmp_path: Path) -> None:
    flat = np.full((64, 64, 3), 90, np.uint8)
    validation = Validation("fast", 2, [flat], tmp_path / "curve.csv")
    validation.measure(build_network("fast", 2).state_dict(), 1, 1.0)
    assert float((tmp_path / "curve.csv").read_text().splitlines()[1].split(",")[2]) < 60


@pytest.mark.parametrize(
    ("flags", "found"),
    [("fpu avx512_bf16 avx512_vnni", True), ("fpu amx_bf16 amx_tile", True), ("fpu avx2 avx512f", False)],
)
def test_bf16_is_for_processors_that_multiply_it(flags: str, found: bool) -> None:
    assert multiplies_bf16(f"processor\t: 0\nflags\t\t: {flags}\n") is found
    assert not multiplies_bf16("processor\t: 0\n")

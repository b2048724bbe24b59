"""The torch runtime: our networks, third-party shapes, and checkpoints that are opened once and pinned."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch runtime is an extra; `make test-torch` runs these")
pytest.importorskip("safetensors", reason="the torch runtime is an extra; `make test-torch` runs these")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from mediabroker.errors import ConfigurationError, ErrorCode, MediaError  # noqa: E402
from mediabroker.results import VideoResult  # noqa: E402
from neuron_worker.converting import convert  # noqa: E402
from neuron_worker.runtimes import Choice, choose, load, load_card  # noqa: E402
from neuron_worker.runtimes.golden import golden_tile  # noqa: E402
from neuron_worker.runtimes.networks import build, recognise  # noqa: E402
from neuron_worker.runtimes.torch import TorchRuntime  # noqa: E402
from tests import clips  # noqa: E402
from tests.worker.looking import frame_digests, lumas, psnr  # noqa: E402

TORCH = Choice("torch", "cpu-fp32")
CAN_UNPICKLE = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)
needs_safe_torch = pytest.mark.skipif(not CAN_UNPICKLE, reason="this torch opens no pickle safely, so convert refuses")


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models folder of this test."""
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def compact_tensors(scale: int, features: int = 6, layers: int = 2) -> dict[str, Any]:
    """A compact network that computes the nearest enlargement and a little more."""
    torch.manual_seed(scale)
    sizes = [3, *[features] * (layers + 1), 3 * scale**2]
    tensors = {}
    for index in range(len(sizes) - 1):
        convolution = nn.Conv2d(sizes[index], sizes[index + 1], 3)
        tensors[f"body.{2 * index}.weight"] = convolution.weight.detach() * 0.2
        tensors[f"body.{2 * index}.bias"] = convolution.bias.detach() * 0.2
        if index < len(sizes) - 2:
            tensors[f"body.{2 * index + 1}.weight"] = torch.full((features,), 0.25)
    return tensors


def dense_tensors(block: int, features: int = 4, growth: int = 2, blocks: int = 2) -> dict[str, Any]:
    """A dense residual network with random weights; enlarges 4 // block times."""
    torch.manual_seed(block)
    shapes = {"conv_first": (3 * block**2, features), "conv_last": (features, 3)}
    shapes.update(dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (features, features)))
    for at in range(blocks):
        for dense in (1, 2, 3):
            for index in range(1, 6):
                name = f"body.{at}.rdb{dense}.conv{index}"
                shapes[name] = (features + (index - 1) * growth, growth if index < 5 else features)
    tensors = {}
    for name, (inputs, outputs) in shapes.items():
        convolution = nn.Conv2d(inputs, outputs, 3)
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = convolution.weight.detach(), convolution.bias.detach()
    return tensors


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(path: Path, tensors: dict[str, Any], **options: Any) -> Any:
    """Write a checkpoint and make it a model."""
    if path.suffix == ".safetensors":
        save_file(tensors, str(path))
    else:
        torch.save({"params_ema": tensors, "iteration": 7}, str(path))
    return convert(path, digest_of(path), **options)


@pytest.mark.parametrize("scale", [2, 4])
def test_torch_gives_what_onnxruntime_gives(scale: int) -> None:
    card, tile = load_card("fast", scale), golden_tile(66, 98)
    ours = load(card, TORCH, workers=1).upscale(tile)
    theirs = load(card, Choice("onnx", "fp32"), workers=1).upscale(tile)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    deep = tile.astype(np.float32) / 255
    fine = load(card, TORCH, workers=1).upscale(deep)
    assert np.abs(fine - load(card, Choice("onnx", "deep"), workers=1).upscale(deep)).max() < 1e-4


def test_tiled_result_equals_the_untiled_one() -> None:
    card, tile = load_card("fast", 2), golden_tile(130, 190)
    whole = TorchRuntime(card, "cpu-fp32", 1, tile_px=4096).upscale(tile)
    tiled = TorchRuntime(card, "cpu-fp32", 1, tile_px=64).upscale(tile)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_many_threads_share_one_runtime_and_get_equal_results() -> None:
    runtime = load(load_card("fast", 2), TORCH, workers=3)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(runtime.upscale, [golden_tile(64, 96)] * 9))
    assert all(np.array_equal(results[0], each) for each in results)


def test_plan_for_a_gpu_is_refused_where_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ConfigurationError, match="GPU"):
        load(load_card("fast", 2), Choice("torch", "cuda-fp16"))


def test_auto_leaves_our_models_on_the_processor_to_others() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert choose(load_card("fast", 2)).runtime != "torch"


@pytest.mark.parametrize("scale", [2, 4])
def test_compact_shape_computes_its_formula(scale: int) -> None:
    tensors = compact_tensors(scale)
    assert recognise(tensors) is not None
    rgb = torch.rand(1, 3, 6, 8)
    hidden = nn.functional.conv2d(rgb, tensors["body.0.weight"], tensors["body.0.bias"], padding=1)
    for index in (1, 3, 5):
        hidden = nn.functional.prelu(hidden, tensors[f"body.{index}.weight"])
        name = f"body.{index + 1}"
        hidden = nn.functional.conv2d(hidden, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)
    wanted = nn.functional.pixel_shuffle(hidden, scale) + rgb.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.allclose(build("compact", tensors, scale)(rgb), wanted, atol=1e-6)


@pytest.mark.parametrize(("block", "scale"), [(1, 4), (2, 2)])
def test_dense_shape_is_recognised_and_enlarges(block: int, scale: int) -> None:
    tensors = dense_tensors(block)
    shape = recognise(tensors)
    assert shape is not None
    assert (shape.kind, shape.scale) == ("rrdb", scale)
    assert build("rrdb", tensors, scale)(torch.rand(1, 3, 6, 8)).shape == (1, 3, 6 * scale, 8 * scale)


def test_foreign_architectures_agree_with_spandrel() -> None:
    spandrel = pytest.importorskip("spandrel", reason="spandrel is an extra", exc_type=Exception)
    rgb = torch.rand(1, 3, 12, 14)
    for kind, tensors, scale in (("compact", compact_tensors(4), 4), ("rrdb", dense_tensors(1, growth=32), 4)):
        wanted = spandrel.ModelLoader().load_from_state_dict(dict(tensors)).model.eval()(rgb)
        assert torch.allclose(build(kind, tensors, scale)(rgb), wanted, atol=1e-6)


def test_other_shapes_are_left_to_spandrel(tmp_path: Path) -> None:
    spandrel = pytest.importorskip("spandrel", reason="spandrel is an extra", exc_type=Exception)
    foreign = importlib.import_module("spandrel.architectures.PLKSR.__arch.PLKSR")
    tensors = foreign.PLKSR(dim=8, n_blocks=1, upscaling_factor=2).state_dict()
    made = install(tmp_path / "foreign.safetensors", {name: value.contiguous() for name, value in tensors.items()})
    assert (made.kind, made.scale) == ("spandrel", 2)
    rgb = np.random.default_rng(0).random((1, 3, 20, 26), np.float32)
    wanted = spandrel.ModelLoader().load_from_state_dict(dict(tensors)).model.eval()(torch.from_numpy(rgb))
    result = load(load_card("foreign", 2), TORCH, workers=1).upscale(rgb)
    assert np.abs(result - wanted.detach().numpy()).max() < 1e-4


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".pth", marks=needs_safe_torch)])
@pytest.mark.parametrize(
    ("make", "kind", "scale"),
    [(lambda: compact_tensors(4), "compact", 4), (lambda: dense_tensors(2), "rrdb", 2)],
    ids=["compact", "rrdb"],
)
def test_converted_checkpoint_is_a_model_like_any_other(
    make: Callable[[], dict[str, Any]], kind: str, scale: int, suffix: str, tmp_path: Path
) -> None:
    made = install(tmp_path / f"RealSomething_x{scale}{suffix}", make())
    assert (made.model, made.scale, made.kind) == ("realsomething", scale, kind)
    card = load_card(made.model, scale)
    card.verify()
    assert card.channels == 3
    choice = choose(card)
    assert choice.runtime == "torch"
    rgb = np.random.default_rng(0).integers(0, 255, (1, 3, 20, 26), np.uint8)
    runtime = load(card, choice, workers=1)
    assert runtime.upscale(rgb).shape == (1, 3, 20 * scale, 26 * scale)
    with pytest.raises(ConfigurationError, match="torch runtime"):
        choose(card, runtime="onnx")


@needs_safe_torch
def test_first_names_of_dense_checkpoints_are_understood(tmp_path: Path) -> None:
    new = dense_tensors(1)
    places = {"conv_first": "0", "conv_up1": "3", "conv_up2": "6", "conv_hr": "8", "conv_last": "10"}
    old = {}
    for name, value in new.items():
        layer, kind = name.rsplit(".", 1)
        if layer.startswith("body."):
            _, at, dense, convolution = layer.split(".")
            old[f"model.1.sub.{at}.{dense.upper()}.{convolution}.0.{kind}"] = value
        elif layer == "conv_body":
            old[f"model.1.sub.2.{kind}"] = value
        else:
            old[f"model.{places[layer]}.{kind}"] = value
    made = install(tmp_path / "old.pth", old)
    assert (made.kind, made.scale) == ("rrdb", 4)


def test_without_the_publishers_digest_nothing_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"anything")
    with pytest.raises(ConfigurationError, match=digest_of(path)):
        convert(path, None)
    with pytest.raises(ConfigurationError, match="another file"):
        convert(path, "0" * 64)


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "run"
    torch.save({"params": _Evil(mark)}, str(path))
    with pytest.raises(ConfigurationError):
        convert(path, digest_of(path))
    path.write_bytes(pickle.dumps(_Evil(mark), protocol=2))
    with pytest.raises(ConfigurationError):
        convert(path, digest_of(path))
    assert not mark.exists()


def test_old_torch_opens_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    torch.save(compact_tensors(2), str(path))
    monkeypatch.setattr(torch, "__version__", "1.13.1")
    with pytest.raises(ConfigurationError, match=r"2\.6"):
        convert(path, digest_of(path))


def test_checkpoint_of_no_known_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        install(tmp_path / "other.safetensors", {"layer.weight": torch.zeros(2, 2)})


def test_name_that_would_hide_a_shipped_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ships"):
        install(tmp_path / "other.safetensors", compact_tensors(2), name="fast")


def test_checkpoint_that_was_changed_is_not_loaded(tmp_path: Path) -> None:
    made = install(tmp_path / "mine.safetensors", compact_tensors(2))
    content = made.weights.read_bytes()
    made.weights.write_bytes(content[:-4] + b"\0\0\0\0")
    with pytest.raises(ConfigurationError, match="corrupt"):
        load(load_card("mine", 2), TORCH)


@pytest.mark.parametrize("make", [clips.make_clip, clips.make_odd, clips.make_full_range])
def test_video_through_an_rgb_model_keeps_its_colours(
    make: Callable[[Path], Path], tmp_path: Path, upscale: Callable[..., VideoResult]
) -> None:
    tensors = compact_tensors(2)
    last = max(int(name.split(".")[1]) for name in tensors)
    tensors[f"body.{last}.weight"] *= 0  # what is left is the nearest enlargement
    tensors[f"body.{last}.bias"] *= 0
    install(tmp_path / "nearest.safetensors", tensors)
    source, output = make(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    upscale(source, output, model="nearest", encoder={"crf": 1})
    small, large = lumas(source), lumas(output)
    assert len(small) == len(large)
    assert psnr(small[3].repeat(2, 0).repeat(2, 1), large[3]) > 36
    again = tmp_path / "again.mp4"
    upscale(source, again, model="nearest", encoder={"crf": 1}, slice_s=0.2, work_dir=tmp_path / "sliced")
    assert len(frame_digests(again)) == len(large)


def test_deep_video_is_refused_by_an_rgb_model(tmp_path: Path, upscale: Callable[..., VideoResult]) -> None:
    install(tmp_path / "mine.safetensors", compact_tensors(2))
    with pytest.raises(MediaError) as caught:
        upscale(clips.make_ten_bit(tmp_path / "in.mp4"), model="mine")
    assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED


def test_card_names_source_and_digest(tmp_path: Path) -> None:
    made = install(tmp_path / "mine.safetensors", compact_tensors(2))
    card = json.loads(made.card.read_text())
    assert card["files"] == {"mine-x2.safetensors": made.sha256}
    assert card["source"] == {"file": "mine.safetensors", "sha256": digest_of(tmp_path / "mine.safetensors")}

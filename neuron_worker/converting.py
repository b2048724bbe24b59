"""Third-party checkpoints as models of this engine: opened once, safely, and from then on pinned by digest."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mediabroker.errors import ConfigurationError, ErrorCode, MediaError
from neuron_worker.runtimes import models_folder
from neuron_worker.runtimes.lazytorch import import_torch
from neuron_worker.runtimes.weights import WEIGHTS

__all__ = ["Converted", "convert"]

_SAFE_TORCH = (2, 6)
"""From here on `weights_only` holds what it promises. Source: CVE-2025-32434, fixed in torch 2.6."""
_NESTS = ("params_ema", "params", "state_dict", "model_state_dict")
"""Where trainers keep the tensors inside a checkpoint, best first."""
_SCALES = (2, 4)
_NAME = re.compile(r"[a-z0-9][a-z0-9_\-]{0,63}")
_OLD_NAMES = (
    (re.compile(r"model\.0\."), "conv_first."),
    (re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\."), r"body.\1.rdb\2.conv\3."),
    (re.compile(r"model\.1\.sub\.\d+\."), "conv_body."),
    (re.compile(r"model\.3\."), "conv_up1."),
    (re.compile(r"model\.6\."), "conv_up2."),
    (re.compile(r"model\.8\."), "conv_hr."),
    (re.compile(r"model\.10\."), "conv_last."),
)
"""The tensors' names in the first ESRGAN checkpoints, and the ones that all later ones use."""


class Converted(NamedTuple):
    """The model's name and scale for `--model` and `--scale`, what it was recognised as, and its files."""

    model: str
    scale: int
    kind: str
    weights: Path
    card: Path
    sha256: str


def convert(source: Path, sha256: str | None, *, name: str | None = None, folder: Path | None = None) -> Converted:
    """Turn a `.pth` or `.safetensors` checkpoint into safetensors with a card beside it.

    Args:
        source: the checkpoint.
        sha256: what its publisher says its digest is; without it nothing is opened.
        name: of the model; from the file's name if not given.
        folder: where the engine looks for models, if not given.

    Raises:
        MediaError: `INPUT_NOT_FOUND`, there is no such file.
        ConfigurationError: the digest is another one, the torch here cannot open pickles safely, or nobody knows the
            checkpoint's shape.
        MissingDependencyError: only spandrel could know the shape, and it is not installed.
    """
    content = _read(source)
    _check_digest(source, content, sha256)
    model = _name_of(source, name)
    tensors = _renamed(_opened(source, content))
    return _write(source, content, model, tensors, folder or models_folder())


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{source} cannot be read: {error}") from error


def _check_digest(source: Path, content: bytes, wanted: str | None) -> None:
    found = hashlib.sha256(content).hexdigest()
    if wanted is None:
        raise ConfigurationError(
            f"the SHA-256 of {source.name} is {found}; compare it with the publisher's, then give it with --sha256"
        )
    if wanted.lower().removeprefix("sha256:") != found:
        raise ConfigurationError(f"the SHA-256 of {source.name} is {found}, not {wanted}: this is another file")


def _name_of(source: Path, given: str | None) -> str:
    derived = re.sub(r"[^a-z0-9_]+", "-", source.stem.lower()).strip("-")
    name = given or re.sub(r"[-_]?(x[24]|[24]x)$", "", re.sub(r"^(x[24]|[24]x)[-_]?", "", derived))
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for a model: lower-case letters, digits, - and _; give --name")
    if any(WEIGHTS.glob(f"{name}-x*.json")):
        raise ConfigurationError(f"a model called {name!r} ships with this package; give another --name")
    return name


def _opened(source: Path, content: bytes) -> dict[str, Any]:
    torch = import_torch()
    if source.suffix == ".safetensors":
        from safetensors import SafetensorError  # noqa: PLC0415  an extra
        from safetensors.torch import load  # noqa: PLC0415

        try:
            return dict(load(content))
        except SafetensorError as error:
            raise ConfigurationError(f"{source} is no safetensors file: {error}") from error
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _SAFE_TORCH:
        raise ConfigurationError(
            f"torch {torch.__version__} runs code that is hidden in a .pth file; convert it on torch 2.6 or newer"
        )
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise ConfigurationError(f"{source} holds something else than tensors: {str(error).splitlines()[0]}") from error
    nested = next((loaded[key] for key in _NESTS if isinstance(loaded, Mapping) and key in loaded), loaded)
    if not isinstance(nested, Mapping):
        raise ConfigurationError(f"{source} holds no named tensors")
    return {str(key): value for key, value in nested.items() if isinstance(value, torch.Tensor)}


def _renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    if "model.1.sub.0.RDB1.conv1.0.weight" not in tensors:
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    renamed = {}
    for name, value in tensors.items():
        pattern, new = next(((old, new) for old, new in _OLD_NAMES if old.match(name)), (None, ""))
        renamed[pattern.sub(new, name, count=1) if pattern else name] = value
    return renamed


def _write(source: Path, content: bytes, model: str, tensors: dict[str, Any], folder: Path) -> Converted:
    from safetensors.torch import save  # noqa: PLC0415  an extra

    from neuron_worker.runtimes.networks import build, recognise, spandrel_shape  # noqa: PLC0415  loads torch

    shape = recognise(tensors) or spandrel_shape(tensors)
    if shape.scale not in _SCALES:
        raise ConfigurationError(f"{source} enlarges {shape.scale} times; 2 and 4 are what this engine does")
    build(shape.kind, tensors, shape.scale)  # every tensor fits
    stem = f"{model}-x{shape.scale}"
    weights, card = folder / f"{stem}.safetensors", folder / f"{stem}.json"
    saved = save({name: value.contiguous() for name, value in tensors.items()})
    digest = hashlib.sha256(saved).hexdigest()
    architecture = {"kind": shape.kind, "features": shape.features, "receptive_radius_px": shape.radius_px}
    described = {
        "model": model,
        "scale": shape.scale,
        "architecture": architecture,
        "files": {weights.name: digest},
        "source": {"file": source.name, "sha256": hashlib.sha256(content).hexdigest()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(saved)
    card.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return Converted(model, shape.scale, shape.kind, weights, card, digest)

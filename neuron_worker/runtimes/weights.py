"""Models: which files one has, that they are the ones its card names, and what the card promises.

Some ship with this package; others lie in the user's models folder, put there by `python -m neuron_worker convert`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from mediabroker.errors import ConfigurationError

__all__ = ["LUMA", "WEIGHTS", "Card", "load_card", "models_folder"]

WEIGHTS = Path(__file__).parent.parent / "weights"
LUMA = "luma"
"""The kind of network that this project trains: luma in, luma out."""


def models_folder() -> Path:
    """Where models that do not ship, and compiled graphs, are kept: `MEDIABROKER_MODELS_DIR`, or the user's own."""
    return Path(os.environ.get("MEDIABROKER_MODELS_DIR") or platformdirs.user_data_path("mediabroker") / "models")


@dataclass(frozen=True)
class Card:
    """One model at one scale. `files` maps file names to hex SHA-256; `radius_px` is the receptive radius in source
    pixels: how far a sample's result looks around itself. `kind` names the network's shape."""

    model: str
    scale: int
    folder: Path
    files: Mapping[str, str]
    radius_px: int
    golden: Mapping[str, Any]
    features: int
    kind: str = LUMA

    @property
    def channels(self) -> int:
        """1: works on luma; 3: on RGB."""
        return 1 if self.kind == LUMA else 3

    @property
    def digest(self) -> str:
        """Of all the files' digests: any other weights give another one."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()

    def verify(self) -> None:
        """Look at every file that the card names.

        Raises:
            ConfigurationError: one is missing, or not what the card names.
        """
        for name in self.files:
            self.read(name.removeprefix(self.name_of("")))

    def name_of(self, form: str) -> str:
        """The file with the given form: `.onnx`, `-int8.onnx`, `-deep.onnx`, `.safetensors`."""
        return f"{self.model}-x{self.scale}{form}"

    def read(self, form: str) -> tuple[bytes, str]:
        """The content of a weights file and its digest, which is the one on the card.

        Raises:
            ConfigurationError: the file is missing, not on the card, or not what the card names.
        """
        name = self.name_of(form)
        if name not in self.files:
            raise ConfigurationError(f"the card of {self.model}-x{self.scale} names no {name}")
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"the weights {self.folder / name} cannot be read: {error}") from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.files[name]:
            raise ConfigurationError(f"the weights {self.folder / name} are not the ones that the card names: corrupt?")
        return content, digest


def load_card(model: str, scale: int, folder: Path | None = None) -> Card:
    """The card of a model: one that ships, or one in the user's models folder; `folder` names another place.

    Raises:
        ConfigurationError: no such model, or the card cannot be read; the message lists the models that are there.
    """
    folders = [folder] if folder else [WEIGHTS, models_folder()]
    name = f"{model}-x{scale}.json"
    path = next((each / name for each in folders if (each / name).is_file()), None)
    if path is None:
        known = sorted({card.stem for each in folders for card in each.glob("*-x[1-9].json")})
        raise ConfigurationError(
            f"there is no model {model!r} for scale {scale}; here are: {', '.join(known) or 'none'}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        card = Card(
            model=model,
            scale=scale,
            folder=path.parent,
            files=dict(content["files"]),
            radius_px=int(content["architecture"]["receptive_radius_px"]),
            golden=dict(content.get("golden", {})),
            features=int(content["architecture"]["features"]),
            kind=str(content["architecture"].get("kind", LUMA)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"the card {path} cannot be read: {error!r}") from error
    if card.features < 1 or card.radius_px < 0:
        raise ConfigurationError(
            f"the card {path} has {card.features} features and a receptive radius of {card.radius_px} pixels; "
            "at least 1 and 0 are needed"
        )
    return card

"""Compiled graphs as files: named by the digest of everything they were made from, and described by a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from mediabroker.errors import ConfigurationError
from mediabroker.models import Value
from neuron_worker.runtimes.weights import Card, models_folder
from neuron_worker.workspace import durable_rename

__all__ = ["Manifest", "find", "read_graph", "store", "weights_digest"]

_RECIPE = 1
"""Raised when the same weights would be compiled into another graph."""
_SUFFIX = ".graph.json"


class Manifest(Value):
    """What a compiled graph is. `key` names the files; `graph_sha256` is of the graph itself."""

    version: Literal[1] = 1
    recipe: int = _RECIPE
    model: str
    scale: int
    weights_sha256: str
    toolchain: str
    toolchain_version: str
    tile_height_px: int
    tile_width_px: int
    batch: int
    graph_sha256: str = ""

    @property
    def key(self) -> str:
        """Hex digest of everything but the graph."""
        content = self.model_dump(mode="json", exclude={"graph_sha256"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def variant(self) -> str:
        """The shape in a word, such as `360x640b1`."""
        return f"{self.tile_height_px}x{self.tile_width_px}b{self.batch}"

    @property
    def stem(self) -> str:
        """Of the file names."""
        return f"{self.model}-x{self.scale}-{self.toolchain}-{self.variant}-{self.key[:16]}"


def weights_digest(card: Card) -> str:
    """Of the weights that graphs are compiled from."""
    return card.files[card.name_of(".safetensors")]


def store(manifest: Manifest, graph: bytes, folder: Path) -> Path:
    """Write a graph and its manifest; the manifest's path. The manifest appears last, and each file whole."""
    manifest = manifest.model_copy(update={"graph_sha256": hashlib.sha256(graph).hexdigest()})
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{manifest.stem}{_SUFFIX}"
    for path, content in (
        (folder / f"{manifest.stem}.pt", graph),
        (target, manifest.model_dump_json(indent=2).encode() + b"\n"),
    ):
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        partial.write_bytes(content)
        durable_rename(partial, path)
    return target


def find(card: Card, toolchain: str, version: str, folder: Path | None = None) -> list[Manifest]:
    """The graphs that were compiled from exactly these weights by exactly this toolchain."""
    return [manifest for manifest, _ in _matching(card, toolchain, version, folder)]


def read_graph(
    card: Card, toolchain: str, version: str, variant: str, folder: Path | None = None
) -> tuple[Manifest, bytes]:
    """One graph, if it is still what its manifest says.

    Raises:
        ConfigurationError: there is none for these weights and this toolchain, or its file was changed.
    """
    for manifest, path in _matching(card, toolchain, version, folder):
        if manifest.variant != variant:
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"the compiled graph {path} cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != manifest.graph_sha256:
            raise ConfigurationError(f"the compiled graph {path} is not the one that its manifest names")
        return manifest, content
    raise ConfigurationError(f"no graph {variant} is compiled for {card.model}-x{card.scale} by {toolchain} {version}")


def _matching(card: Card, toolchain: str, version: str, folder: Path | None) -> list[tuple[Manifest, Path]]:
    found = []
    for path in sorted((folder or models_folder() / "compiled").glob(f"*{_SUFFIX}")):
        try:
            manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeError):
            continue
        wanted = manifest.model_copy(
            update={
                "recipe": _RECIPE,
                "model": card.model,
                "scale": card.scale,
                "weights_sha256": weights_digest(card),
                "toolchain": toolchain,
                "toolchain_version": version,
            }
        )
        if path.name == f"{wanted.stem}{_SUFFIX}" and manifest.key == wanted.key:
            found.append((manifest, path.with_name(f"{manifest.stem}.pt")))
    return found

"""What a training run needs to go on after a restart, in one file that is never half written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Store tensors and numbers; a run that ends while it writes leaves the checkpoint before."""
    unfinished = path.with_name(path.name + ".part")
    torch.save(state, unfinished)
    unfinished.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; the file may hold nothing but tensors and plain values."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state

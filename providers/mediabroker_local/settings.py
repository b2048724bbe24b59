"""What can be set for a local provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from mediabroker import models
from mediabroker.config import data_folder
from mediabroker.media.ffmpeg.limits import MediaLimits, ProcessLimits
from mediabroker.models import Value

__all__ = ["LocalSettings", "build_settings"]


class LocalSettings(Value, frozen=True):
    """`[providers.<name>]` of type `local`. Processes with the same `root` share its jobs and its `max_parallel`."""

    root: Path
    """Default: `local/<name>` in the user's data folder. It must lie on a local disk, for the sake of its locks."""
    max_parallel: int = Field(default=1, ge=1, le=64)
    """Jobs that run at a time across all processes; the others wait in the order they were submitted."""
    ffmpeg: Path | None = None
    """The ffmpeg to run; default: the system's, else the one that `mediabroker[local]` brings."""
    max_worker_attempts: int = Field(default=3, ge=1, le=20)
    """How often a worker that dies without a word is started in all; it goes on where the last one stopped."""
    cancel_grace_s: float = Field(default=5.0, ge=0, le=60)
    """How long a cancelled worker has to tidy up before it is killed, in seconds."""
    media_limits: MediaLimits = MediaLimits()
    process_limits: ProcessLimits = ProcessLimits()

    @field_validator("root", "ffmpeg")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        try:
            return path.expanduser().absolute() if path else None
        except RuntimeError:
            raise ValueError(f"{path} begins in a home folder that is not known; give the whole path") from None


def build_settings(name: str, given: Mapping[str, Any]) -> LocalSettings:
    """The validated settings of the instance `name`.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the message names each.
    """
    usual = {"root": data_folder() / "local" / name}
    return models.build_settings(LocalSettings, f"providers.{name}", {**usual, **given})

"""What an effect is given, and what it hands back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from pydantic import JsonValue, ValidationError

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, PROCESS_LIMITS, MediaLimits, ProcessLimits
from mediabroker.media.ffmpeg.process import run_ffmpeg
from mediabroker.media.ffmpeg.progress import Progress
from mediabroker.models import Value, readable

__all__ = ["Effect", "EffectResult", "EffectTask", "OutputNamer", "local_file", "read_params"]

ParamsT = TypeVar("ParamsT", bound=Value)


class OutputNamer(Protocol):
    """Chooses the path of one result file; its folder exists, the file does not."""

    def __call__(self, sequence_id: int, suffix: str, result_type: str | None = None, /) -> Path:
        """The path of the result counted `sequence_id` (from 1); `suffix` is what the effect would write (`.mp4`)."""
        ...


@dataclass(frozen=True)
class EffectResult:
    """The files that were made, in order, and what was found in the media as JSON values (times in seconds)."""

    files: tuple[Path, ...] = ()
    data: JsonValue = None


def local_file(reference: str) -> Path:
    """The default for `EffectTask.fetch`: other media are named by their paths.

    Raises:
        MediaError: `INVALID_SPEC` for a URL.
    """
    if "://" in reference and not reference.startswith("file://"):
        raise MediaError(ErrorCode.INVALID_SPEC, f"{reference} is no local file")
    return Path(reference.removeprefix("file://"))


@dataclass(frozen=True)
class EffectTask:
    """One effect on one file. `fetch` turns the media that the parameters name into local files."""

    source: Path
    params: Mapping[str, JsonValue]
    outputs: OutputNamer
    fetch: Callable[[str], Path] = local_file
    stop: threading.Event | None = None
    ffmpeg: Path | None = None
    limits: ProcessLimits = PROCESS_LIMITS
    media_limits: MediaLimits = MEDIA_LIMITS
    on_progress: Callable[[Progress], None] | None = None

    def heed(self) -> None:
        """Raise `CANCELLED` when the work is to stop; called wherever it could go on for long."""
        if self.stop is not None and self.stop.is_set():
            raise MediaError(ErrorCode.CANCELLED, "cancelled while the media was looked at")

    def run(self, arguments: Sequence[str], folder: Path, total_s: float | None) -> None:
        """Run ffmpeg in `folder` as the task says; `total_s` is how long the result will be, in seconds."""
        run_ffmpeg(
            arguments,
            binary=find_ffmpeg(self.ffmpeg),
            cwd=folder,
            limits=self.limits,
            total_s=total_s,
            on_progress=self.on_progress,
            cancel=self.stop,
        )


Effect: TypeAlias = Callable[[EffectTask], EffectResult]


def read_params(task: EffectTask, kind: type[ParamsT]) -> ParamsT:
    """The typed parameters.

    Raises:
        MediaError: `INVALID_SPEC`; the message names each parameter that is wrong.
    """
    try:
        return kind.model_validate(dict(task.params))
    except ValidationError as error:
        raise MediaError(ErrorCode.INVALID_SPEC, readable(error)) from error

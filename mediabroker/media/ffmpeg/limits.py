"""How much a media file and the child process that works on it may ask for."""

from __future__ import annotations

from pydantic import Field

from mediabroker.models import Value

__all__ = ["MEDIA_LIMITS", "PROCESS_LIMITS", "MediaLimits", "ProcessLimits"]


class MediaLimits(Value):
    """What a file may contain before it is refused as `MEDIA_UNSUPPORTED`, without being decoded."""

    max_pixels: int = Field(default=8192 * 4352, ge=1)
    """Of one picture; the default admits 8K and refuses the 8192 x 8192 frames that a few hundred bytes can declare."""
    max_streams: int = Field(default=64, ge=1)
    max_duration_s: float = Field(default=48 * 3600, gt=0)


class ProcessLimits(Value):
    """What one ffmpeg child may use; `None` leaves the process's own limit as it is."""

    cpu_s: int | None = Field(default=None, ge=1)
    memory_bytes: int | None = Field(default=16 << 30, ge=64 << 20)
    """Address space. Generous, because threads reserve far more than they touch."""
    file_size_bytes: int | None = Field(default=None, ge=1)
    open_files: int | None = Field(default=1024, ge=32)
    stall_s: float = Field(default=300.0, gt=0)
    """Killed when neither frames, time nor bytes have advanced for so long."""
    wall_s: float | None = Field(default=None, gt=0)
    stderr_bytes: int = Field(default=64 << 10, ge=1024)
    """How much of the end of the child's messages is kept."""


MEDIA_LIMITS = MediaLimits()
PROCESS_LIMITS = ProcessLimits()
"""The defaults, for signatures."""

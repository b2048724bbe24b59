"""Which ffmpeg runs: the configured one, else the system's, else the one that `mediabroker[local]` brings along."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mediabroker.errors import ConfigurationError, MissingDependencyError

__all__ = ["FfmpegBinary", "describe_ffmpeg", "find_ffmpeg", "find_ffmpeg_with"]

_log = logging.getLogger(__name__)

_OLDEST = (5, 1)
"""`-fps_mode` came with 5.1. Source: FFmpeg Changelog, version 5.1."""
_NEEDED = frozenset({"libx264", "aac"})
_TIMEOUT_S = 30.0


class FfmpegBinary(NamedTuple):
    """An ffmpeg that was asked what it is. `version` is (0, 0) for builds that carry no number."""

    path: Path
    version: tuple[int, int]
    version_text: str
    encoders: frozenset[str]

    def shortcoming(self) -> str | None:
        """Why this binary cannot do the work, or None."""
        if self.version != (0, 0) and self.version < _OLDEST:
            return f"{self.path} is ffmpeg {self.version_text}; {_OLDEST[0]}.{_OLDEST[1]} is the oldest that will do"
        if missing := _NEEDED - self.encoders:
            return f"{self.path} was built without {' and '.join(sorted(missing))}"
        return None


def find_ffmpeg(configured: Path | None = None) -> Path:
    """The path of a usable ffmpeg.

    Raises:
        ConfigurationError: the configured one does not exist, does not run, is too old or lacks an encoder.
        MissingDependencyError: none is configured, none is on PATH, and the bundled one is not installed.
    """
    if configured is not None:
        binary = describe_ffmpeg(configured)
        if problem := binary.shortcoming():
            raise ConfigurationError(f"the configured ffmpeg will not do: {problem}")
        return binary.path
    if (found := shutil.which("ffmpeg")) and (system := _usable(Path(found))):
        return system
    return _bundled()


def find_ffmpeg_with(filter_name: str) -> Path | None:
    """The first usable ffmpeg that has this filter, among the system's and the bundled one; None if neither has it."""
    for find in (find_ffmpeg, _bundled):
        try:
            path = find()
        except MissingDependencyError:
            continue
        if filter_name in _filters_of(path):
            return path
    return None


@lru_cache(maxsize=16)
def _filters_of(path: Path) -> frozenset[str]:
    command = [os.fspath(path), "-nostdin", "-hide_banner", "-filters"]
    done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
    return frozenset(re.findall(r"^ [A-Z.]{2,3} (\S+)", done.stdout.decode(errors="replace"), re.MULTILINE))


@lru_cache(maxsize=16)
def describe_ffmpeg(path: Path) -> FfmpegBinary:
    """Version and encoders of the binary at `path`; asked once per path.

    Raises:
        ConfigurationError: it does not exist, or does not run.
    """
    command = [os.fspath(path.absolute()), "-nostdin", "-encoders"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"{path} is no ffmpeg that runs here: {error}") from error
    banner, table = done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace")
    text = match.group(1) if (match := re.search(r"ffmpeg version (\S+)", banner)) else "unknown"
    number = re.match(r"[nv]?(\d+)\.(\d+)", text)
    return FfmpegBinary(
        path=path.absolute(),
        version=(int(number.group(1)), int(number.group(2))) if number else (0, 0),
        version_text=text,
        encoders=frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", table, re.MULTILINE)),
    )


def _usable(path: Path) -> Path | None:
    try:
        binary = describe_ffmpeg(path)
    except ConfigurationError as error:
        _log.warning("passing over the ffmpeg on PATH: %s", error)
        return None
    if problem := binary.shortcoming():
        _log.warning("passing over the ffmpeg on PATH: %s", problem)
        return None
    return binary.path


def _bundled() -> Path:
    try:
        import imageio_ffmpeg  # noqa: PLC0415  an optional package

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError("no usable ffmpeg found; `pip install 'mediabroker[local]'` brings one") from error

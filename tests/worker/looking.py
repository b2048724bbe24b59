"""Ways to look at a video file: times, digests, samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from neuron_worker.video.frames import plane_view

__all__ = ["frame_digests", "frame_times", "frames", "lumas", "packets", "psnr"]


def frames(path: Path) -> Iterator[av.VideoFrame]:
    """All pictures of the first video stream."""
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def frame_times(path: Path) -> list[Fraction]:
    """When each picture is shown, in seconds."""
    times = []
    for frame in frames(path):
        assert frame.pts is not None
        assert frame.time_base is not None
        times.append(frame.pts * frame.time_base)
    return times


def frame_digests(path: Path) -> list[str]:
    """A digest of every picture's samples, without the padding of its rows."""
    return [
        hashlib.sha256(b"".join(plane_view(frame, index).tobytes() for index in range(len(frame.planes)))).hexdigest()
        for frame in frames(path)
    ]


def lumas(path: Path) -> list[NDArray[Any]]:
    """The luma plane of every picture."""
    return [plane_view(frame, 0).copy() for frame in frames(path)]


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time and content of every packet of all streams of a kind."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found = [packet for packet in container.demux(*streams) if packet.pts is not None] if streams else []
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in found]


def psnr(first: NDArray[Any], second: NDArray[Any], peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(peak**2 / error))

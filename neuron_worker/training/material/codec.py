"""A real H.264 round trip, because no formula imitates what an encoder removes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from neuron_worker.training.material.images import Bytes, to_yuv420

__all__ = ["h264_luma"]


def h264_luma(frames: Sequence[Bytes], crf: int, preset: str = "medium") -> list[Bytes]:
    """Encode RGB frames with libx264 and return the luma that a player would see.

    Args:
        frames: ``(H, W, 3)`` uint8 RGB, all of one size; odd sides are padded by repeating the edge.
        crf: x264's constant rate factor, 0..51.
        preset: x264's speed preset.

    Returns:
        As many ``(H, W)`` uint8 luma planes as frames went in.
    """
    height, width = frames[0].shape[:2]
    encoder = _encoder(width + width % 2, height + height % 2, crf, preset)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    decoded = []
    for index, rgb in enumerate(frames):
        padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(to_yuv420(padded), format="yuv420p")
        frame.pts = index
        for packet in encoder.encode(frame):
            decoded += decoder.decode(packet)
    for packet in encoder.encode(None):
        decoded += decoder.decode(packet)
    decoded += decoder.decode(None)
    return [np.asarray(frame.to_ndarray(), dtype=np.uint8)[:height, :width] for frame in decoded]


def _encoder(width_px: int, height_px: int, crf: int, preset: str) -> VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width_px, height_px, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.framerate = Fraction(25)
    encoder.thread_count = 1
    # Without the first word, equal frames give other bytes on other processors, and with AVX-512 in each process anew;
    # without the second, x264 reports its settings on stderr for every clip, thousands of lines in a training run.
    encoder.options = {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1:log-level=none"}
    return encoder

"""Renders the sample clip: three photographs seen by a slowly moving camera, with captions and a synthesised chord.

    pip install 'mediabroker[local]' scikit-image
    python examples/demo/render.py examples/demo/sample-480x270.mp4

The photographs come inside the scikit-image wheel and are free of rights (README.md beside this file names them); the
sound and the captions are made here. The same script and versions write the same pictures.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH_PX, HEIGHT_PX, FPS = 480, 270, 25
SAMPLE_RATE_HZ = 48_000
FLOAT = np.dtype[np.float32]


@dataclass(frozen=True)
class Shot:
    """A camera move over one photograph. A view is the centre (0 to 1 of the free way) and the width in pixels."""

    picture: str
    caption: str
    frames: int
    start: tuple[float, float, float]
    end: tuple[float, float, float]


SHOTS = (
    Shot("rocket.jpg", "Falcon 9  |  Launch Complex 40, Cape Canaveral", 48, (0.35, 1.0, 500), (0.55, 0.35, 600)),
    Shot("chelsea.png", "Chelsea  |  keeps an eye on the camera", 41, (0.9, 0.25, 442), (0.2, 0.6, 424)),
    Shot("coffee.png", "Espresso  |  the cup before the second cup", 41, (0.35, 0.2, 540), (0.5, 0.75, 474)),
)


def main(target: Path) -> None:
    frames = list(_film())
    with av.open(str(target), "w", container_options={"movflags": "+faststart"}) as container:
        options = {"crf": "21", "preset": "slow", "profile": "high"}
        video: Any = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        sound: Any = container.add_stream("aac", rate=SAMPLE_RATE_HZ)
        sound.layout, sound.bit_rate = "stereo", 96_000
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _write_sound(container, sound, _chord(len(frames) / FPS))
    sys.stdout.write(f"{target}: {len(frames)} frames, {target.stat().st_size / 1000:.0f} kB\n")


def _film() -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Every frame as `(270, 480, 3) uint8 RGB`."""
    noise = np.random.default_rng(1969)
    for shot in SHOTS:
        for picture in _views(shot):
            grain = noise.normal(0, 0.9, (HEIGHT_PX, WIDTH_PX, 1))
            yield np.clip(picture + grain + 0.5, 0, 255).astype(np.uint8)


def _views(shot: Shot) -> Iterator[np.ndarray[Any, FLOAT]]:
    photograph = Image.open(str(files("skimage") / "data" / shot.picture)).convert("RGB")
    caption = _caption(shot.caption)
    for index in range(shot.frames):
        share = 0.5 - 0.5 * math.cos(math.pi * index / (shot.frames - 1))
        across, down, width = (a + (b - a) * share for a, b in zip(shot.start, shot.end, strict=True))
        height = width * HEIGHT_PX / WIDTH_PX
        left = across * (photograph.width - width) + 1.2 * math.sin(index / 7)  # a hand that holds the camera
        top = down * (photograph.height - height) + 0.9 * math.sin(index / 5 + 1)
        left = min(max(left, 0), photograph.width - width)
        top = min(max(top, 0), photograph.height - height)
        box = (left, top, left + width, top + height)
        view = photograph.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS, box=box)
        view.paste(caption, (0, 0), caption)
        yield np.asarray(view, dtype=np.float32)


def _caption(text: str) -> Image.Image:
    """White letters with a soft shadow, bottom left, on a transparent frame."""
    font = ImageFont.load_default(13)
    layer = Image.new("RGBA", (WIDTH_PX, HEIGHT_PX), (0, 0, 0, 0))
    ImageDraw.Draw(layer).text((18, HEIGHT_PX - 30), text, font=font, fill=(0, 0, 0, 255), stroke_width=1)
    layer = layer.filter(ImageFilter.GaussianBlur(1.6))
    ImageDraw.Draw(layer).text((18, HEIGHT_PX - 30), text, font=font, fill=(255, 255, 255, 255))
    return layer


def _chord(duration_s: float) -> np.ndarray[Any, FLOAT]:
    """A pad of four notes and a rising arpeggio over it, `(2, samples) float32` from -1 to 1."""
    when = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sound = np.zeros((2, len(when)))
    for index, hertz in enumerate((110.0, 164.81, 220.0, 277.18)):
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * (0.13 + 0.05 * index) * when + index)
        for side, detune in enumerate((0.998, 1.002)):
            sound[side] += 0.06 * swell * np.sin(2 * np.pi * hertz * detune * when)
    for index, hertz in enumerate((440.0, 554.37, 659.26, 880.0, 1108.73, 880.0, 659.26, 554.37)):
        since = when - 0.35 - 0.5 * index
        struck = np.where(since > 0, np.exp(-3.2 * np.maximum(since, 0)), 0)
        tone = struck * (np.sin(2 * np.pi * hertz * since) + 0.25 * np.sin(4 * np.pi * hertz * since))
        pan = 0.5 + 0.35 * math.sin(index * 1.7)
        sound += 0.1 * np.array([[1 - pan], [pan]]) * tone
    edges = np.clip(np.minimum(when / 0.15, (duration_s - when) / 0.6), 0, 1)
    return (sound * edges).astype(np.float32)


def _write_sound(container: Any, stream: Any, wave: np.ndarray[Any, FLOAT]) -> None:
    for start in range(0, wave.shape[1], 1024):
        chunk = np.ascontiguousarray(wave[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, start, Fraction(1, SAMPLE_RATE_HZ)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Pictures that no photograph holds enough of: text, gradients and line art, drawn by this program.

They are drawn four times as large and reduced, so that edges are as soft as a camera or a font rasteriser makes them.
The font is the one inside Pillow (Aileron, CC0), so that no picture depends on the fonts of a machine.
"""

from __future__ import annotations

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neuron_worker.training.material.images import Bytes, to_bytes
from neuron_worker.training.material.resample import resize

__all__ = ["drawn_picture"]

_SIDE_PX = 384
_OVERSAMPLING = 4
_LETTERS = string.ascii_letters + string.digits + "  .,:;()[]{}+-=/"


def drawn_picture(random: np.random.Generator, side_px: int = _SIDE_PX) -> Bytes:
    """Return one ``(side_px, side_px, 3)`` picture of text, gradients or lines, chosen by ``random``."""
    canvas = Image.fromarray(_gradient(random, side_px)).resize(
        (side_px * _OVERSAMPLING,) * 2, Image.Resampling.BICUBIC
    )
    draw = (_text, _lines, _shapes)[int(random.integers(3))]
    draw(ImageDraw.Draw(canvas), side_px * _OVERSAMPLING, random)
    return to_bytes(resize(np.asarray(canvas), side_px, side_px, "box"))


def _gradient(random: np.random.Generator, side_px: int) -> Bytes:
    """Return a smooth slope between four corner colours, or one flat colour."""
    corners = random.uniform(0, 255, (2, 2, 3))
    if random.random() < 0.5:
        corners[:] = corners[0, 0]
    along = np.linspace(0, 1, side_px)
    down, across = along[:, None, None], along[None, :, None]
    top = corners[0, 0] * (1 - across) + corners[0, 1] * across
    bottom = corners[1, 0] * (1 - across) + corners[1, 1] * across
    return to_bytes(top * (1 - down) + bottom * down)


def _text(draw: ImageDraw.ImageDraw, side: int, random: np.random.Generator) -> None:
    y = 0
    while y < side:
        height = int(random.integers(9, 30)) * _OVERSAMPLING
        line = "".join(random.choice(list(_LETTERS), size=80))
        draw.text((int(random.integers(side // 8)), y), line, _colour(random), ImageFont.load_default(height))
        y += int(height * 1.3)


def _lines(draw: ImageDraw.ImageDraw, side: int, random: np.random.Generator) -> None:
    for _ in range(60):
        ends = [float(value) for value in random.uniform(0, side, 4)]
        draw.line(ends, _colour(random), int(random.integers(1, 5 * _OVERSAMPLING)))


def _shapes(draw: ImageDraw.ImageDraw, side: int, random: np.random.Generator) -> None:
    for _ in range(40):
        x, y = random.uniform(0, side, 2)
        width, height = random.uniform(side / 50, side / 4, 2)
        draw_one = draw.rectangle if random.random() < 0.5 else draw.ellipse
        box = [float(value) for value in (x, y, x + width, y + height)]
        draw_one(box, _colour(random), _colour(random), int(random.integers(1, 3 * _OVERSAMPLING)))


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    return red, green, blue

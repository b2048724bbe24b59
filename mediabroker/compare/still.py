"""The comparison as one PNG: the strongest moment in full, below it a detail of each; source left, result right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mediabroker.compare.facts import Facts
from mediabroker.compare.moments import ENLARGED_PX, Moment
from mediabroker.media.publish import output_errors, publish_file, workplace

__all__ = ["write_still"]

_MARGIN, _GAP, _HEAD = 36, 8, 104
_PAPER, _INK, _SOFT, _ACCENT = "#0e1011", "#eceeee", "#90979b", "#4fd1b0"
_PLAIN = str.maketrans({"×": "x", "→": "to", "–": "-", "\u202f": " "})


def write_still(path: Path, facts: Facts, moments: Sequence[Moment]) -> None:
    """Write the PNG, whole or not at all."""
    first = max(moments, key=lambda moment: moment.strength)
    abreast = 2 if first.truth is None else 1  # details of so many moments fit into a row
    width = _across(abreast * len(first.views))
    half = (width - _GAP) // 2
    height = round(half * first.after.height / first.after.width)
    below = _HEAD + height + _GAP
    rows = -(-len(moments) // abreast)
    size = (2 * _MARGIN + width, below + rows * (ENLARGED_PX[1] + _GAP) + _MARGIN - _GAP)
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    _write_head(draw, facts, size[0])
    for column, (picture, label) in enumerate(first.views[:2]):
        left = _MARGIN + column * (half + _GAP)
        canvas.paste(picture.resize((half, height), Image.Resampling.LANCZOS), (left, _HEAD))
        _tag(draw, (left + 12, _HEAD + 12), label, strong=label == "result")
    for index, moment in enumerate(moments):
        left = _MARGIN + index % abreast * (half + _GAP)
        _paste_detail(canvas, draw, moment, (left, below + index // abreast * (ENLARGED_PX[1] + _GAP)))
    with workplace(path) as folder:
        made = folder / path.name
        with output_errors(path):
            canvas.save(made, "png")
        publish_file(made, path, overwrite=True)


def _across(details: int) -> int:
    return details * (ENLARGED_PX[0] + _GAP) - _GAP


def _write_head(draw: ImageDraw.ImageDraw, facts: Facts, width: int) -> None:
    draw.text((_MARGIN, 26), _plain(facts.title), font=ImageFont.load_default(30), fill=_INK)
    draw.text(
        (_MARGIN, 66), _plain(f"{facts.headline}  ·  {facts.method}"), font=ImageFont.load_default(18), fill=_SOFT
    )
    figures = "   ".join(f"{value} {name.partition(',')[0]}" for value, name in facts.figures[1:])
    draw.text((width - _MARGIN, 66), _plain(figures), font=ImageFont.load_default(18), fill=_SOFT, anchor="ra")


def _paste_detail(canvas: Image.Image, draw: ImageDraw.ImageDraw, moment: Moment, corner: tuple[int, int]) -> None:
    left, top = corner
    for column, (picture, label) in enumerate(moment.views):
        at = left + column * (ENLARGED_PX[0] + _GAP)
        detail = picture.crop(moment.detail)
        enlarged = detail.resize((detail.width * moment.zoom, detail.height * moment.zoom), Image.Resampling.NEAREST)
        canvas.paste(enlarged, (at, top))
        text = label if column else ", ".join(filter(None, (moment.timecode, f"{moment.zoom}x", moment.note)))
        _tag(draw, (at + 10, top + 10), text, strong=label == "result")


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, *, strong: bool) -> None:
    font = ImageFont.load_default(16)
    left, top, right, bottom = draw.textbbox((corner[0] + 10, corner[1] + 5), text, font=font)
    draw.rounded_rectangle((left - 10, top - 6, right + 10, bottom + 7), 12, fill=_ACCENT if strong else _PAPER)
    draw.text((corner[0] + 10, corner[1] + 5), text, font=font, fill=_PAPER if strong else _INK)


def _plain(text: str) -> str:
    """Text in the letters that Pillow's own font has; it has few beyond ASCII."""
    return "".join(letter if letter.isascii() or letter == "·" else "_" for letter in text.translate(_PLAIN))

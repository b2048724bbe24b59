"""The comparison as one HTML file that holds everything it shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from mediabroker.compare.facts import Facts
from mediabroker.compare.moments import Moment
from mediabroker.media.publish import output_errors, publish_file, workplace

__all__ = ["write_page"]

_WIDEST_PX = 1920
"""Wider overviews are reduced, both sides alike; details never are."""
_THUMB_PX = 62
_LOSSY = {"quality": 92, "method": 4}
_LEFT = (
    '<div class="zoom" role="group" aria-label="Left side">'
    '<button type="button" data-left="source, bicubic" aria-pressed="true">Source</button>'
    '<button type="button" data-left="original" aria-pressed="false">Original</button></div>'
)
_LOSSLESS = {"lossless": True, "method": 4}


def write_page(path: Path, facts: Facts, moments: Sequence[Moment], *, measured: str = "") -> None:
    """Write the page, whole or not at all. `measured` is what stands between the pictures and the files, as HTML."""
    width, height = moments[0].after.size
    first = moments.index(max(moments, key=lambda moment: moment.strength))
    parts = {
        "title": escape(facts.title),
        "headline": escape(facts.headline),
        "method": escape(facts.method),
        "ratio": f"{width / height:.6f}",
        "figures": "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for value, name in facts.figures
        ),
        "moments": "".join(_stages(moments, first)),
        "thumbs": "".join(_thumbs(moments, first)),
        "keys": f"<kbd>1</kbd> to <kbd>{len(moments)}</kbd> choose the moment. " if len(moments) > 1 else "",
        "details": "".join(_details(moments)),
        "rows": "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(source)}</td><td>{escape(result)}</td></tr>'
            for name, source, result in facts.rows
        ),
        "reduced": f"The large pictures are reduced to {_WIDEST_PX} pixels. " if width > _WIDEST_PX else "",
        "measured": measured,
        "left": _LEFT if moments[0].truth is not None else "",
        "css": _asset("page.css"),
        "js": _asset("page.js"),
    }
    with workplace(path) as folder:
        made = folder / path.name
        with output_errors(path):
            made.write_text(_filled(_asset("page.html"), parts), encoding="utf-8")
        publish_file(made, path, overwrite=True)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    head, *rest = template.split("{{")
    pieces = [head]
    for piece in rest:
        name, _, tail = piece.partition("}}")
        pieces += [parts[name], tail]
    return "".join(pieces)


def _asset(name: str) -> str:
    return (files("mediabroker.compare") / name).read_text(encoding="utf-8")


def _stages(moments: Sequence[Moment], first: int) -> Iterator[str]:
    for index, moment in enumerate(moments):
        hidden = "" if index == first else " hidden"
        # The result lies on top: the slider uncovers what is below.
        layers = (
            ("before", "source", moment.before),
            ("truth", "original", moment.truth),
            ("after", "result", moment.after),
        )
        stacked = "".join(
            f'<div class="layer {kind}">{_img(_overview(picture), f"{name} at {moment.timecode}", _LOSSY)}</div>'
            for kind, name, picture in layers
            if picture is not None
        )
        yield f'<div class="moment"{hidden}>{stacked}</div>'


def _thumbs(moments: Sequence[Moment], first: int) -> Iterator[str]:
    for index, moment in enumerate(moments):
        pressed = "true" if index == first else "false"
        small = moment.after.copy()
        small.thumbnail((4 * _THUMB_PX, 2 * _THUMB_PX))
        yield (
            f'<button type="button" aria-pressed="{pressed}">{_img(small, "", _LOSSY)}'
            f"<span>{escape(moment.note) or moment.timecode}</span></button>"
        )


def _details(moments: Sequence[Moment]) -> Iterator[str]:
    for moment in moments:
        left, top, right, bottom = moment.detail
        width, height = moment.after.size
        where = f'data-x="{(left + right) / 2 / width:.4f}" data-y="{(top + bottom) / 2 / height:.4f}"'
        pictures = "".join(_img(picture.crop(moment.detail), name, _LOSSLESS) for picture, name in moment.views)
        (_, first), *others = moment.views
        when = f"{moment.timecode}, {moment.note}" if moment.note else moment.timecode
        names = "".join(f'<span class="{"is" if name == "result" else "was"}">{name}</span>' for _, name in others)
        yield (
            f'<button type="button" class="of{len(moment.views)}" {where}>{pictures}'
            f"<span>{first} · <b>{escape(when)}</b></span>{names}</button>"
        )


def _overview(picture: Image.Image) -> Image.Image:
    if picture.width <= _WIDEST_PX:
        return picture
    height = round(picture.height * _WIDEST_PX / picture.width)
    return picture.resize((_WIDEST_PX, height), Image.Resampling.LANCZOS)


def _img(picture: Image.Image, alt: str, how: Mapping[str, Any]) -> str:
    data = io.BytesIO()
    picture.save(data, "webp", **how)
    url = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
    return f'<img alt="{escape(alt)}" width="{picture.width}" height="{picture.height}" src="{url}">'

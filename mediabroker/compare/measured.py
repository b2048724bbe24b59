"""The part of the page that holds figures: what they mean, a table, curves over time, and what stayed as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from mediabroker.compare.chart import chart
from mediabroker.compare.figures import Comparison, Metric, Pictures, Quality
from mediabroker.compare.words import LABELS, NAMES, checks, decimals, meaning, verdicts

__all__ = ["measured_section"]


def measured_section(comparison: Comparison) -> str:
    """Two sections of HTML."""
    quality = comparison.quality
    title = "Measured against the original" if quality.against == "reference" else "Compared with the source"
    return (
        f'<section aria-labelledby="measured"><h2 id="measured">{title}</h2>'
        f'<p class="lead">{escape(meaning(quality))}</p>'
        f'<ul class="verdicts">{"".join(f"<li>{escape(_sentence(each))}</li>" for each in verdicts(quality))}</ul>'
        f'<div class="wide"><table class="scores"><thead><tr><td></td>{"".join(_heads(quality))}</tr></thead>'
        f"<tbody>{''.join(_rows(quality))}</tbody></table></div>"
        f'<div class="charts">{"".join(_charts(quality))}</div></section>'
        f'<section aria-labelledby="kept"><h2 id="kept">What stayed as it was</h2>'
        f'<table class="kept"><tbody>{"".join(_checks(comparison))}</tbody></table></section>'
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _heads(quality: Quality) -> Iterator[str]:
    for metric in quality.metrics():
        yield f'<th scope="col">{escape(LABELS[metric])}</th>'


def _rows(quality: Quality) -> Iterator[str]:
    for pictures in quality.pictures:
        cells = "".join(_cell(pictures, metric) for metric in quality.metrics())
        name = escape(NAMES[pictures.name])
        yield f'<tr class="{pictures.name}"><th scope="row"><i></i>{name}</th>{cells}</tr>'


def _cell(pictures: Pictures, metric: Metric) -> str:
    spread = pictures.spread(metric)
    if spread is None:
        return "<td>–</td>"
    digits = decimals(metric)
    lesser = (f"worst 1 % {spread.worst_1pct:.{digits}f}", f"lowest {spread.lowest:.{digits}f}")
    return f"<td><b>{spread.mean:.{digits}f}</b>{''.join(f'<small>{each}</small>' for each in lesser)}</td>"


def _charts(quality: Quality) -> Iterator[str]:
    for metric in quality.metrics():
        if metric == "vmaf_neg":
            continue  # it runs along VMAF; the table says how far below
        curves: dict[str, Sequence[float]] = {
            pictures.name: pictures.frames.of(metric) for pictures in quality.pictures
        }
        marked = quality.times_s.index(quality.worst.time_s) if metric == "psnr_y_db" else None
        title = f"{LABELS[metric]} over time" + ("; the circle is the worst frame" if marked is not None else "")
        yield f"<figure><figcaption>{escape(title)}</figcaption>{chart(title, quality.times_s, curves, marked=marked)}"
        yield "</figure>"


def _checks(comparison: Comparison) -> Iterator[str]:
    for check in checks(comparison.agreement):
        mark, word = ("yes", "kept") if check.kept else ("no", "changed")
        yield (
            f'<tr><th scope="row">{escape(check.name)}</th><td>{escape(check.text)}</td>'
            f'<td class="{mark}">{word}</td></tr>'
        )

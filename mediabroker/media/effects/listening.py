"""What can be heard without a model: the beat of music, and its loud sections, both by energy alone."""

from __future__ import annotations

import json
import math
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.effects.params import NoParams
from mediabroker.media.effects.task import EffectResult, EffectTask, read_params
from mediabroker.media.publish import output_errors
from mediabroker.media.source import media_errors, open_input

__all__ = ["detect_beats", "detect_sections", "find_beats", "find_sections", "listen", "noise_floor_db"]

Signal = NDArray[np.float32]

_RATE_HZ = 11_025
_HOP, _WINDOW = 256, 1024
_HOPS_PER_S = _RATE_HZ / _HOP
_TEMPO_BPM = (60.0, 180.0)
_SHORTEST_S, _SMOOTH_S = 8.0, 4.0
_LOUDER = 1.15
"""A section is loud when its smoothed level exceeds the mean of the whole by this factor."""
_BEATS_A_BAR = 4
_RAYLEIGH_TENTH = math.sqrt(-math.log(0.9))
"""A tenth of the magnitudes of noise lie below this share of their root mean square."""


def detect_beats(task: EffectTask) -> EffectResult:
    """The times of beats and of the first beat of each bar, as a JSON text file; music in four is assumed."""
    read_params(task, NoParams)
    beats, downbeats = find_beats(listen(task))
    found: dict[str, JsonValue] = {"BeatList": _rounded(beats), "DownBeatList": _rounded(downbeats)}
    output = task.outputs(1, ".txt", None)
    with output_errors(output):
        output.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return EffectResult((output,), {"beats_s": _rounded(beats), "downbeats_s": _rounded(downbeats)})


def detect_sections(task: EffectTask) -> EffectResult:
    """Sections that are louder than the rest, as a chorus mostly is, at least 8 s long; `data` lists start and end."""
    read_params(task, NoParams)
    sections = find_sections(listen(task))
    return EffectResult((), [{"start_s": round(start, 2), "end_s": round(end, 2)} for start, end in sections])


def find_beats(signal: Signal) -> tuple[list[float], list[float]]:
    """Times in seconds of beats and downbeats in `(N,) float32` mono at 11,025 Hz; none where nothing pulses."""
    onsets = _onsets(signal)
    if len(onsets) < 4 * _HOPS_PER_S or onsets.max(initial=0.0) <= 0:
        return [], []
    period = _period(onsets)
    marks = _best_chain(onsets, period)
    strength = [onsets[marks[phase::_BEATS_A_BAR]].mean() if len(marks) > phase else 0.0 for phase in range(4)]
    times = [float((mark * _HOP + _WINDOW) / _RATE_HZ) for mark in marks]  # energy appears at the window's far end
    return times, times[int(np.argmax(strength)) :: _BEATS_A_BAR]


def _onsets(signal: Signal) -> Signal:
    """How much energy appears at each hop, over all frequencies, freed from its slow trend."""
    count = max(0, (len(signal) - _WINDOW) // _HOP + 1)
    if count < 2:
        return np.zeros(0, np.float32)
    spectrum = np.log1p(100 * _spectra(signal, _HOP))
    rise = np.maximum(np.diff(spectrum, axis=0), 0).mean(axis=1)
    trend = np.convolve(rise, np.ones(17) / 17, mode="same")
    return np.asarray(np.maximum(rise - trend, 0), np.float32)


def noise_floor_db(signal: Signal) -> float:
    """The steady noise beneath `(N,) float32` mono, in decibels of full scale; tones and speech do not count.

    In the quietest tenth of the time each frequency holds little but noise, and most frequencies hold no tone.
    """
    if len(signal) < _WINDOW:
        return -120.0
    quiet = np.quantile(_spectra(signal, _WINDOW), 0.1, axis=0)
    power = (float(np.median(quiet)) / _RAYLEIGH_TENTH) ** 2 / float((np.hanning(_WINDOW) ** 2).sum())
    return 10 * math.log10(max(power, 1e-12))


def _spectra(signal: Signal, hop: int) -> Signal:
    frames = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::hop]
    return np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)).astype(np.float32)


def _period(onsets: Signal) -> float:
    """Hops from beat to beat: where the onsets resemble themselves most, liking 120 beats a minute slightly."""
    centred = onsets - onsets.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    likeness = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: len(centred)]
    shortest, longest = (60 * _HOPS_PER_S / bpm for bpm in reversed(_TEMPO_BPM))
    lags = np.arange(int(shortest), min(len(likeness) - 1, int(longest)) + 1)
    liking = np.exp(-0.5 * (np.log2(lags / (_HOPS_PER_S / 2)) / 0.9) ** 2)
    return float(lags[np.argmax(likeness[lags] * liking)])


def _best_chain(onsets: Signal, period: float) -> NDArray[np.int64]:
    """The chain of hops, about a period apart, that meets most onsets (dynamic programming over all ends).

    Source: D. Ellis, "Beat Tracking by Dynamic Programming", 2007.
    """
    scale = onsets / (onsets.std() or 1.0)
    score, before = scale.copy(), np.full(len(scale), -1, np.int64)
    steps = np.arange(-round(2 * period), -max(1, round(period / 2)) + 1)
    cost = 60.0 * np.log(-steps / period) ** 2
    for at in range(-int(steps[0]), len(scale)):
        ways = score[at + steps] - cost
        best = int(np.argmax(ways))
        score[at] += ways[best]
        before[at] = at + steps[best]
    chain = [int(np.argmax(score))]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return np.asarray(chain[::-1], np.int64)


def find_sections(signal: Signal) -> list[tuple[float, float]]:
    """Start and end in seconds of the loud sections in `(N,) float32` mono at 11,025 Hz."""
    hops = len(signal) // _HOP
    if hops < _SHORTEST_S * _HOPS_PER_S:
        return []
    level = np.sqrt((signal[: hops * _HOP].reshape(hops, _HOP) ** 2).mean(axis=1))
    width = int(_SMOOTH_S * _HOPS_PER_S)
    smooth = np.convolve(level, np.ones(width) / width, mode="same")
    loud = np.concatenate([[False], smooth > _LOUDER * level.mean(), [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1]) / _HOPS_PER_S
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(float(start), float(end)) for start, end in pairs if end - start >= _SHORTEST_S]


def listen(task: EffectTask) -> Signal:
    """The first sound stream as mono at 11,025 Hz; about 160 MB an hour."""
    blocks: list[Any] = []
    with open_input(task.source, limits=task.media_limits) as container, media_errors(task.source):
        if not container.streams.audio:
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} holds no sound")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE_HZ)
        for frame in container.decode(container.streams.audio[0]):
            task.heed()
            blocks += [part.to_ndarray().ravel() for part in resampler.resample(frame)]
        blocks += [part.to_ndarray().ravel() for part in resampler.resample(None)]
    return np.concatenate(blocks).astype(np.float32) if blocks else np.zeros(0, np.float32)


def _rounded(times: list[float]) -> list[JsonValue]:
    return [round(each, 3) for each in times]

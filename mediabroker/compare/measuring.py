"""Result, plain enlargements and truth, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from PIL import Image

from mediabroker.compare import metrics, vmaf
from mediabroker.compare.figures import Curves, Pictures, Quality, Worst
from mediabroker.compare.luma import Samples, Scale, Track, resized
from mediabroker.compare.pairing import Pairing
from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.binary import find_ffmpeg_with

__all__ = ["Tracks", "measure_quality"]

Name = Literal["result", "lanczos", "bicubic"]
NAMES: tuple[Name, ...] = ("result", "lanczos", "bicubic")
_KERNELS = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
_NO_VMAF = "VMAF was not measured: no ffmpeg here has libvmaf; `pip install 'mediabroker[local]'` brings one"


class Tracks(NamedTuple):
    """The files of one measurement. Without a reference the source itself is the truth, at its own size."""

    source: Track
    result: Track
    reference: Track | None = None

    @property
    def truth(self) -> Track:
        return self.reference or self.source

    @property
    def scale(self) -> Scale:
        """Samples are measured with the deepest file's bits, in the range of the truth."""
        return Scale(max(track.scale.bits for track in self if track), self.truth.scale.full_range)

    @property
    def named(self) -> dict[str, Track]:
        return {name: track for name, track in self._asdict().items() if track is not None}

    def check(self) -> None:
        """
        Raises:
            MediaError: `MEDIA_UNSUPPORTED`, the sizes allow no comparison.
        """
        if self.reference is not None and self.result.size != self.reference.size:
            sizes = f"{_size(self.result)} and the reference {_size(self.reference)}"
            _refuse(f"the result is {sizes}; only pictures of one size can be measured against each other")
        if any(ours < theirs for ours, theirs in zip(self.result.size, self.source.size, strict=True)):
            _refuse(f"the result ({_size(self.result)}) is smaller than the source ({_size(self.source)})")
        if min(self.truth.size) < metrics.SMALLEST_PX:
            _refuse(f"pictures of {_size(self.truth)} are too small to measure")


def measure_quality(
    tracks: Tracks,
    *,
    every: int = 1,
    limit_s: float | None = None,
    with_vmaf: bool = True,
    on_progress: Callable[[int, float], None] | None = None,
) -> Quality:
    """Measure each `every`th frame of the first `limit_s` seconds.

    One frame of each file is held at a time; what grows with the length are the figures, some 100 bytes a frame.

    Args:
        on_progress: called after every frame with the frames so far and the time they have reached, in seconds.

    Raises:
        MediaError: a file cannot be read, or the sizes allow no comparison.
    """
    tracks.check()
    pairing = Pairing(list(tracks.named.values()), limit_s)
    tally = _Tally()
    notes: list[str] = []
    with ExitStack() as stack:
        meter = stack.enter_context(meter) if (meter := _vmaf_of(tracks, every, with_vmaf, notes)) else None
        for number, pictures in enumerate(pairing):
            scored = number % every == 0
            planes = list(_planes(tracks, [each.samples for each in pictures])) if scored or meter is not None else []
            if scored:
                tally.add(float(pictures[0].time_s), planes, tracks.scale)
            if meter is not None:
                try:
                    meter.feed(planes)
                except MediaError as error:
                    notes.append(_failed(error))
                    meter = None
            if on_progress is not None:
                on_progress(number + 1, float(pictures[0].time_s))
        scores = _scores(meter, notes)
    return _quality(tracks, pairing, tally, scores, every=every, limit_s=limit_s, notes=[*notes, *_remarks(tracks)])


@dataclass
class _Tally:
    """PSNR and SSIM so far; one list a rival."""

    times_s: list[float] = field(default_factory=list)
    psnr_db: list[list[float]] = field(default_factory=lambda: [[] for _ in NAMES])
    ssim: list[list[float]] = field(default_factory=lambda: [[] for _ in NAMES])

    def add(self, time_s: float, planes: Sequence[Samples], scale: Scale) -> None:
        truth = metrics.Truth(planes[0], scale.peak)
        self.times_s.append(round(time_s, 6))
        for index, plane in enumerate(planes[1:]):
            self.psnr_db[index].append(round(truth.psnr_db(plane), 4))
            self.ssim[index].append(round(truth.ssim(plane), 6))


def _planes(tracks: Tracks, shown: Sequence[Samples]) -> Iterator[Samples]:
    """The truth, then what `NAMES` names, all of one size on one scale; `shown` is one picture of each track."""
    scale, reduced = tracks.scale, tracks.truth.size
    converted = [scale.convert(each, track.scale) for each, track in zip(shown, tracks.named.values(), strict=True)]
    source, result = converted[:2]
    yield source if tracks.reference is None else converted[2]
    # Against a reference all are of its size already; against the source all are reduced in the same way.
    yield resized(result, reduced, Image.Resampling.BICUBIC, scale)
    for name in NAMES[1:]:
        enlarged = resized(source, tracks.result.size, _KERNELS[name], scale)
        yield resized(enlarged, reduced, Image.Resampling.BICUBIC, scale)


def _vmaf_of(tracks: Tracks, every: int, wanted: bool, notes: list[str]) -> vmaf.Vmaf | None:
    """Only against a reference: of reduced pictures VMAF would say nothing about the large ones."""
    if not wanted or tracks.reference is None:
        return None
    if min(tracks.truth.size) < vmaf.SMALLEST_PX:
        notes.append(f"VMAF was not measured: pictures of {_size(tracks.truth)} are too small for it")
        return None
    binary = find_ffmpeg_with("libvmaf")
    if binary is None:
        notes.append(_NO_VMAF)
        return None
    return vmaf.Vmaf(binary, tracks.truth.size, tracks.scale, len(NAMES), every)


def _scores(meter: vmaf.Vmaf | None, notes: list[str]) -> Sequence[dict[str, list[float]]]:
    if meter is not None:
        try:
            return meter.scores()
        except MediaError as error:
            notes.append(_failed(error))
    return [{} for _ in NAMES]


def _quality(
    tracks: Tracks, pairing: Pairing, tally: _Tally, scores: Sequence[dict[str, list[float]]], **asked: Any
) -> Quality:
    pictures = []
    for index, name in enumerate(NAMES):
        curves = {"psnr_y_db": tally.psnr_db[index], "ssim_y": tally.ssim[index], **scores[index]}
        pictures.append(Pictures.of(name, Curves.model_validate({key: tuple(each) for key, each in curves.items()})))
    worst = min(range(len(tally.times_s)), key=tally.psnr_db[0].__getitem__)
    width, height = tracks.truth.size
    return Quality(
        against="reference" if tracks.reference else "source",
        width_px=width,
        height_px=height,
        bits=tracks.scale.bits,
        full_range=tracks.scale.full_range,
        frames=len(tally.times_s),
        paired=pairing.paired,
        alone=dict(zip(tracks.named, pairing.alone, strict=True)),
        vmaf_model=", ".join(vmaf.MODELS.values()) if scores[0] else None,
        pictures=tuple(pictures),
        worst=Worst(time_s=tally.times_s[worst], psnr_y_db=tally.psnr_db[0][worst]),
        times_s=tuple(tally.times_s),
        **asked,
    )


def _remarks(tracks: Tracks) -> Iterator[str]:
    for name, track in tracks.named.items():
        if track.scale.full_range != tracks.scale.full_range:
            ours, theirs = ("full" if each.full_range else "limited" for each in (track.scale, tracks.scale))
            yield f"the {name} has {ours} range, as its tag says; its samples were converted to {theirs} range"
        if track.scale.bits < tracks.scale.bits:
            yield f"the {name} has {track.scale.bits} bits a sample; all was measured with {tracks.scale.bits}"


def _failed(error: MediaError) -> str:
    return f"VMAF was not measured: {error.error.message}"


def _size(track: Track) -> str:
    return "{}x{}".format(*track.size)


def _refuse(reason: str) -> None:
    raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, reason)

"""Figures of an upscaled video: right by an independent implementation, paired by time, on the scale of the truth."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mediabroker.compare import measure, show
from mediabroker.compare.chart import chart
from mediabroker.compare.figures import Comparison, Spread
from mediabroker.compare.luma import Scale, Track
from mediabroker.compare.metrics import IDENTICAL_DB
from mediabroker.compare.words import checks, verdicts
from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.binary import find_ffmpeg_with
from tests.clips import (
    make_audio_only,
    make_clip,
    make_full_range,
    make_hdr10,
    make_interlaced,
    make_mkv_without_duration,
    make_odd,
    make_one_frame,
    make_open_gop,
    make_rotated,
    make_ten_bit,
    make_vfr,
)

Convert = Callable[..., Path]
LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-c:a", "copy")
HALF = ("-vf", "scale=iw/2:ih/2:flags=bicubic", *LOSSLESS)
DOUBLE = ("-vf", "scale=iw*2:ih*2:flags=lanczos", *LOSSLESS)


@pytest.fixture(scope="session")
def ffmpeg() -> Path:
    found = find_ffmpeg_with("libvmaf")
    assert found is not None, "the bundled ffmpeg has libvmaf"
    return found


@pytest.fixture(scope="session")
def convert(ffmpeg: Path) -> Convert:
    def run(source: Path, target: Path, *options: str) -> Path:
        command = [str(ffmpeg), "-nostdin", "-loglevel", "error", "-y", "-i", str(source), *options]
        command += ["-fps_mode", "passthrough", str(target)]
        subprocess.run(command, check=True, timeout=60, cwd=target.parent)
        return target

    return run


class Clips:
    """An original, its half, and the half doubled again."""

    def __init__(self, folder: Path, convert: Convert) -> None:
        self.reference = make_clip(folder / "reference.mp4", width=130, height=98, frames=10)
        self.source = convert(self.reference, folder / "source.mp4", "-vf", "scale=66:50", *LOSSLESS)
        self.result = convert(self.source, folder / "result.mp4", "-vf", "scale=130:98:flags=lanczos", *LOSSLESS)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, convert: Convert) -> Clips:
    return Clips(tmp_path_factory.mktemp("measure"), convert)


@pytest.fixture(scope="session")
def measured(clips: Clips) -> Comparison:
    return measure(clips.source, clips.result, reference=clips.reference)


def test_psnr_ssim_and_vmaf_are_those_of_libvmaf(clips: Clips, measured: Comparison, convert: Convert) -> None:
    log = clips.result.with_suffix(".csv")
    graph = f"[0:v][1:v]libvmaf=log_fmt=csv:log_path={log.name}:feature=name=psnr|name=float_ssim"
    convert(clips.result, log.with_suffix(".null"), "-i", str(clips.reference), "-lavfi", graph, "-f", "null")
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    ours = measured.quality.of("result").frames
    assert ours.psnr_y_db == pytest.approx([float(row["psnr_y"]) for row in rows], abs=0.001)
    assert ours.ssim_y == pytest.approx([float(row["float_ssim"]) for row in rows], abs=0.002)
    assert ours.vmaf == pytest.approx([float(row["vmaf"]) for row in rows], abs=0.001)


def test_every_figure_stands_beside_those_of_plain_enlargements(measured: Comparison) -> None:
    quality = measured.quality
    assert [each.name for each in quality.pictures] == ["result", "lanczos", "bicubic"]
    assert list(quality.metrics()) == ["psnr_y_db", "ssim_y", "vmaf", "vmaf_neg"]
    assert quality.frames == quality.paired == len(quality.times_s) == 10
    lowest = min(quality.of("result").frames.psnr_y_db)
    assert quality.worst.psnr_y_db == quality.of("result").psnr_y_db.lowest == lowest
    # ffmpeg's Lanczos filter and ours are the same filter.
    assert abs(quality.gain("psnr_y_db", "lanczos") or 0) < 0.3
    assert (quality.gain("psnr_y_db", "bicubic") or 0) > 0


def test_the_original_itself_scores_the_highest_figures(clips: Clips) -> None:
    result = measure(clips.source, clips.reference, reference=clips.reference).quality.of("result")
    assert result.psnr_y_db.mean == IDENTICAL_DB
    assert result.ssim_y.mean == pytest.approx(1)
    assert result.vmaf is not None
    assert result.vmaf.mean > 95


def test_without_a_reference_nothing_claims_to_be_quality(clips: Clips) -> None:
    comparison = measure(clips.source, clips.result)
    quality = comparison.quality
    assert quality.against == "source"
    assert (quality.width_px, quality.height_px) == (66, 50)
    assert list(quality.metrics()) == ["psnr_y_db", "ssim_y"]
    assert quality.of("result").psnr_y_db.mean > 35
    assert not any("above" in sentence or "below" in sentence for sentence in verdicts(quality))


def test_vmaf_that_rises_while_psnr_falls_is_not_left_without_a_warning(clips: Clips, convert: Convert) -> None:
    loud = convert(clips.result, clips.result.with_name("loud.mp4"), "-vf", "unsharp=5:5:1.5", *LOSSLESS)
    quality = measure(clips.source, loud, reference=clips.reference).quality
    assert (quality.gain("vmaf", "lanczos") or 0) > 0 > (quality.gain("psnr_y_db", "lanczos") or 0)
    assert any("VMAF" in sentence and "although PSNR is lower" in sentence for sentence in verdicts(quality))


def test_frames_are_paired_by_time_not_by_number(tmp_path: Path, convert: Convert) -> None:
    source = make_vfr(tmp_path / "source.mp4", width=64, height=64)
    dropped = ("-vf", "select=not(eq(n\\,3)),scale=iw*2:ih*2", *LOSSLESS)
    quality = measure(source, convert(source, tmp_path / "result.mkv", *dropped)).quality
    assert (quality.paired, quality.alone) == (9, {"source": 1, "result": 0})
    assert quality.of("result").psnr_y_db.lowest > 30
    assert "1 frame of the source has no partner at the same time" in set(verdicts(quality))


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
def test_the_same_frames_in_another_container_are_paired_and_equal(
    clips: Clips, tmp_path: Path, convert: Convert, container: str
) -> None:
    # B-frames, and in ts a start at 1.4 s; avi and mkv round times or have none.
    source = make_clip(tmp_path / "source.mp4", frames=12, rate=Fraction(30000, 1001), audio=False)
    quality = measure(source, convert(source, tmp_path / f"copy.{container}", "-c", "copy")).quality
    assert (quality.paired, quality.alone) == (12, {"source": 0, "result": 0})
    assert quality.of("result").psnr_y_db.lowest == IDENTICAL_DB


@pytest.mark.parametrize(
    "make",
    [make_hdr10, make_interlaced, make_mkv_without_duration, make_odd, make_one_frame, make_open_gop, make_rotated],
)
def test_awkward_videos_can_be_measured(make: Callable[..., Path], tmp_path: Path) -> None:
    source = make(tmp_path / ("source.mkv" if make is make_mkv_without_duration else "source.mp4"))
    comparison = measure(source, source, reference=source)
    result = comparison.quality.of("result")
    assert result.psnr_y_db.lowest == IDENTICAL_DB
    assert sum(comparison.quality.alone.values()) == 0
    assert comparison.agreement.source_frames == comparison.quality.frames
    assert all(check.kept for check in checks(comparison.agreement))


def test_every_and_limit_s_measure_less_and_say_so(clips: Clips) -> None:
    seen: list[tuple[int, float]] = []
    comparison = measure(
        clips.source,
        clips.result,
        reference=clips.reference,
        every=3,
        limit_s=0.3,
        on_progress=lambda frames, time_s: seen.append((frames, time_s)),
    )
    quality = comparison.quality
    assert quality.times_s == pytest.approx([0, 0.12, 0.24])
    assert quality.paired == 8
    assert [len(each.frames.vmaf) for each in quality.pictures] == [3, 3, 3]
    assert seen[-1] == (8, pytest.approx(0.28))
    assert {"one frame in 3 was measured", "only the first 0.3 s were measured"} <= set(verdicts(quality))


def test_full_and_limited_range_are_brought_onto_one_scale(tmp_path: Path, convert: Convert) -> None:
    reference = make_clip(tmp_path / "limited.mp4", width=96, height=64, frames=3)
    full = make_full_range(tmp_path / "full.mp4", width=96, height=64, frames=3)
    source = convert(reference, tmp_path / "source.mp4", *HALF)
    kept = measure(source, full, reference=reference, vmaf=False)
    assert kept.quality.of("result").psnr_y_db.mean > 35
    assert "range" in kept.quality.notes[0]
    assert not next(check for check in checks(kept.agreement) if check.name == "range").kept
    untagged = convert(full, tmp_path / "untagged.mp4", "-c", "copy", "-bsf:v", "h264_metadata=video_full_range_flag=0")
    lost = measure(source, untagged, reference=reference, vmaf=False)
    assert lost.quality.of("result").psnr_y_db.mean < 30


def test_ten_bits_are_measured_with_ten(tmp_path: Path, convert: Convert) -> None:
    reference = make_ten_bit(tmp_path / "deep.mp4", width=96, height=64, frames=3)
    flat = convert(reference, tmp_path / "flat.mp4", "-pix_fmt", "yuv420p", *LOSSLESS)
    source = convert(flat, tmp_path / "source.mp4", *HALF)
    quality = measure(source, flat, reference=reference).quality
    assert quality.bits == 10
    assert 48 < quality.of("result").psnr_y_db.mean < 70  # what rounding to 8 bits costs
    assert quality.vmaf_model
    assert any("8 bits a sample" in note for note in quality.notes)


@pytest.mark.parametrize(("source", "target"), [(Scale(8, False), Scale(10, False)), (Scale(8, True), Scale(12, True))])
def test_a_scale_with_more_bits_loses_nothing(source: Scale, target: Scale) -> None:
    samples = np.arange(256, dtype=np.uint8)[np.newaxis]
    there = target.convert(samples, source)
    assert there.dtype == np.uint16
    assert there.max() == (target.peak if source.full_range else 255 * 4)
    assert np.array_equal(source.convert(there, target), samples)


def test_turned_pictures_are_measured_upright(tmp_path: Path) -> None:
    track = Track.of(make_rotated(tmp_path / "turned.mp4", width=96, height=64))
    samples = next(track.pictures()).samples
    assert track.size == (64, 96)
    assert samples.shape == (96, 64)
    assert samples[:20, -12:].min() > 200  # the white square of the top left corner
    assert samples[:20, :12].max() < 200


def test_sizes_and_files_that_allow_no_comparison_are_refused(clips: Clips, tmp_path: Path, convert: Convert) -> None:
    tiny = make_clip(tmp_path / "tiny.mp4", width=8, height=8, frames=2)
    rgb = convert(clips.source, tmp_path / "rgb.mkv", "-c:v", "ffv1", "-pix_fmt", "gbrp")
    sound = make_audio_only(tmp_path / "sound.m4a")
    refused: list[tuple[Path, Path, Path | None, str]] = [
        (clips.source, clips.source, clips.reference, "one size"),
        (clips.reference, clips.source, None, "smaller than the source"),
        (tiny, tiny, None, "too small"),
        (rgb, rgb, None, "luma cannot be measured"),
        (clips.source, sound, None, "no video"),
    ]
    for source, result, reference, reason in refused:
        with pytest.raises(MediaError, match=reason) as caught:
            measure(source, result, reference=reference)
        assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED


def test_an_ffmpeg_that_dies_costs_vmaf_and_nothing_else(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'no such model' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("mediabroker.compare.measuring.find_ffmpeg_with", lambda name: broken)
    quality = measure(clips.source, clips.result, reference=clips.reference).quality
    assert quality.of("result").vmaf is None
    assert quality.frames == 10
    assert "VMAF was not measured" in quality.notes[-1]
    monkeypatch.setattr("mediabroker.compare.measuring.find_ffmpeg_with", lambda name: None)
    assert "no ffmpeg" in measure(clips.source, clips.result, reference=clips.reference).quality.notes[-1]


def test_sound_is_kept_changed_or_missing(clips: Clips, tmp_path: Path, convert: Convert) -> None:
    transport = convert(clips.reference, tmp_path / "in.ts", "-c", "copy")
    again = convert(clips.reference, tmp_path / "again.mp4", "-c:v", "copy", "-c:a", "aac", "-b:a", "32k")
    silent = convert(clips.reference, tmp_path / "silent.mp4", "-c:v", "copy", "-an")
    outcomes = {}
    for result in (clips.reference, transport, again, silent):
        audio = measure(clips.reference, result, every=10).agreement.audio[0]
        outcomes[result.name] = audio.outcome
        assert abs(audio.offset_change_s or 0) < 0.05
    assert outcomes == {
        "reference.mp4": "identical",
        "in.ts": "identical",
        "again.mp4": "different",
        "silent.mp4": "missing",
    }


def test_frames_that_moved_in_time_are_told(tmp_path: Path) -> None:
    even = make_clip(tmp_path / "even.mp4", frames=5, rate=25, audio=False)
    late = make_clip(
        tmp_path / "late.mp4", frames=5, pts=[0, 40, 90, 120, 160], time_base=Fraction(1, 1000), audio=False
    )
    agreement = measure(even, late).agreement
    assert agreement.time_deviation_s == pytest.approx(0.01)
    assert not next(check for check in checks(agreement) if check.name == "times of frames").kept


def test_page_and_still_show_figures_curves_and_the_worst_frame(measured: Comparison, tmp_path: Path) -> None:
    page, still = tmp_path / "page.html", tmp_path / "still.png"
    show(measured, page=page, still=still)
    text = page.read_text()
    assert text.count('<svg class="chart"') == 3
    assert text.count('class="worst"') == 1
    assert "worst frame" in text
    assert f"<b>{measured.quality.of('result').psnr_y_db.mean:.2f}</b>" in text
    assert "original at 0:00" in text
    assert "http" not in text
    assert "{{" not in text
    assert still.stat().st_size > 10_000


def test_a_chart_holds_few_points_however_long_the_video_is() -> None:
    values = [30 + (index % 50) / 10 for index in range(100_000)]
    drawn = chart("PSNR", [index / 25 for index in range(100_000)], {"result": values, "lanczos": values})
    assert len(drawn) < 40_000
    assert "66:40" in drawn or "50:00" in drawn
    assert chart("PSNR", [0.0], {"result": [31.0]}).startswith("<svg")


def test_the_worst_hundredth_is_at_least_one_frame() -> None:
    assert Spread.of([3.0]) == Spread(mean=3, lowest=3, worst_1pct=3)
    assert Spread.of([*range(1, 201)]) == Spread(mean=100.5, lowest=1, worst_1pct=1.5)

"""What the figures mean, and what they do not, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mediabroker.compare.figures import Agreement, Audio, Metric, Quality

__all__ = ["LABELS", "NAMES", "Check", "checks", "decimals", "meaning", "verdicts"]

NAMES: Mapping[str, str] = {"result": "result", "lanczos": "Lanczos", "bicubic": "bicubic"}
LABELS: Mapping[Metric, str] = {
    "psnr_y_db": "PSNR-Y, dB",
    "ssim_y": "SSIM-Y",
    "vmaf": "VMAF",
    "vmaf_neg": "VMAF NEG",
}
_SLIGHT_DB = 0.05
_MEANINGS = {
    "reference": "The result against the full-resolution original, beside the same source enlarged by plain filters. "
    "PSNR and SSIM count errors in luma, over the whole picture (SSIM with the usual 11×11 Gaussian window). "
    "VMAF estimates how people would grade it; sharpening and wrong levels raise it, VMAF NEG less so. None of them "
    "replaces looking.",
    "source": "No original was given, so quality cannot be measured. Each picture was reduced to the source's size and "
    "compared with the source: high figures mean that nothing of it was lost or shifted. They do not say whether the "
    "added detail is right: plain filters, which add none, score about as high.",
}


def meaning(quality: Quality) -> str:
    """What was compared with what, and how far that can be trusted."""
    return _MEANINGS[quality.against]


def decimals(metric: Metric) -> int:
    """How many digits after the point carry information."""
    return 4 if metric == "ssim_y" else 2


def verdicts(quality: Quality) -> Iterator[str]:
    """What follows from the figures, and whatever limits them."""
    if quality.against == "reference":
        yield from _gains(quality)
    for name, count in quality.alone.items():
        if count:
            yield f"{_frames(count)} of the {name} {'has' if count == 1 else 'have'} no partner at the same time"
    if quality.every > 1:
        yield f"one frame in {quality.every} was measured"
    if quality.limit_s is not None:
        yield f"only the first {quality.limit_s:g} s were measured"
    yield from quality.notes


def _gains(quality: Quality) -> Iterator[str]:
    gain = quality.gain("psnr_y_db", "lanczos") or 0.0
    side = "above" if gain >= 0 else "below"
    share = f"{100 * quality.share_better('lanczos'):.0f} % of the frames"
    yield f"PSNR-Y of the result is {abs(gain):.2f} dB {side} that of Lanczos, and the higher one in {share}"
    vmaf = quality.gain("vmaf", "lanczos")
    if vmaf is not None and vmaf > 0 and gain < -_SLIGHT_DB:
        yield (
            f"VMAF is {vmaf:.1f} higher than that of Lanczos although PSNR is lower: that is what sharpening does, and "
            "wrong levels or a dropped colour tag as well; look at the pictures before you trust it"
        )


class Check(NamedTuple):
    """One thing that should have stayed as it was."""

    name: str
    text: str
    kept: bool


def checks(agreement: Agreement) -> Iterator[Check]:
    """Frames, times, sound and tags of source and result."""
    before, after = agreement.source_frames, agreement.result_frames
    yield Check("frames", f"{after} in both" if before == after else f"{before} → {after}", before == after)
    if agreement.time_deviation_s is not None:
        moved_ms = 1000 * agreement.time_deviation_s
        text = f"at most {moved_ms:.3g} ms apart" if moved_ms else "the same"
        yield Check("times of frames", text, moved_ms < 2)
    if agreement.duration_change_s is not None:
        change_s = agreement.duration_change_s
        yield Check("duration", f"{change_s:+.3f} s" if change_s else "the same", abs(change_s) < 0.1)
    for audio in agreement.audio:
        yield _sound(audio)
    changed = {name: pair for name, pair in agreement.tags.items() if pair[0] != pair[1]}
    for name, (was, now) in changed.items():
        yield Check(name, f"{was or 'not told'} → {now or 'not told'}", False)
    kept = [name for name in agreement.tags if name not in changed]
    if kept:
        yield Check(", ".join(kept), "the same", True)


def _sound(audio: Audio) -> Check:
    if audio.outcome == "missing":
        return Check(f"sound {audio.index + 1}", f"{audio.codec}: missing", False)
    same = audio.outcome == "identical"
    text = f"{audio.codec}: " + (f"{audio.packets} packets, byte for byte" if same else "other packets")
    moved_ms = 1000 * (audio.offset_change_s or 0.0)
    if abs(moved_ms) >= 1:
        text += f", {abs(moved_ms):.0f} ms {'later' if moved_ms > 0 else 'earlier'} against the picture"
    return Check(f"sound {audio.index + 1}", text, same and abs(moved_ms) < 20)


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"

"""Source and result of a video side by side: a page to look at, and a still to send.

    moments   which frames to show, and the detail in each where the two differ most
    facts     what is known of both files
    page      one HTML file that needs nothing else
    still     one PNG

How near the result comes to a truth, in figures:

    luma      the samples of each file, upright, with their times and their scale
    pairing   frames that are shown at the same time
    metrics   PSNR and SSIM
    vmaf      VMAF, by an ffmpeg that has it
    measuring all of these for the result and for plain enlargements of the source
    agreement frames, times, sound and tags that should have stayed
    figures   the values; words says what they mean, chart draws them, measured is their part of the page

Both pictures of a pair are the same frame: the source enlarged bicubically, as a good player does, and the result.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediabroker.compare.figures import Comparison

__all__ = ["compare", "measure", "show"]


def compare(
    source: Path, result: Path, *, page: Path, method: str, elapsed_s: float | None = None
) -> tuple[Path, Path]:
    """Write the page, and a PNG of the same name beside it; both paths.

    Args:
        method: how the result was made, in a word or two, as `fast ×2`.
        elapsed_s: how long that took, in seconds.

    Raises:
        MediaError: one of the videos cannot be read, or a file not be written.
    """
    from mediabroker.compare.facts import Facts  # noqa: PLC0415  PyAV, numpy and Pillow load on use
    from mediabroker.compare.moments import find_moments  # noqa: PLC0415
    from mediabroker.compare.page import write_page  # noqa: PLC0415
    from mediabroker.compare.still import write_still  # noqa: PLC0415

    facts = Facts.of(source, result, method=method, elapsed_s=elapsed_s)
    moments = find_moments(source, result, facts)
    still = page.with_suffix(".png")
    write_page(page, facts, moments)
    write_still(still, facts, moments)
    return page, still


def measure(
    source: Path,
    result: Path,
    *,
    reference: Path | None = None,
    every: int = 1,
    limit_s: float | None = None,
    vmaf: bool = True,
    on_progress: Callable[[int, float], None] | None = None,
) -> Comparison:
    """How near `result` comes to `reference`, or without one to `source`, and what else it kept.

    Args:
        reference: the full-resolution original, of the result's size.
        every: measure each so-manieth frame.
        limit_s: measure only so many seconds from the start.
        vmaf: measure VMAF too, where an ffmpeg here has it; only against a reference.
        on_progress: called after each frame with the frames so far and the time they have reached, in seconds.

    Raises:
        MediaError: a file cannot be read, or sizes or formats allow no comparison.
    """
    from mediabroker.compare.agreement import agreement_of  # noqa: PLC0415  PyAV, numpy and Pillow load on use
    from mediabroker.compare.figures import Comparison  # noqa: PLC0415
    from mediabroker.compare.luma import Track  # noqa: PLC0415
    from mediabroker.compare.measuring import Tracks, measure_quality  # noqa: PLC0415

    tracks = Tracks(Track.of(source), Track.of(result), Track.of(reference) if reference else None)
    quality = measure_quality(tracks, every=every, limit_s=limit_s, with_vmaf=vmaf, on_progress=on_progress)
    return Comparison(
        source=str(source),
        result=str(result),
        reference=str(reference) if reference else None,
        agreement=agreement_of(source, result),
        quality=quality,
    )


def show(comparison: Comparison, *, page: Path | None = None, still: Path | None = None) -> None:
    """Write what was measured as a page with pictures and curves, and a still of the pictures.

    Raises:
        MediaError: one of the videos cannot be read any more, or a file not be written.
    """
    from mediabroker.compare.facts import Facts  # noqa: PLC0415  PyAV, numpy and Pillow load on use
    from mediabroker.compare.luma import Track  # noqa: PLC0415
    from mediabroker.compare.measured import measured_section  # noqa: PLC0415
    from mediabroker.compare.moments import Original, find_moments, worst_moment  # noqa: PLC0415
    from mediabroker.compare.page import write_page  # noqa: PLC0415
    from mediabroker.compare.still import write_still  # noqa: PLC0415

    source, result = Path(comparison.source), Path(comparison.result)
    against = Path(comparison.reference or comparison.source).name
    facts = Facts.of(source, result, method=f"measured against {against}", elapsed_s=None)
    lead_s, original = Track.of(source).lead_s, None
    if comparison.reference is not None:
        truth = Track.of(Path(comparison.reference))
        original = Original(truth.path, truth.video, truth.lead_s - lead_s)
    worst = worst_moment(source, result, facts, comparison.quality.worst.time_s + lead_s, original=original)
    moments = [*find_moments(source, result, facts, original=original), *([worst] if worst else [])]
    if page is not None:
        write_page(page, facts, moments, measured=measured_section(comparison))
    if still is not None:
        write_still(still, facts, moments)

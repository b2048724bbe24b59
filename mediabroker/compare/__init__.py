"""Source and result of a video side by side: a page to look at, and a still to send.

    moments   which frames to show, and the detail in each where the two differ most
    facts     what is known of both files
    page      one HTML file that needs nothing else
    still     one PNG

Both pictures of a pair are the same frame: the source enlarged bicubically, as a good player does, and the result.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["compare"]


def compare(
    source: Path, result: Path, *, page: Path, method: str, elapsed_s: float | None = None
) -> tuple[Path, Path]:
    """Write the page, and a PNG of the same name beside it; both paths.

    Args:
        method: how the result was made, in a word or two, as `fast ×2`.
        elapsed_s: how long that took, in seconds.

    Raises:
        MediaError: one of the videos cannot be read.
        OSError: a file cannot be written.
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

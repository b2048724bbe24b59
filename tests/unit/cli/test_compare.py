"""`compare` from the command line: figures on stdout, a page and a still where asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clips import make_clip
from tests.unit.cli.conftest import Cli


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    source = make_clip(tmp_path / "source.mp4", frames=6)
    return source, make_clip(tmp_path / "result.mp4", width=128, height=96, frames=6)


def test_compare_prints_figures_and_what_they_mean(cli: Cli, pair: tuple[Path, Path]) -> None:
    done = cli("compare", *pair)
    assert done.code == 0
    assert "PSNR-Y, dB" in done.out
    assert "quality cannot be measured" in done.out
    assert "6 in both" in done.out


def test_compare_against_a_reference_as_json_with_page_and_still(
    cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    page, still = tmp_path / "page.html", tmp_path / "still.png"
    done = cli("compare", *pair, "--reference", pair[1], "--page", page, "--still", still, "--json")
    assert done.code == 0
    assert done.err == ""
    quality = done.data["quality"]
    assert quality["against"] == "reference"
    assert quality["pictures"][0]["psnr_y_db"]["mean"] == 100
    assert len(quality["pictures"][0]["frames"]["vmaf"]) == 6
    assert done.data["agreement"]["audio"][0]["outcome"] == "identical"
    assert done.data["written"] == [str(page), str(still)]
    assert page.stat().st_size > 10_000
    assert still.stat().st_size > 10_000


def test_compare_refuses_before_the_work_what_would_fail_after_it(
    cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assert cli("compare", *pair, "--page", tmp_path / "page.pdf").code == 2
    assert cli("compare", *pair, "--still", tmp_path / "no" / "still.png").code == 2
    assert cli("compare", *pair, "--every", "0").code == 2
    refused = cli("compare", *pair, "--reference", pair[0], "--json")
    assert refused.code == 1
    assert refused.data["error"]["code"] == "MEDIA_UNSUPPORTED"

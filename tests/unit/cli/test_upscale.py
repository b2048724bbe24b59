"""`mediabroker upscale --compare`, whole: a real video through the real engine, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from mediabroker.media.probe import probe
from neuron_worker.video.containers import CONTAINERS
from tests.unit.cli.conftest import Cli


def test_upscale_writes_the_video_and_the_comparison(cli: Cli, clip: Path, tmp_path: Path) -> None:
    video, page = tmp_path / "out x2.mp4", tmp_path / "look at me.html"
    done = cli("upscale", clip, video, "--scale", 2, "--compare", page, "--json", "--option", "local.threads=1")
    assert done.code == 0, done.out
    assert done.data["result"]["frame_count"] == 12
    assert done.data["comparison"] == [str(page), str(page.with_suffix(".png"))]
    assert (probe(video).video[0].width_px, probe(video).video[0].height_px) == (128, 96)
    assert "64 × 48 → 128 × 96" in page.read_text()
    with Image.open(page.with_suffix(".png")) as still:
        assert still.format == "PNG"

    again = cli("upscale", clip, video)
    assert again.code == 1
    assert "OUTPUT_EXISTS" in again.err


def test_help_names_every_container_that_the_engine_writes(cli: Cli) -> None:
    shown = cli("upscale", "--help").out
    assert [suffix for suffix in CONTAINERS if suffix not in shown] == []

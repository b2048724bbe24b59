"""The demonstration does what it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests import clips

_DEMO = Path(__file__).parents[3] / "examples" / "demo_alibaba" / "demo.py"


def test_demo_makes_its_files_and_tells_what_it_cannot_do(tmp_path: Path) -> None:
    clip = clips.make_clip(tmp_path / "clip.mp4", width=320, height=192, frames=25)
    command = [sys.executable, str(_DEMO), str(clip), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("Cover", "VideoDelogo", "Transcode", "ImageCartoonize"):
        assert f"{name}  job_succeeded" in done.stdout
    assert "CaptionExtraction  job_failed" in done.stdout
    assert "NotSimulated" in done.stdout
    with Image.open(tmp_path / "out" / "clip-00001-cartoon.png") as picture:
        assert picture.size == (320, 192)

"""What may be imported without the media libraries."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import sys
for name in ("av", "numpy", "ffmpeg", "imageio_ffmpeg", "PIL"):
    sys.modules[name] = None
import mediabroker.media
import mediabroker.media.ffmpeg.binary, mediabroker.media.ffmpeg.process, mediabroker.media.publish
import mediabroker.media.ladders.ladder, mediabroker.media.ffmpeg.limits, mediabroker.media.ladders.playlist
import mediabroker.media.ffmpeg.progress
import mediabroker.media.slices, mediabroker.media.sniff
"""


def test_slices_process_publish_and_the_search_for_ffmpeg_need_no_media_library() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

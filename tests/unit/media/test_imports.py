"""What may be imported without the media libraries."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import sys
for name in ("av", "numpy", "ffmpeg", "imageio_ffmpeg", "PIL"):
    sys.modules[name] = None
import mediabroker.media
import mediabroker.media.binary, mediabroker.media.process, mediabroker.media.publish
import mediabroker.media.ladder, mediabroker.media.limits, mediabroker.media.playlist, mediabroker.media.progress
import mediabroker.media.slices, mediabroker.media.sniff
"""


def test_slices_process_publish_and_the_search_for_ffmpeg_need_no_media_library() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

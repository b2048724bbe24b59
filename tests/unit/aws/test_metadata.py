"""Reading what a stored video says of itself: only the object is read, whatever its bytes ask for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI
from mediabroker_aws.metadata import read_metadata
from tests import clips

_URI = MediaURI("s3://media/in.mp4")
_LURE = b"ffconcat version 1.0\nfile secret.mp4\n"
_CHUNK_BYTES = 1 << 14
_FREE_BYTES = 1 << 18
"""More than is read of an object to find out what it is, so that its beginning is read again."""


class _ReplacedObject:
    """A store whose only object is another one after the first read."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self._contents = [after.ljust(len(before), b"\n"), before]

    def stat(self, uri: MediaURI) -> ObjectStat:
        return ObjectStat(len(self._contents[0]), "1")

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        content = self._contents.pop() if len(self._contents) > 1 else self._contents[0]
        return (content[at : at + _CHUNK_BYTES] for at in range(start, len(content), _CHUNK_BYTES))

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        raise NotImplementedError

    def delete(self, uri: MediaURI) -> None:
        raise NotImplementedError

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    """A second of video, and a box of padding behind it."""
    content = clips.make_clip(tmp_path / "secret.mp4", frames=25, audio=False).read_bytes()
    return content + _FREE_BYTES.to_bytes(4, "big") + b"free".ljust(_FREE_BYTES - 4, b"\0")


def test_the_metadata_of_a_video_is_read(video: bytes) -> None:
    found = read_metadata(_ReplacedObject(video, video), _URI)
    assert (found["duration_s"], found["width_px"], found["frame_rate"]) == (1.0, 64, 25.0)


def test_a_list_of_files_that_took_a_videos_place_while_it_was_read_is_not_followed(
    video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with av.open(io.BytesIO(_LURE)) as careless:
        assert careless.streams.video, "without a pinned demuxer FFmpeg opens the file that the list names"
    with pytest.raises(MediaError) as caught:
        read_metadata(_ReplacedObject(video, _LURE), _URI)
    assert caught.value.error.code is ErrorCode.MEDIA_CORRUPT

"""The bytes decide what a file is; whatever points at other files is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.sniff import identify, sniff

_TS = (b"\x47" + b"\0" * 187) * 8


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x20ftypisom", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mp4"),
        (b"\0\0\0\x20ftypavif", "heif"),
        (b"\x1a\x45\xdf\xa3\x01matroska", "matroska"),
        (b"\x1a\x45\xdf\xa3\x9fB\x82\x84webm", "webm"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"FLV\x01\x05", "flv"),
        (b"OggS\0", "ogg"),
        (b"fLaC\0", "flac"),
        (b"\0\0\x01\xba\x44", "mpegps"),
        (_TS, "mpegts"),
        (b"\0\0\0\0" + (b"\x47" + b"\0" * 191) * 8, "mpegts"),
        (b"\xff\xf1\x4c\x80\x01\x1f\xfc\x00\xff\xf1", "aac"),
        (b"\xff\xfb\x90\x64\0\0\0\0", "mp3"),
        (b"\x89PNG\r\n\x1a\n\0", "png"),
        (b"\xff\xd8\xff\xe0\0\0\0\0", "jpeg"),
    ],
)
def test_identify_knows_containers_by_their_first_bytes(head: bytes, name: str) -> None:
    found = identify(head)
    assert found is not None
    assert found.name == name


@given(st.binary(max_size=600))
def test_identify_of_any_bytes_answers_or_gives_none(head: bytes) -> None:
    found = identify(head)
    assert found is None or found.demuxer


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "HLS playlist"),
        (b"\xef\xbb\xbf\n #EXTM3U\n", "HLS playlist"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "concatenation list"),
        (b"<MPD xmlns='urn:mpeg:dash'>", "DASH"),
        (b"<?xml version='1.0'?><MPD/>", "XML"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "session description"),
        (b"<svg><image href='file:///etc/passwd'/></svg>", "drawing"),
        (b"just words, many of them\n" * 9, "is text"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "no known media container"),
        (b"\x1f\x8b\x08\0\0\0", "no known media container"),
        (b"\0", "no known media container"),
    ],
)
def test_sniff_refuses_what_is_no_container_of_its_own_data(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "movie.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=says) as caught:
        sniff(path)
    assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED


def test_sniff_of_missing_folder_pipe_and_empty_gives_their_own_codes(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    expected = {
        tmp_path / "missing.mp4": ErrorCode.INPUT_NOT_FOUND,
        tmp_path / "empty.mp4" / "below": ErrorCode.INPUT_NOT_FOUND,
        Path("nul\0byte.mp4"): ErrorCode.INPUT_NOT_FOUND,
        tmp_path: ErrorCode.INPUT_DENIED,
        tmp_path / "pipe.mp4": ErrorCode.INPUT_DENIED,
        tmp_path / "empty.mp4": ErrorCode.MEDIA_CORRUPT,
    }
    for path, code in expected.items():
        with pytest.raises(MediaError) as caught:
            sniff(path)
        assert caught.value.error.code is code, path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_sniff_of_a_file_without_permission_is_denied(tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom")
    path.chmod(0)
    with pytest.raises(MediaError) as caught:
        sniff(path)
    assert caught.value.error.code is ErrorCode.INPUT_DENIED


def test_sniff_looks_behind_an_id3_tag(tmp_path: Path) -> None:
    path = tmp_path / "song.bin"
    path.write_bytes(b"ID3\x04\0\0\0\0\x40\x00" + b"\0" * 8192 + b"\xff\xfb\x90\x64" + b"\0" * 400)
    assert sniff(path).name == "mp3"


def test_sniff_takes_a_picture_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 32)
    with pytest.raises(MediaError, match="png picture"):
        sniff(path)
    assert sniff(path, images=True).name == "png"

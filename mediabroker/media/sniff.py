"""What a file is, from its first bytes: our own answer decides which demuxer may open it.

ffmpeg's own guess would also open playlists, manifests and lists, which name *other* files; a protocol allow-list does
not stop those from reading any local file. Only containers that hold their own data are in the table.
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import NamedTuple

from mediabroker.errors import ErrorCode, MediaError

__all__ = ["Container", "check_readable", "identify", "sniff"]

_HEAD_BYTES = 4096
_SYNCS = 12
"""So many sync bytes at one distance do not happen by chance."""
_ID3_LIMIT_BYTES = 64 << 20


class Container(NamedTuple):
    """`name` is what the bytes are; `demuxer` is the one ffmpeg demuxer that may read them."""

    name: str
    demuxer: str
    is_image: bool = False


_MOV_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx"})
_HEIF_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1"})
_RIFF = {
    b"AVI ": Container("avi", "avi"),
    b"WAVE": Container("wav", "wav"),
    b"WEBP": Container("webp", "webp_pipe", True),
}
_SIGNATURES: tuple[tuple[bytes, Container], ...] = (
    (b"FLV\x01", Container("flv", "flv")),
    (b"OggS", Container("ogg", "ogg")),
    (b"fLaC", Container("flac", "flac")),
    (b"\x00\x00\x01\xba", Container("mpegps", "mpeg")),
    (b"\x89PNG\r\n\x1a\n", Container("png", "png_pipe", True)),
    (b"\xff\xd8\xff", Container("jpeg", "jpeg_pipe", True)),
    (b"GIF8", Container("gif", "gif", True)),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container("asf", "asf")),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", Container("mxf", "mxf")),
    (b"\x1f\x07\x00", Container("dv", "dv")),
    (b"YUV4MPEG2 ", Container("y4m", "yuv4mpegpipe")),
    (b"II*\x00", Container("tiff", "tiff_pipe", True)),
    (b"MM\x00*", Container("tiff", "tiff_pipe", True)),
)
_POINTERS = {
    b"#EXTM3U": "an HLS playlist",
    b"[playlist]": "a playlist",
    b"ffconcat": "a concatenation list",
    b"v=0": "a session description",
    b"<MPD": "a DASH manifest",
    b"<SmoothStreamingMedia": "a Smooth Streaming manifest",
    b"<svg": "a vector drawing",
    b"<?xml": "an XML document",
}


def sniff(path: Path, *, images: bool = False) -> Container:
    """The container of a readable, regular file, whatever its name says.

    Raises:
        MediaError: `INPUT_NOT_FOUND`, `INPUT_DENIED`, `MEDIA_CORRUPT` for an empty file, `MEDIA_UNSUPPORTED` for text,
            playlists, unknown bytes, and for pictures unless `images` is set.
    """
    check_readable(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if head[:3] == b"ID3":
                file.seek(_id3_end(head))
                head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise MediaError(ErrorCode.INPUT_DENIED, f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} is empty")
    found = identify(head)
    if found is None:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} {_describe(head)}")
    if found.is_image and not images:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} is a {found.name} picture, not audio or video")
    return found


def check_readable(path: Path) -> None:
    """Only a regular file passes: opening a pipe or a device could wait for ever.

    Raises:
        MediaError: `INPUT_NOT_FOUND` or `INPUT_DENIED`.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{path} does not exist") from error
        raise MediaError(ErrorCode.INPUT_DENIED, f"{path} cannot be reached: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{path!r} is not a file name") from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise MediaError(ErrorCode.INPUT_DENIED, f"{path} is {what}; one media file is needed")


def identify(head: bytes) -> Container | None:
    """The container whose first bytes are `head`, or None.

    Source: ISO/IEC 14496-12 (boxes), RFC 8794 (EBML), ISO/IEC 13818-1 (transport and program stream), RFC 3533 (Ogg),
    RFC 9639 (FLAC), ISO/IEC 13818-7 (ADTS), ISO/IEC 11172-3 (MPEG audio), ITU-T H.264 and H.265 annex B (streams with
    no container), SMPTE ST 377-1 (MXF), IEC 61834 (DV).
    """
    for recognise in (_boxes, _riff, _animation, _signature, _transport_stream, _elementary, _audio_frames):
        if found := recognise(head):
            return found
    return None


def _boxes(head: bytes) -> Container | None:
    if head[4:8] not in _MOV_BOXES:
        return None
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return Container("heif", "mov", True)
    return Container("mov" if head[8:12] == b"qt  " else "mp4", "mov")


def _riff(head: bytes) -> Container | None:
    return _RIFF.get(head[8:12]) if head[:4] in (b"RIFF", b"RF64") else None


def _signature(head: bytes) -> Container | None:
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Container("webm" if b"webm" in head[:64] else "matroska", "matroska")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return Container("bmp", "bmp_pipe", True)
    return next((container for start, container in _SIGNATURES if head.startswith(start)), None)


def _animation(head: bytes) -> Container | None:
    """A GIF that repeats is a video; Source: GIF89a, application extension NETSCAPE2.0."""
    return Container("gif", "gif") if head.startswith(b"GIF8") and b"NETSCAPE2.0" in head[:1024] else None


def _transport_stream(head: bytes) -> Container | None:
    # 188 bytes a packet; 192 with a time code in front (camcorders, Blu-ray); 204 with error correction behind. A dump
    # may start in the middle of a packet: then enough sync bytes must follow at the right distance.
    for size, offset in ((188, 0), (192, 4), (204, 0)):
        if len(head) > offset + size and all(byte == 0x47 for byte in head[offset::size][:8]):
            return Container("mpegts", "mpegts")
        if any(head[at::size][:_SYNCS] == b"\x47" * _SYNCS for at in range(size)):
            return Container("mpegts", "mpegts")
    return None


def _elementary(head: bytes) -> Container | None:
    """H.264 or H.265 without a container: start code, then a parameter set or a delimiter."""
    unit = head[4:6] if head.startswith(b"\0\0\0\1") else head[3:5] if head.startswith(b"\0\0\1") else b""
    if len(unit) < 2:
        return None
    if unit in (b"\x40\x01", b"\x46\x01"):
        return Container("hevc", "hevc")
    return Container("h264", "h264") if unit[0] & 0x9F in (7, 9) else None


def _audio_frames(head: bytes) -> Container | None:
    if len(head) < 7 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 0x03) << 11 | head[4] << 3 | head[5] >> 5
        if length >= 7 and (len(head) < length + 2 or head[length : length + 2] == head[:2]):
            return Container("aac", "aac")
        return None
    layer, bitrate, rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    is_mpeg_audio = head[1] & 0xE0 == 0xE0 and layer and bitrate != 15 and rate != 3
    return Container("mp3", "mp3") if is_mpeg_audio else None


def _id3_end(head: bytes) -> int:
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + min(size, _ID3_LIMIT_BYTES)


def _describe(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, what in _POINTERS.items():
        if text.startswith(start):
            return f"is {what}, not a media file; files that point at other files are never opened"
    printable = sum(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
    if b"\0" not in head and printable > 0.95 * len(head):
        return "is text, not a media file"
    return "is in no known media container"

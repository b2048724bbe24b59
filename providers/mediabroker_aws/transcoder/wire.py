"""What the transcoding service is asked and what it answers, for both of its ends: fields, names, the ladder.

    {"bucket": "media", "contentprovider": "films", "dst": "out/", "src": "in/2016/", "testflag": "no",
     "time": "20160426000001", "type": "m3u8", "v_bitrate": 2700000, "v_height": 720}

Names: the file `in/2016/clips/a.mp4` of the folder above becomes `out/clips/a_20160426000001/a.m3u8`, and
`out/clips/a_20160426000001/status-m3u8.json` is the status of that work: the same file as mp4 is another work there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from mediabroker.errors import ErrorCode
from mediabroker.jobs import Rendition
from mediabroker.refs import MediaURI
from mediabroker.spi import Origin

__all__ = [
    "HEIGHTS_PX",
    "LADDER",
    "NOT_MP4",
    "REFUSALS",
    "Names",
    "TranscodeRequest",
    "build_entry",
    "choose_renditions",
]

HEIGHTS_PX = (480, 720, 1080)
"""What `v_height` may be: 480p, 720p, 1080p."""
NOT_MP4 = "not .mp4"
REFUSALS: Mapping[int, ErrorCode] = {
    400: ErrorCode.INVALID_SPEC,
    403: ErrorCode.INPUT_DENIED,
    404: ErrorCode.INPUT_NOT_FOUND,
    413: ErrorCode.INVALID_SPEC,
}
"""What the service's own refusals mean for the job. Each says so in its `code`, which the gateway's have not."""
LADDER = (
    Rendition(height_px=480, video_bitrate_bps=800_000),
    Rendition(height_px=720, video_bitrate_bps=1_600_000),
    Rendition(height_px=1080, video_bitrate_bps=2_500_000),
    Rendition(height_px=1080, video_bitrate_bps=4_000_000),
)
"""The HLS renditions; a source gets the first few."""
_STEPS_BPS: Mapping[int, tuple[int, ...]] = {480: (), 720: (1_200_000,), 1080: (1_200_000, 2_000_000, 4_000_000)}
"""From which source bitrate on each further rung is made, by the source's height."""
_MP4_BPS: Mapping[int, int] = {480: 800_000, 720: 2_000_000, 1080: 4_000_000}
_SUFFIX = ".mp4"
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_CODED_1080P = 1088
"""H.264 codes 1080 lines as 1088, and some tools say so."""


class TranscodeRequest(BaseModel):
    """One request. Numbers may come as digits in a string, as forms send them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str
    src: str = Field(min_length=1, max_length=1024)
    dst: str = Field(min_length=1, max_length=1024)
    type: Literal["mp4", "m3u8"]
    time: str = Field(pattern=r"^[0-9]{14}$")
    """14 digits that make the output's folder; the same digits name the same outputs."""
    testflag: str = "no"
    """Anything but `no`: say what would be done, and do nothing."""
    contentprovider: str = Field(default="", max_length=256)
    """For the caller's own records."""
    v_height: int = 1080
    """480, 720 or 1080: outputs are not higher than this, nor than their source."""
    v_bitrate: int = Field(default=100_000_000, ge=1)
    """Bits a second: outputs have no more than this, nor than their source."""
    origin: Origin | None = None
    """Beside the nine fields of old: comes back with the completion message."""

    @field_validator("bucket")
    @classmethod
    def _is_a_bucket(cls, bucket: str) -> str:
        return MediaURI(f"s3://{bucket}/key").bucket

    @field_validator("src", "dst")
    @classmethod
    def _is_a_key(cls, key: str) -> str:
        if key.startswith("/") or _UNSAFE.search(key):
            raise ValueError(f"{key!r:.80} begins with a slash or holds a control character or a backslash")
        return key

    @field_validator("dst")
    @classmethod
    def _is_a_safe_folder(cls, dst: str) -> str:
        folder = dst if dst.endswith("/") else f"{dst}/"
        if not _is_safe(folder.removesuffix("/")):
            raise ValueError(f"{dst!r:.80} has an empty, '.' or '..' part")
        return folder

    @field_validator("v_height")
    @classmethod
    def _is_known(cls, height: int) -> int:
        known = HEIGHTS_PX[-1] if height == _CODED_1080P else height
        if known not in HEIGHTS_PX:
            raise ValueError("not 480p 720p 1080p")
        return known

    @property
    def is_folder(self) -> bool:
        return self.src.endswith("/")

    @property
    def is_test(self) -> bool:
        return self.testflag != "no"

    def fields(self) -> dict[str, JsonValue]:
        """The request as JSON values, without what was left out."""
        fields: dict[str, JsonValue] = self.model_dump(mode="json", exclude_unset=True)
        return fields


class Names(BaseModel):
    """Where the result of one source lies: `dst` is its key, `folder` the source's own, `path` that one's parent.

    The folder is the same for every type, and others may keep things in it too.
    """

    model_config = ConfigDict(frozen=True)

    bucket: str
    src: str
    path: str
    stem: str
    folder: str
    dst: str
    status: str

    @classmethod
    def of(cls, request: TranscodeRequest, key: str) -> Names | None:
        """The names for a source; None: it is no `.mp4` file.

        Raises:
            ValueError: no safe or legal key comes out, or the source lies where its output would; the message is the
                reason.
        """
        stem = posixpath.basename(key).removesuffix(_SUFFIX)
        if not key.endswith(_SUFFIX) or not stem:
            return None
        folder_of_key = key[: len(key) - len(stem + _SUFFIX)]
        path = request.dst + (folder_of_key.removeprefix(request.src) if request.is_folder else "")
        folder = f"{path}{stem}_{request.time}/"
        dst, status = f"{folder}{stem}.{request.type}", f"{folder}status-{request.type}.json"
        if not _is_safe(dst):
            raise ValueError("its name has an empty, '.' or '..' part")
        if max(len(dst.encode()), len(status.encode())) > 1024 or _UNSAFE.search(dst):
            raise ValueError("its output would have no legal name")
        if key.startswith(folder):
            raise ValueError("it lies in the folder of its own output")
        return cls(bucket=request.bucket, src=key, path=path, stem=stem, folder=folder, dst=dst, status=status)

    @property
    def source(self) -> MediaURI:
        return MediaURI(f"s3://{self.bucket}/{self.src}")

    @property
    def output(self) -> MediaURI:
        return MediaURI(f"s3://{self.bucket}/{self.dst}")

    @property
    def work(self) -> str:
        """The status as a URI: the vendor's id of the work that makes this type of this source."""
        return f"s3://{self.bucket}/{self.status}"


def _is_safe(key: str) -> bool:
    return not {"", ".", ".."} & set(key.split("/"))


def build_entry(names: Names, status: Literal["transcode", "exist", "error"], error: str) -> dict[str, Any]:
    """One entry of `videos`."""
    return {
        "src": names.src,
        "dst": names.dst,
        "keyoutpath": names.path,
        "output_key": names.stem,
        "status": status,
        "error": error,
    }


def choose_renditions(kind: Literal["mp4", "m3u8"], height_px: int, bitrate_bps: int) -> tuple[Rendition, ...]:
    """What is made of a source of that height (of `HEIGHTS_PX`) and bitrate; what the source really has, limits it."""
    if kind == "mp4":
        return (Rendition(height_px=height_px, video_bitrate_bps=_MP4_BPS[height_px]),)
    return LADDER[: 1 + sum(bitrate_bps >= step for step in _STEPS_BPS[height_px])]

"""The job document: the one JSON object that says what the worker shall do, whoever starts it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from mediabroker.errors import InvalidJobError
from mediabroker.models import Value, readable
from mediabroker.refs import MediaURI

__all__ = ["MOST_THREADS", "EncoderSettings", "JobDocument", "load_document", "parse_document"]

MOST_THREADS = 256


class EncoderSettings(Value):
    """How the upscaled video is compressed: by quality (`crf`) or by bitrate, not both; neither means CRF 18."""

    codec: Literal["auto", "h264", "h265"] = "auto"
    crf: float | None = Field(default=None, ge=0, le=51)
    bitrate_bps: int | None = Field(default=None, ge=10_000, le=400_000_000)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"] = "veryfast"

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.crf is not None and self.bitrate_bps is not None:
            raise ValueError("give crf or bitrate_bps, not both")
        return self


class JobDocument(Value):
    """One super-resolution job.

    Args:
        version: of this format.
        input: the source video, a local path or `file://`.
        output: where the result appears, whole or not at all; its suffix chooses the container.
        work_dir: the job's own folder for slices and records; what is finished in it is not done again.
        scale: how much larger the picture becomes in both directions.
        model: name of the weights, `<model>-x<scale>`.
        runtime: what executes the network; `auto` takes the best that is usable.
        slice_s: length of the pieces that are resumed and retried one by one, in seconds.
        deinterlace: turn interlaced video into progressive first; without it interlaced video is refused.
        overwrite: replace what is at `output`.
        debug: keep all intermediates in `work_dir`.
        encoder: how the result is compressed.
        threads: how many frames are upscaled at the same time; None means one for each processor.
    """

    version: Literal[1] = 1
    input: MediaURI
    output: MediaURI
    work_dir: Path
    scale: Literal[2, 4] = 2
    model: str = Field(default="fast", pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$")
    runtime: str = Field(default="auto", pattern=r"^[a-z][a-z0-9_]{0,31}$")
    slice_s: float = Field(default=60.0, ge=0.1, le=3600)
    deinterlace: bool = False
    overwrite: bool = False
    debug: bool = False
    encoder: EncoderSettings = EncoderSettings()
    threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)

    @model_validator(mode="after")
    def _local_and_distinct(self) -> Self:
        for name, uri in (("input", self.input), ("output", self.output)):
            if uri.scheme != "file":
                raise ValueError(f"{name}: {uri} is not a local file")
        # Path.resolve would raise a RuntimeError of its own for links in a loop.
        if os.path.realpath(self.input.path) == os.path.realpath(self.output.path):
            raise ValueError(f"output: {self.output} is also the input; the source would be lost")
        return self

    def digest(self) -> str:
        """Of everything that decides what the output is, and where; hex SHA-256."""
        content = self.model_dump(mode="json", exclude={"work_dir", "debug", "threads"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_document(path: Path) -> JobDocument:
    """The document in a file.

    Raises:
        InvalidJobError: the file cannot be read, is not JSON, or breaks the format.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InvalidJobError(f"the job document {path} cannot be read: {error}") from error
    return parse_document(content)


def parse_document(content: str) -> JobDocument:
    """The document that a JSON text describes.

    Raises:
        InvalidJobError: the text breaks the format; the message names each field that does.
    """
    try:
        return JobDocument.model_validate_json(content)
    except ValidationError as error:
        raise InvalidJobError(readable(error)) from error

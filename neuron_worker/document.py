"""The job document: the one JSON object that says what the worker shall do, whoever starts it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from mediabroker.errors import InvalidJobError
from mediabroker.jobs import SuperResolution
from mediabroker.models import Value, readable

__all__ = ["MOST_THREADS", "JobDocument", "load_document", "parse_document"]

MOST_THREADS = 256


class JobDocument(Value):
    """One super-resolution job on this machine. Version 1, whose fields stood beside each other, is read as well.

    Args:
        version: of this format.
        job: what to do; `input` and `output` are local, and the suffix of `output` chooses the container.
        work_dir: the job's own folder for slices and records; what is finished in it is not done again.
        runtime: what executes the network; `auto` takes the best that is usable.
        threads: how many frames are upscaled at the same time; None means one for each processor.
    """

    version: Literal[2] = 2
    job: SuperResolution
    work_dir: Path
    runtime: str = Field(default="auto", pattern=r"^[a-z][a-z0-9_]{0,31}$")
    threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "job" in given or given.get("version", 1) != 1:
            return given
        own = {name: value for name, value in given.items() if name in cls.model_fields and name != "version"}
        return {**own, "job": {name: value for name, value in given.items() if name not in cls.model_fields}}

    @model_validator(mode="after")
    def _local_and_distinct(self) -> Self:
        for name, uri in (("input", self.job.input), ("output", self.job.output)):
            if uri.scheme != "file":
                raise ValueError(f"{name}: {uri} is not a local file")
        # Path.resolve would raise a RuntimeError of its own for links in a loop.
        if os.path.realpath(self.job.input.path) == os.path.realpath(self.job.output.path):
            raise ValueError(f"output: {self.job.output} is also the input; the source would be lost")
        return self

    def digest(self) -> str:
        """Return the hex SHA-256 of everything that decides what the output is, and where."""
        content = {**self.job.model_dump(mode="json", exclude={"debug"}), "runtime": self.runtime}
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

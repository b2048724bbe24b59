"""The body of `POST /`, read: what is asked for, or what is wrong with it, field by field."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator

from mediabroker.errors import ErrorCode, InvalidJobError, ProviderError
from mediabroker.jobs import ModelName, SliceSeconds, SuperResolution, VideoEncoder
from mediabroker.models import Value
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, Reply
from mediabroker_aws.functions.proxy import RefusedError
from mediabroker_aws.functions.upscale.settings import UpscaleSettings
from mediabroker_aws.options import BatchOptions

__all__ = ["CONTAINERS", "InvalidOrderError", "Order", "check_picture", "parse_order"]

CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv")
"""What the worker writes, by the output's suffix."""
_ANY_CONTAINER = ".mkv"
"""Holds whatever the source's container held."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_KEY_LIMIT_BYTES = 1024
_SHOWN = 80

_EXPECTED: Mapping[str, str] = {
    "key": "the key of a video in the service's bucket, as in/film.mp4",
    "scale": "2 or 4",
    "task": '"inference" or "debug"',
    "env": '"spot" or "onDemand"',
    "output": f"a key in the service's bucket that ends in one of {', '.join(CONTAINERS)}",
    "overwrite": "true or false",
    "segment_time": "seconds from 0.1 to 3600",
    "model": "the name of a model",
    "deinterlace": "true or false",
    "encoder": "an object with codec, crf or video_bitrate_bps, and preset",
}
_CAPACITIES: Mapping[str, Literal["spot", "on_demand"]] = {"spot": "spot", "onDemand": "on_demand"}


class InvalidOrderError(RefusedError):
    """400. `findings` name each field, its value and what would be right."""

    def __init__(self, findings: Sequence[Mapping[str, JsonValue]]) -> None:
        super().__init__(400, "; ".join(_sentence(each) for each in findings))
        self.findings = [dict(each) for each in findings]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.findings,)


class Order(Value, frozen=True):
    """One request for super-resolution. `key`, `scale`, `task` and `env` are the original service's.

    `segment_time` is the original's undocumented field; like `scale` it may come as text, as the original took it.
    """

    key: str
    scale: Literal[2, 4] = 2
    task: Literal["inference", "debug"] = "inference"
    env: Literal["spot", "onDemand"] = "spot"
    output: str | None = None
    overwrite: bool = Field(default=False, strict=True)
    segment_time: SliceSeconds | None = None
    model: ModelName = "fast"
    deinterlace: bool = Field(default=False, strict=True)
    encoder: VideoEncoder = VideoEncoder()

    @field_validator("scale", mode="before")
    @classmethod
    def _scale_as_text(cls, scale: Any) -> Any:
        return {"2": 2, "4": 4}.get(scale, scale) if isinstance(scale, str) else scale

    @field_validator("segment_time", mode="before")
    @classmethod
    def _a_number(cls, seconds: Any) -> Any:
        if isinstance(seconds, bool) or seconds is None:
            raise ValueError("no number of seconds")
        return seconds

    @field_validator("output", mode="before")
    @classmethod
    def _given(cls, output: Any) -> Any:
        if output is None:
            raise ValueError("leave it out, or name a key")
        return output

    @field_validator("key", "output")
    @classmethod
    def _a_plain_key(cls, key: str) -> str:
        if problem := _problem_of(key):
            raise ValueError(problem)
        return key

    @field_validator("output")
    @classmethod
    def _a_container(cls, output: str) -> str:
        if PurePosixPath(output).suffix.lower() not in CONTAINERS:
            raise ValueError(f"the worker writes {', '.join(CONTAINERS)}")
        return output

    @property
    def fingerprint(self) -> str:
        """Digest of what was asked for; a field left out and its default are the same request."""
        canonical = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def options(self) -> BatchOptions:
        return BatchOptions(capacity=_CAPACITIES[self.env])

    def spec(self, settings: UpscaleSettings) -> SuperResolution:
        """The job that this asks for.

        Raises:
            InvalidOrderError: `key` or `output` lie where the service does not read or write.
        """
        source = self._source(settings)
        if getattr(settings.queues(), _CAPACITIES[self.env]) is None:
            other = next(each for each in _CAPACITIES if each != self.env)
            problem = "the service has no queue for it"
            raise InvalidOrderError([_finding_of("env", self.env, problem, expected=json.dumps(other))])
        output = self.output or _default_output(self.key, self.scale, settings)
        named = "output" if self.output else "key"
        if settings.output_prefix and not output.startswith(f"{settings.output_prefix}/"):
            raise _misplaced(named, output, f"outputs lie below {settings.output_prefix}/")
        if output.startswith(f"{settings.work_prefix}/"):
            raise _misplaced(named, output, f"{settings.work_prefix}/ is the service's own")
        if output == self.key:
            raise _misplaced(named, output, "it is also the source, which would be lost")
        try:
            return SuperResolution(
                input=source,
                output=settings.uri(output),
                scale=self.scale,
                debug=self.task == "debug",
                overwrite=self.overwrite,
                slice_s=settings.slice_s if self.segment_time is None else self.segment_time,
                model=self.model,
                deinterlace=self.deinterlace,
                encoder=self.encoder,
            )
        except InvalidJobError as error:
            raise _misplaced(named, output, f"{error}; give another output") from error

    def _source(self, settings: UpscaleSettings) -> MediaURI:
        if settings.input_prefix and not self.key.startswith(f"{settings.input_prefix}/"):
            raise _misplaced("key", self.key, f"sources lie below {settings.input_prefix}/")
        if self.key.startswith(f"{settings.work_prefix}/"):
            raise _misplaced("key", self.key, f"{settings.work_prefix}/ is the service's own")
        return settings.uri(self.key)


def parse_order(fields: Mapping[str, JsonValue]) -> Order:
    """The request in a body's JSON object.

    Raises:
        InvalidOrderError: a field is missing, unknown or wrong.
    """
    try:
        return Order.model_validate(fields)
    except ValidationError as error:
        raise InvalidOrderError([_finding(each) for each in error.errors(include_url=False)]) from error


def check_picture(call: Call[Any], reply: Reply, scale: int, most_pixels: int) -> None:
    """Refuse a video that would become too large, once its size is read.

    Raises:
        ProviderError: `UNSUPPORTED`, in the original's words.
    """
    if call.operation != "ReadMetadata":
        return
    width_px, height_px = int(str(reply["width_px"])), int(str(reply["height_px"]))
    if width_px * height_px * scale**2 > most_pixels:
        raise ProviderError(
            f"Video size exceeded the limit: {width_px}x{height_px} times {scale} is more than {most_pixels} pixels",
            provider=call.service,
            operation=call.operation,
            provider_code=ErrorCode.UNSUPPORTED.value,
        )


def _finding(found: Any) -> dict[str, JsonValue]:
    field = ".".join(str(part) for part in found["loc"])
    if found["type"] == "missing":
        return {"field": field, "value": None, "problem": "it is missing", "expected": _EXPECTED[field]}
    if found["type"] == "extra_forbidden":
        known = ", ".join(Order.model_fields)
        near = difflib.get_close_matches(field, Order.model_fields, n=1)
        expected = f"{near[0]}?" if near else f"one of {known}"
        return {"field": field, "value": _shown(found["input"]), "problem": "it is not known", "expected": expected}
    problem = str(found["msg"]).removeprefix("Value error, ")
    expected = _EXPECTED.get(str(found["loc"][0]), "")
    return {"field": field, "value": _shown(found["input"]), "problem": problem, "expected": expected}


def _sentence(finding: Mapping[str, JsonValue]) -> str:
    value = "" if finding["value"] is None else f" {json.dumps(finding['value'])}"
    return f"{finding['field']}{value}: {finding['problem']}; use {finding['expected']}"


def _misplaced(field: str, key: str, problem: str) -> InvalidOrderError:
    return InvalidOrderError([_finding_of(field, key, problem)])


def _finding_of(field: str, value: JsonValue, problem: str, *, expected: str = "") -> dict[str, JsonValue]:
    return {"field": field, "value": _shown(value), "problem": problem, "expected": expected or _EXPECTED[field]}


def _shown(value: JsonValue) -> JsonValue:
    """The value, or the beginning of its text: answers stay small."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
    except ValueError:  # 1e999 and NaN pass for JSON on the way in, and would not on the way out
        return str(value)[:_SHOWN]
    return text[:_SHOWN] + "…" if len(text) > _SHOWN else value


def _problem_of(key: str) -> str | None:
    """Why this is no key that the service takes. S3 takes more: `a//b` and `a/../b` are names there, not paths."""
    return next((problem for is_so, problem in _PROBLEMS if is_so(key)), None)


_PROBLEMS: Sequence[tuple[Callable[[str], object], str]] = (
    (_CONTROL.search, "it holds a control character, or half a character"),
    (lambda key: len(key.encode()) > _KEY_LIMIT_BYTES, f"it has more than {_KEY_LIMIT_BYTES} bytes"),
    (lambda key: key.startswith(("s3://", "https://")), "it is an address"),
    (lambda key: "\\" in key, "it holds a backslash"),
    (lambda key: not {"", ".", ".."}.isdisjoint(key.split("/")), "it has a part that is empty, . or .."),
)


def _default_output(key: str, scale: int, settings: UpscaleSettings) -> str:
    """`films/a.mp4` becomes `films/a_x2.mp4`, below the output prefix instead of the input prefix if there are such."""
    path = PurePosixPath(key)
    suffix = path.suffix if path.suffix.lower() in CONTAINERS else _ANY_CONTAINER
    name = path.with_name(f"{path.stem}_x{scale}{suffix}")
    if not settings.output_prefix:
        return str(name)
    inner = name.relative_to(settings.input_prefix) if settings.input_prefix else name
    return f"{settings.output_prefix}/{inner}"

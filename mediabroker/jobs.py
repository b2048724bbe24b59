r"""What can be asked for. A kind names an effect; its type parameter is the type of its result.

    ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$")]
SliceSeconds = Annotated[float, Field(ge=0.1, le=3600)]


class SuperResolution(JobSpec[VideoResult])     broker.run(SuperResolution(...)) -> VideoResult

Third parties subclass `JobSpec` with their own `kind`; defining the class is enough for `JobSpec.parse` to read it.
Offered in the entry-point group `mediabroker.kinds` under its kind, it is also found where nobody has imported it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeAlias

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator
from typing_extensions import Self, TypeVar

from mediabroker.errors import InvalidJobError
from mediabroker.models import Value, readable
from mediabroker.plugins import load_plugin, offered
from mediabroker.refs import MediaURI
from mediabroker.results import ImagesResult, JobResult, MediaInfoResult, ProductionResult, VideoResult

if TYPE_CHECKING:
    # Text and paths go in, a `MediaURI` comes out. Type checkers know no conversion on the way, so to them it is either
    # this or an error at every `input="in.mp4"`.
    GivenURI: TypeAlias = Any
else:
    GivenURI = MediaURI

__all__ = [
    "GivenURI",
    "JobSpec",
    "MediaInfo",
    "Rendition",
    "SmartProduction",
    "Snapshot",
    "SuperResolution",
    "Transcode",
    "VideoEncoder",
    "build_spec",
    "is_known_kind",
    "known_kinds",
    "result_type_of",
]

R_co = TypeVar("R_co", bound=JobResult, covariant=True, default=JobResult)
P_co = TypeVar("P_co", bound=JobResult, covariant=True, default=ProductionResult)

KIND_GROUP = "mediabroker.kinds"
_MP4_SUFFIXES = (".mp4", ".m4v")
"""One format; `.mov` is another, and whoever opens the file may go by its name."""
_KINDS: dict[str, type[JobSpec[Any]]] = {}


class VideoEncoder(Value, frozen=True):
    """How the output video is compressed: by quality (`crf`) or by bitrate, not both.

    With neither, super-resolution uses CRF 18 and a transcode CRF 21.
    """

    codec: Literal["auto", "h264", "h265"] = "auto"
    """`auto` keeps what the source needs: h265 main10 for more than 8 bits, else h264."""
    crf: float | None = Field(default=None, ge=0, le=51)
    video_bitrate_bps: int | None = Field(default=None, ge=10_000, le=400_000_000)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"] = "veryfast"

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, given: Any) -> Any:
        """Read stored jobs and documents of releases that called the bit rate `bitrate_bps`."""
        if isinstance(given, Mapping) and "bitrate_bps" in given and "video_bitrate_bps" not in given:
            return {"video_bitrate_bps" if name == "bitrate_bps" else name: value for name, value in given.items()}
        return given

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.crf is not None and self.video_bitrate_bps is not None:
            raise ValueError("give crf or video_bitrate_bps, not both")
        return self


class JobSpec(Value, Generic[R_co], frozen=True):
    """One job, whoever runs it.

    Args:
        input: the source.
        output: where the result must be when the job has succeeded.
        overwrite: replace what is at `output`; without it an existing output fails the job with `OUTPUT_EXISTS`.
        debug: keep every intermediate.
        labels: short names to find jobs by.
        user_data: comes back untouched with every event of the job.
    """

    kind: str
    input: GivenURI
    output: GivenURI | None = None
    overwrite: bool = False
    debug: bool = False
    labels: Mapping[str, str] = {}
    user_data: JsonValue = None

    result_type: ClassVar[type[JobResult]] = JobResult

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        parameters = cls.__mro__[1].__dict__.get("__pydantic_generic_metadata__", {}).get("args", ())
        if parameters and isinstance(parameters[0], type):
            cls.result_type = parameters[0]
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str) and kind not in _KINDS:
            _KINDS[kind] = cls

    @field_validator("labels", "user_data")
    @classmethod
    def _storable(cls, given: Any) -> Any:
        """Refuse what not every database can keep, so that a job does not depend on its store."""
        if "\\u0000" in json.dumps(given, ensure_ascii=True):
            raise ValueError("it holds a zero character, which no database keeps; leave it out")
        return given

    @field_validator("labels")
    @classmethod
    def _short(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in labels.items():
            if not 1 <= len(name) <= 128 or len(value) > 512:
                raise ValueError(f"{name!r:.40}: names have 1 to 128 characters, values up to 512")
        return labels

    @model_validator(mode="after")
    def _input_is_not_output(self) -> Self:
        if self.output is not None and self.output == self.input:
            raise ValueError(f"output: {self.output} is also the input; the source would be lost")
        return self

    @staticmethod
    def parse(fields: Mapping[str, Any]) -> JobSpec[Any]:
        """The spec that a mapping describes, of the class its `kind` names.

        Raises:
            InvalidJobError: unknown kind, unknown field, or a value out of range; the message names each.
        """
        kind = fields.get("kind")
        cls = _class_of(kind) if isinstance(kind, str) else None
        if cls is None:
            raise InvalidJobError(f"kind: {kind!r} is not known; one of {', '.join(known_kinds())}")
        return build_spec(cls, fields)


def build_spec(cls: type[JobSpec[Any]], fields: Mapping[str, Any]) -> JobSpec[Any]:
    """`cls(**fields)` with pydantic's findings as one readable `InvalidJobError`."""
    try:
        return cls.model_validate(dict(fields))
    except ValidationError as error:
        raise InvalidJobError(readable(error)) from None  # pydantic's text repeats values, which may hold credentials


def is_known_kind(kind: str) -> bool:
    """Whether this process has defined a spec of that kind, or can load one."""
    return _class_of(kind) is not None


def known_kinds() -> list[str]:
    """Every kind that this process knows or can load, by name."""
    return sorted({*_KINDS, *_offered()})


def result_type_of(kind: str) -> type[JobResult]:
    """The result type of a kind; the common part for a kind that this process cannot find."""
    spec = _class_of(kind)
    return spec.result_type if spec else JobResult


def _class_of(kind: str) -> type[JobSpec[Any]] | None:
    if kind not in _KINDS and kind in _offered():
        load_plugin(KIND_GROUP, kind, what="kind", where="kind")  # defining the class enters it
    return _KINDS.get(kind)


@cache
def _offered() -> Mapping[str, EntryPoint]:
    return offered(KIND_GROUP, "kind")


ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$")]
SliceSeconds = Annotated[float, Field(ge=0.1, le=3600)]


class SuperResolution(JobSpec[VideoResult], frozen=True):
    """Raise the resolution of a video by `scale` in both directions, frame for frame.

    `slice_s` is the length of the pieces that are worked on, resumed and retried one by one, in seconds.
    """

    kind: Literal["super_resolution"] = "super_resolution"
    output: GivenURI = Field()  # as a call, so that checkers do not inherit the default of `JobSpec.output`
    scale: Literal[2, 4] = 2
    model: ModelName = "fast"
    slice_s: SliceSeconds = 60.0
    deinterlace: bool = False
    encoder: VideoEncoder = VideoEncoder()


class Rendition(Value, frozen=True):
    """One quality of a ladder. What exceeds the source's height or bitrate is left out, never scaled up."""

    height_px: int = Field(ge=64, le=4320, multiple_of=2)
    video_bitrate_bps: int = Field(ge=50_000, le=100_000_000)
    audio_bitrate_bps: int = Field(default=128_000, ge=16_000, le=512_000)


class Transcode(JobSpec[VideoResult], frozen=True):
    """Re-encode to one mp4 file, or to an HLS ladder.

    For `mp4`, `output` is the file (`….mp4` or `….m4v`); at most one rendition, none keeps the source's size. For
    `hls`, `output` is the master playlist (`….m3u8`) and the renditions lie beside it; no renditions means the default
    ladder up to the source's height. Providers that name the files themselves take a folder as `output`, with a slash
    at its end, and some take one as `input`: then every file in it is transcoded.
    """

    kind: Literal["transcode"] = "transcode"
    output: GivenURI = Field()
    container: Literal["mp4", "hls"] = "mp4"
    renditions: tuple[Rendition, ...] = ()
    segment_s: float = Field(default=6.0, ge=1, le=30)
    encoder: VideoEncoder = VideoEncoder()

    @field_validator("renditions")
    @classmethod
    def _distinct(cls, renditions: tuple[Rendition, ...]) -> tuple[Rendition, ...]:
        if len({(each.height_px, each.video_bitrate_bps) for each in renditions}) != len(renditions):
            raise ValueError("two renditions are equal")
        return renditions

    @model_validator(mode="after")
    def _fits_container(self) -> Self:
        if self.container == "mp4" and len(self.renditions) > 1:
            raise ValueError("renditions: an mp4 file holds one; use container='hls' for a ladder")
        if self.container == "hls" and not self.output.key.endswith((".m3u8", "/")):
            raise ValueError(f"output: {self.output} must end in .m3u8, the master playlist of the ladder")
        if self.container == "mp4" and not self.output.key.lower().endswith((*_MP4_SUFFIXES, "/")):
            advice = "; for a playlist set container='hls'" if self.output.key.lower().endswith(".m3u8") else ""
            raise ValueError(f"output: {self.output.name!r} must end in .mp4 or .m4v, as container is 'mp4'{advice}")
        return self


class Snapshot(JobSpec[ImagesResult], frozen=True):
    """Still pictures at the given times. Several need `{index}` in the output's name, counted from 1."""

    kind: Literal["snapshot"] = "snapshot"
    output: GivenURI = Field()
    at_s: tuple[float, ...] = Field(default=(0.0,), min_length=1, max_length=1000)
    width_px: int | None = Field(default=None, ge=8, le=16384)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        if len(self.at_s) > 1 and "{index}" not in self.output.key:
            raise ValueError(f"output: {len(self.at_s)} pictures need {{index}} in the name {self.output.name!r}")
        if not self.output.key.lower().endswith((".png", ".jpg", ".jpeg")):
            raise ValueError(f"output: {self.output.name!r} must end in .png, .jpg or .jpeg")
        if min(self.at_s) < 0:
            raise ValueError(f"at_s: {min(self.at_s)} is before the start")
        return self


class MediaInfo(JobSpec[MediaInfoResult], frozen=True):
    """Describe the input: container, streams, durations, colour. `output` may name a JSON file to keep it in."""

    kind: Literal["media_info"] = "media_info"


class SmartProduction(JobSpec[P_co], Generic[P_co], frozen=True):
    """An intelligent production function by its provider's own name, with that provider's own parameters.

    Open on purpose: vendors add functions faster than any release. The leaves in `mediabroker.production` are typed.

    Args:
        function: as the provider calls it, e.g. `Cover`.
        params: as the provider documents them; in a leaf, what goes along beside its typed fields.
    """

    kind: str = "smart_production"
    function: str = Field(min_length=1, max_length=64)
    params: Mapping[str, JsonValue] = {}

    result_type: ClassVar[type[JobResult]] = ProductionResult

    @field_validator("params")
    @classmethod
    def _named(cls, params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        for name in params:
            if not name.isidentifier():
                raise ValueError(f'{name!r:.60} is no name of a parameter; write JSON, such as {{"mode": "gif"}}')
        return params

    @field_validator("kind")
    @classmethod
    def _is_of_this_class(cls, kind: str) -> str:
        usual = cls.model_fields["kind"].default
        if kind != usual:
            raise ValueError(f"{kind!r} is not the kind of {cls.__name__}, which is {usual!r}")
        return kind

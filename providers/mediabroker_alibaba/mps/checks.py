"""What MPS cannot be told, refused before anything is stored or sent."""

from __future__ import annotations

from typing import Any

from mediabroker.errors import InvalidJobError, UnsupportedError
from mediabroker.jobs import JobSpec, MediaInfo, SmartProduction, Snapshot, Transcode
from mediabroker.production import AudioMixing
from mediabroker.production.names import placeholders
from mediabroker.refs import MediaURI
from mediabroker.spi import SubmitContext
from mediabroker_alibaba.catalogue import BY_KIND, BY_NAME, build_params
from mediabroker_alibaba.mns.url import parse_queue_url
from mediabroker_alibaba.mps.transcode_requests import check_transcode
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.oss.names import check_region
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.user_data import build_user_data

__all__ = ["check"]

_RESERVED = frozenset({"FunctionName", "Input", "JobParams", "Output", "OutputObject", "SnapshotConfig", "UserData"})
"""What makes a job findable, or says what the spec says; `MpsOptions.extra` may not replace it."""
_PRODUCTION_ONLY = ("notify_url", "model_id", "schedule_params")
_TRANSCODE_ONLY = ("template", "priority")
_PICTURES = 100
_STEP = "0" * 24
"""As long as any step's name."""
_LONGEST_ID = "x" * 30


def check(settings: MpsSettings, spec: JobSpec[Any], options: MpsOptions) -> None:
    """Raise for what cannot be expressed; see `MpsProvider.check`."""
    check_region("input", spec.input, settings.region)
    if spec.input.is_folder or (spec.output is not None and spec.output.is_folder):
        raise UnsupportedError(f"MPS reads and writes files, not folders ({spec.input}, {spec.output})")
    if spec.output is not None:
        check_region("output", spec.output, settings.region)
    if reserved := sorted(_RESERVED & set(options.extra)):
        raise UnsupportedError(f"options.extra: {', '.join(reserved)} cannot be replaced")
    _check_options(spec, options)
    if isinstance(spec, Transcode):
        check_transcode(spec, options)
        if not (options.pipeline or settings.pipeline):
            raise UnsupportedError("options.pipeline: MPS takes transcodes for a named pipeline only; give its id")
    elif isinstance(spec, Snapshot):
        _check_snapshot(spec)
    elif isinstance(spec, SmartProduction):
        _check_production(settings, spec)
        _check_queue(settings, options)
    _check_user_data(settings, spec)


def _check_options(spec: JobSpec[Any], options: MpsOptions) -> None:
    foreign = (() if isinstance(spec, SmartProduction) else _PRODUCTION_ONLY) + (
        () if isinstance(spec, Transcode) else _TRANSCODE_ONLY
    )
    for name in foreign:
        if getattr(options, name) is not None:
            raise UnsupportedError(f"options.{name}: MPS has no such thing for {spec.kind}")


def _check_snapshot(spec: Snapshot) -> None:
    if not spec.output.key.lower().endswith((".jpg", ".jpeg")):
        raise UnsupportedError(f"output: {spec.output.name!r} must end in .jpg; MPS takes no other pictures")
    if len(spec.at_s) > _PICTURES:
        raise UnsupportedError(f"at_s: {len(spec.at_s)} pictures are more than the {_PICTURES} of one job")
    if spec.width_px is not None and spec.width_px > 4096:
        raise UnsupportedError(f"width_px: {spec.width_px} is above MPS's 4096")


def _check_production(settings: MpsSettings, spec: SmartProduction[Any]) -> None:
    function = BY_KIND.get(spec.kind) or BY_NAME.get(spec.function)
    if isinstance(spec, AudioMixing):
        if spec.track.scheme != "oss":
            raise UnsupportedError(f"track: MPS does not read {spec.track.scheme}:// ({spec.track})")
        check_region("track", spec.track, settings.region)
    background = getattr(spec, "background", None)
    background = background if isinstance(background, MediaURI) else None  # MPS fetches any other URL by itself
    if background is not None and background.scheme not in ("oss", "https"):
        raise UnsupportedError(f"background: MPS does not read {background.scheme}:// ({background})")
    if background is not None:
        check_region("background", background, settings.region)
    if function is not None and function.refused:
        raise UnsupportedError(f"function: {function.name} is not offered: {function.refused}")
    if function is None or spec.output is None:
        return
    if not function.writes:
        raise UnsupportedError(f"output: {function.name} writes no file, so {spec.output} would never be there")
    held = placeholders(spec.output)
    if function.is_several(build_params(spec, settings.region)[1]) and not set(function.needs) & set(held):
        wanted = " or ".join(f"{{{each}}}" for each in function.needs)
        raise UnsupportedError(
            f"output: {spec.output.name!r} needs {wanted} in its name: {function.name} writes several files"
        )
    if not function.names_files and held:
        raise UnsupportedError(
            f"output: {spec.output.name!r} has {{{held[0]}}}, but {function.name} does not tell the names of its "
            "files, so nobody could find them; give a plain name"
        )


def _check_queue(settings: MpsSettings, options: MpsOptions) -> None:
    """A queue that MPS cannot reach would keep the job's end to itself, and that costs more where answers get lost."""
    url = options.notify_url or settings.notify_url
    region = parse_queue_url(url).region if url else None
    if region not in (None, settings.region):
        raise UnsupportedError(
            f"notify_url: {url} lies in {region}; MPS tells queues of its own region, {settings.region}"
        )


def _check_user_data(settings: MpsSettings, spec: JobSpec[Any]) -> None:
    longest = SubmitContext(job_id=_LONGEST_ID, attempt=99, token=_LONGEST_ID, input=spec.input, output=spec.output)
    ladder = isinstance(spec, Transcode) and spec.container == "hls"
    carried = spec.output if ladder or isinstance(spec, MediaInfo) else None
    try:
        build_user_data(spec, longest, limit_bytes=settings.user_data_limit_bytes, step=_STEP, of=100, output=carried)
    except InvalidJobError as error:
        raise UnsupportedError(str(error)) from error

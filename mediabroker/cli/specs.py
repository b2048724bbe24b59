"""From what is typed to what the broker takes: spec files, renditions, durations, labels."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediabroker.errors import InvalidJobError, MissingDependencyError
from mediabroker.jobs import JobSpec
from mediabroker.models import readable
from mediabroker.spi import Provider, ProviderOptions
from mediabroker.states import JobState

__all__ = ["STATES", "duration_of", "labels_of", "options_of", "read_spec", "rendition_fields", "state_of"]

STATES = ", ".join(state.value.lower() for state in JobState)

_RENDITION = re.compile(r"(\d+)p?:(\d+(?:\.\d+)?)([kKmM])?")
_OPTION = re.compile(r"([^.=]+)\.([^.=]+)=(.*)", re.DOTALL)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MULTIPLE = {"": 1, "k": 1_000, "m": 1_000_000}


def read_spec(source: str) -> JobSpec[Any]:
    """The job described in a JSON or YAML file, or on stdin for `-`.

    Raises:
        InvalidJobError: the file cannot be read or parsed, is no mapping, or describes no valid job.
        MissingDependencyError: it is YAML and PyYAML is not installed.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidJobError(f"{source} cannot be read: {error}") from error
    fields = _parsed(source, text)
    if not isinstance(fields, Mapping):
        raise InvalidJobError(f"{source} must hold one mapping of fields, as {{kind: …, input: …, output: …}}")
    return JobSpec.parse(fields)


def _parsed(source: str, text: str) -> Any:
    if not source.endswith((".yaml", ".yml")):
        try:
            return json.loads(text)
        except ValueError as error:
            if source != "-":
                raise InvalidJobError(f"{source} is not JSON: {error}") from error
    # What comes through a pipe has no name to go by: JSON first, then YAML.
    try:
        import yaml  # noqa: PLC0415  optional: JSON needs nothing
    except ImportError as error:
        raise MissingDependencyError(f"{source}: reading YAML needs PyYAML: pip install pyyaml") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidJobError(f"{source} is not YAML: {' '.join(str(error).split())}") from error


def rendition_fields(text: str) -> dict[str, int]:
    """`720:2500k` as the fields of a `Rendition`: height in pixels, video bitrate in bits a second (k and M work)."""
    match = _RENDITION.fullmatch(text)
    if not match:
        raise InvalidJobError(f"rendition {text!r}: write HEIGHT:BITRATE, as 720:2500k or 1080:5M")
    height, amount, unit = match.groups()
    return {"height_px": int(height), "video_bitrate_bps": round(float(amount) * _MULTIPLE[(unit or "").lower()])}


def labels_of(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as a mapping."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise InvalidJobError(f"label {name + equals + value!r}: write name=value")
    return {name: value for name, _, value in pairs}


def options_of(texts: Sequence[str], providers: Mapping[str, Provider]) -> list[ProviderOptions]:
    """`local.threads=2` texts as typed options, one model a provider; values are JSON where they can be read so.

    Raises:
        InvalidJobError: not of that form, no such provider, or an option that it does not have or take.
    """
    fields: dict[str, dict[str, Any]] = defaultdict(dict)
    for text in texts:
        match = _OPTION.fullmatch(text)
        if not match:
            raise InvalidJobError(f"option {text!r}: write PROVIDER.NAME=VALUE, as local.threads=2")
        provider, name, value = match.groups()
        fields[provider][name] = _json_or_text(value)
    return [_provider_options(provider, given, providers) for provider, given in fields.items()]


def _provider_options(name: str, given: Mapping[str, Any], providers: Mapping[str, Provider]) -> ProviderOptions:
    if name not in providers:
        raise InvalidJobError(f"option {name}.{next(iter(given))}: there is no provider {name!r}")
    model = providers[name].capabilities().options
    if model is None:
        raise InvalidJobError(f"provider {name!r} has no options")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        raise InvalidJobError(f"options of {name}: {readable(error)} (there are: {known})") from error


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def state_of(text: str) -> JobState:
    """A job state by its name, in small letters or capitals."""
    try:
        return JobState(text.upper())
    except ValueError:
        raise InvalidJobError(f"state {text!r}: one of {STATES}") from None


def duration_of(text: str) -> timedelta:
    """`30d`, `12h`, `90m`, `2w` as a span of time."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise InvalidJobError(f"duration {text!r}: write a number and one of s, m, h, d, w, as 30d")
    return timedelta(seconds=float(match.group(1)) * _UNIT_S[match.group(2)])

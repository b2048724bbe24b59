"""What travels with a job in its `UserData`: whose it is, so that any host can find it again and take it over.

MPS has no client token; this text is the only thing of ours that its answers and callbacks repeat.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, JsonValue, ValidationError

from mediabroker.errors import UnsupportedError
from mediabroker.jobs import JobSpec
from mediabroker.models import Value
from mediabroker.refs import MediaURI
from mediabroker.spi import Origin, SubmitContext

__all__ = ["Tag", "build_user_data", "parse_user_data"]

_VERSION = 1


class Tag(Value, frozen=True, populate_by_name=True):
    """The parsed text. `step` names the create within its attempt, `of` how many creates the attempt has."""

    version: int = Field(alias="mediabroker")
    job_id: str = Field(alias="job", min_length=1, max_length=64)
    kind: str = Field(min_length=1, max_length=64)
    token: str = Field(min_length=1, max_length=64)
    attempt: int = Field(default=1, ge=1)
    step: str = Field(default="", max_length=64)
    of: int = Field(default=1, ge=1)
    output: MediaURI | None = None
    deliver_to: MediaURI | None = None
    overwrite: bool = False
    user_data: JsonValue = None

    @property
    def origin(self) -> Origin:
        return Origin(
            job_id=self.job_id,
            kind=self.kind,
            token=self.token,
            attempt=self.attempt,
            output=self.output,
            deliver_to=self.deliver_to,
            overwrite=self.overwrite,
            user_data=self.user_data,
        )


def build_user_data(
    spec: JobSpec[Any], ctx: SubmitContext, *, limit_bytes: int, step: str, of: int = 1, output: MediaURI | None = None
) -> str:
    """The text for one create. `output` only where the vendor's answer does not tell it anyway.

    Where the broker delivers the output itself, that travels along as far as it fits; only a takeover needs it.

    Raises:
        UnsupportedError: it does not fit; without the spec's `user_data` it would, or the output's name is too long.
    """
    tag = Tag(
        version=_VERSION,
        job_id=ctx.job_id,
        kind=spec.kind,
        token=ctx.token,
        attempt=ctx.attempt,
        step=step,
        of=of,
        output=output,
        user_data=spec.user_data,
    )
    values = tag.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = _dump(values)
    if ctx.deliver_to is not None:
        handed_on = {
            **values,
            "output": str(ctx.output),
            "deliver_to": str(ctx.deliver_to),
            "overwrite": spec.overwrite,
        }
        text = longer if len(longer := _dump(handed_on)) <= limit_bytes else text
    if len(text) > limit_bytes:
        field = "user_data" if spec.user_data is not None else "output"
        raise UnsupportedError(
            f"{field}: together with the job's token it makes {len(text)} bytes; a job on MPS carries {limit_bytes}"
        )
    return text


def _dump(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"))


def parse_user_data(text: object) -> Tag | None:
    """Whose job it is; None: not ours, or of a later release's form."""
    if not isinstance(text, str) or not text.startswith('{"mediabroker":'):
        return None
    try:
        tag = Tag.model_validate_json(text)
    except (ValidationError, ValueError, RecursionError):
        return None
    return tag if tag.version == _VERSION else None

"""The parameters of the effects, under the names that Alibaba Cloud's SubmitIProductionJob uses in `JobParams`.

Source: Alibaba Cloud, ApsaraVideo Media Processing, "SubmitIProductionJob", the parameters of each function.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from mediabroker.models import Value

__all__ = ["BackgroundParams", "Box", "CoverParams", "LogoParams", "MixParams", "NoParams", "StyleParams", "TextParams"]

_Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Box: TypeAlias = tuple[_Share, _Share, _Share, _Share]
"""Left, top, width and height as shares of the picture, 0 to 1."""


def _from_text(value: Any) -> Any:
    """The manual types lists as text in one place and as lists in another; both come in."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError("is text, but no JSON list of boxes [[left, top, width, height], …]") from error
    return value


_Boxes: TypeAlias = Annotated[tuple[Box, ...], BeforeValidator(_from_text), Field(min_length=1, max_length=2)]


class NoParams(Value, frozen=True):
    """For functions that take none."""


class CoverParams(Value, frozen=True):
    """`gif` makes one animated picture, nothing makes stills."""

    Model: Literal["", "gif"] | None = None


class LogoParams(Value, frozen=True):
    """Where the logos are."""

    Logo: _Boxes


class TextParams(Value, frozen=True):
    """Where the text is."""

    Text: _Boxes


class BackgroundParams(Value, frozen=True):
    """With a background picture the result is composited, without one it has an alpha channel."""

    bgimage: str | None = None
    mode: Literal["file"] | None = None


class StyleParams(Value, frozen=True):
    """The manual shows `Model` and does not say what it means."""

    Model: str | None = None


class MixedTrack(Value, frozen=True):
    """One medium to mix in."""

    file: str = Field(min_length=1)


class MixParams(Value, frozen=True):
    """The track to mix in."""

    inputs: tuple[MixedTrack, ...] = Field(min_length=1, max_length=1)

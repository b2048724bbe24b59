"""What the leaves share: boxes in a picture, and the placeholders that an output's name may hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from mediabroker.models import Value
from mediabroker.refs import MediaURI

__all__ = ["PLACEHOLDERS", "Box", "OutputName", "need", "placeholders"]

PLACEHOLDERS = ("source", "timestamp", "sequenceId", "resultType")
"""What a provider puts into an output's name: the input file's name, Unix time, a running number, and what a file is.

Source: Alibaba Cloud MPS, "SubmitIProductionJob", parameter Output.
"""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ROUNDING = 1e-9


class Box(Value, frozen=True):
    """A rectangle in a picture of any size: fractions of its width and height, from the upper left corner."""

    x: float = Field(ge=0, lt=1)
    y: float = Field(ge=0, lt=1)
    width: float = Field(gt=0, le=1)
    height: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        if self.x + self.width > 1 + _ROUNDING or self.y + self.height > 1 + _ROUNDING:
            raise ValueError(f"the box ends outside the picture: {self.x} + {self.width}, {self.y} + {self.height}")
        return self


def placeholders(output: MediaURI) -> tuple[str, ...]:
    """The names in braces in an output's key, in order."""
    return tuple(_PLACEHOLDER.findall(output.key))


def _check_names(output: MediaURI) -> MediaURI:
    # Misspelt, it would be taken literally, and several files would silently share one name.
    unknown = [each for each in placeholders(output) if each not in PLACEHOLDERS]
    if unknown:
        known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
        raise ValueError(f"{{{unknown[0]}}} in {output.name!r} is no placeholder; there are {known}")
    return output


if TYPE_CHECKING:
    OutputName: TypeAlias = Any  # as `GivenURI`
else:
    OutputName = Annotated[MediaURI, AfterValidator(_check_names)]


def need(output: MediaURI, *either: str, why: str) -> None:
    """Refuse an output's name that holds none of the placeholders.

    Raises:
        ValueError: names what is missing, and why it is needed.
    """
    if not set(either) & set(placeholders(output)):
        wanted = " or ".join(f"{{{each}}}" for each in either)
        raise ValueError(f"output: {output.name!r} needs {wanted} in its name: {why}")

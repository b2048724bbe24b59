"""The base of all public values, how a value that was refused is told, and settings read from a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, SupportsIndex, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from mediabroker.errors import ConfigurationError, InvalidJobError
from mediabroker.redaction import keep_secret

__all__ = ["Unpicklable", "Value", "build_settings", "readable"]


class Value(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """A frozen public value; an unknown field is an error that names it.

    Type checkers do not inherit `frozen`: a subclass says it again, as in `class Frames(Value, frozen=True)`.

    Raises:
        InvalidJobError: a field is unknown, missing or wrong; the message names each, and what would be right.
    """

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            # Chained, it would show all that was given, secrets too, in every traceback.
            raise InvalidJobError(readable(error)) from None

    # Parts of other values are validated as usual, with the findings of the whole.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # how pydantic knows its own


class Unpicklable:
    """Settings with this base are loaded in each process that needs them: a pickle would show their secrets.

    Raises:
        TypeError: the value is pickled.
    """

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} may hold secrets; load it in the other process instead")


S = TypeVar("S", bound=Value)


def build_settings(cls: type[S], where: str, given: Mapping[str, Any]) -> S:
    """The validated settings of one table of `mediabroker.toml`; `where` is its name, as `providers.farm`.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the message names each, and repeats no value.
    """
    try:
        settings = cls.model_validate(dict(given))
    except ValidationError as error:
        # Chained, it would show all that was given, secrets too, in every traceback.
        raise ConfigurationError(f"{where}: {readable(error, show_values=False)}") from None
    for name in cls.model_fields:
        if isinstance(secret := getattr(settings, name), SecretStr):
            keep_secret(secret.get_secret_value())
    return settings


def readable(error: ValidationError, *, show_values: bool = True) -> str:
    """Pydantic's findings as one sentence that names each field, what is wrong and what was given.

    Settings may hold secrets: for them `show_values` is off.
    """
    findings = []
    for finding in error.errors(include_url=False):
        where = ".".join(str(part) for part in finding["loc"])
        silent = not show_values or finding["type"] in ("missing", "value_error")
        got = "" if silent else f" (got {finding['input']!r:.80})"
        findings.append(f"{where + ': ' if where else ''}{finding['msg'].removeprefix('Value error, ')}{got}")
    return "; ".join(findings)

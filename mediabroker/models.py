"""The base of all public values, and how a value that was refused is told."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

__all__ = ["Value", "readable"]


class Value(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """A frozen public value; an unknown field is an error that names it.

    Type checkers do not inherit `frozen`: a subclass says it again, as in `class Frames(Value, frozen=True)`.
    """


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

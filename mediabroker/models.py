"""The two bases of all public values: callers' models refuse unknown fields, vendors' answers ignore them."""

from __future__ import annotations

from pydantic import BaseModel

__all__ = ["Value"]


class Value(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """A frozen public value; an unknown field is an error that names it.

    Type checkers do not inherit `frozen`: a subclass says it again, as in `class Frames(Value, frozen=True)`.
    """

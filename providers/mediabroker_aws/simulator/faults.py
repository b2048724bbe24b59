"""What a wire can do to an answer, on request: each fault spoils the next answers of one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

__all__ = ["FaultKind", "Faults"]

FaultKind = Literal[
    "lost", "truncated", "html", "empty", "throttled", "error_before", "error_after", "duplicated", "delayed", "dropped"
]
"""`lost`, `truncated`, `html`, `empty` and `error_after` spoil the answer of a call that took effect; `throttled` (429)
and `error_before` (500) refuse it. `duplicated`, `delayed` and `dropped` are what becomes of an asynchronous invocation
of Lambda after it was accepted."""


@dataclass
class _Planned:
    operation: str
    kind: FaultKind
    times: int
    when: Callable[[Mapping[str, Any]], bool] | None


@dataclass
class Faults:
    """The faults to come, in the order in which they were added. Thread-safe."""

    _planned: list[_Planned] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(
        self,
        operation: str,
        kind: FaultKind,
        *,
        times: int = 1,
        when: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        """Spoil the next `times` calls of the operation, of those whose parameters pass `when`."""
        with self._lock:
            self._planned.append(_Planned(operation, kind, times, when))

    def take(self, operation: str, params: Mapping[str, Any]) -> FaultKind | None:
        """The fault that this call meets, counted off; None: it goes well."""
        with self._lock:
            for planned in self._planned:
                if planned.operation == operation and (planned.when is None or planned.when(params)):
                    planned.times -= 1
                    if planned.times <= 0:
                        self._planned.remove(planned)
                    return planned.kind
        return None

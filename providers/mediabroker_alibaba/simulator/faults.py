"""What can go wrong on the way, on request: each fault meets the next calls of one operation."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import Any, Literal

from mediabroker_alibaba.simulator.server import Response

__all__ = ["Fault", "FaultKind", "Faults", "spoil"]

FaultKind = Literal[
    "throttled", "denied", "error_before", "dropped", "lost", "truncated", "html", "empty", "error_after", "delayed"
]
"""Refused before they take effect: `throttled`, `denied` (the signature), `error_before` (500), `dropped` (no answer).
Taken, and the answer spoilt: `lost` (none), `truncated`, `html` (503 of a load balancer), `empty`, `error_after` (500),
`delayed` (right, but late)."""

_HTML = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"


@dataclass(frozen=True)
class Fault:
    """One that a call has met. `delay_s` is real time: what is tried is the client's patience."""

    kind: FaultKind
    delay_s: float = 0.0


@dataclass
class _Planned:
    operation: str
    fault: Fault
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
        delay_s: float = 0.0,
    ) -> None:
        """Spoil the next `times` calls of the operation, of those whose parameters pass `when`.

        Args:
            operation: service and operation, as `mps.SubmitJobs`, `oss.PutObject`, `mns.*` (a glob).
        """
        with self._lock:
            self._planned.append(_Planned(operation, Fault(kind, delay_s), times, when))

    def take(self, operation: str, params: Mapping[str, Any]) -> Fault | None:
        """The fault that this call meets, counted off; None: it goes well."""
        with self._lock:
            for planned in self._planned:
                matches = fnmatch.fnmatchcase(operation, planned.operation)
                if matches and (planned.when is None or planned.when(params)):
                    planned.times -= 1
                    if planned.times <= 0:
                        self._planned.remove(planned)
                    return planned.fault
        return None


def spoil(response: Response, fault: Fault | None, stopping: Event) -> Response | None:
    """The answer of a call that took effect, as the client gets it; None: the connection closes instead.

    Args:
        stopping: ends a delay early.
    """
    if fault is None:
        return response
    if fault.kind == "lost":
        return None
    if fault.kind == "truncated":
        return replace(response, cut_after_bytes=response.size_bytes // 2)
    if fault.kind in ("html", "error_after"):
        status = 503 if fault.kind == "html" else 500
        return Response(status, (("Content-Type", "text/html"),), _HTML)
    if fault.kind == "empty":
        return Response(response.status, response.headers)
    if fault.kind == "delayed":
        stopping.wait(fault.delay_s)
    return response

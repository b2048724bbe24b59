"""Alibaba Cloud on loopback, for tests and demonstrations: the vendor's own SDKs talk to it unchanged."""

from __future__ import annotations

from mediabroker_alibaba.simulator.cloud import AlibabaSimulator, Endpoints
from mediabroker_alibaba.simulator.sandbox import AlibabaSandbox

__all__ = ["AlibabaSandbox", "AlibabaSimulator", "Endpoints"]

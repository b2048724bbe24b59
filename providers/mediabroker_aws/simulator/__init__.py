"""AWS Batch, Lambda and API Gateway on loopback, for tests and demonstrations: the real boto3 talks to them unchanged.

    with BatchServer(BatchSimulator(ScriptedExecutor())) as server:
        boto3.client("batch", endpoint_url=server.url, region_name="eu-west-1")

Jobs move when `BatchSimulator.advance` is called, or by themselves with `BatchServer(..., pump_s=0.1)`. The module
`front` shows the same for functions. Needs the extra `sandbox`.
"""

from __future__ import annotations

from mediabroker_aws.simulator.batch.account import BatchSimulator
from mediabroker_aws.simulator.batch.executors import HOLD, SPOT_LOSS, Executor, Exited, Run, ScriptedExecutor, Task
from mediabroker_aws.simulator.batch.processes import ProcessExecutor
from mediabroker_aws.simulator.batch.server import BatchServer
from mediabroker_aws.simulator.faults import FaultKind, Faults
from mediabroker_aws.simulator.functions.front import LambdaFront
from mediabroker_aws.simulator.functions.function import Function
from mediabroker_aws.simulator.functions.invocations import Invocation, LambdaSimulator

__all__ = [
    "HOLD",
    "SPOT_LOSS",
    "BatchServer",
    "BatchSimulator",
    "Executor",
    "Exited",
    "FaultKind",
    "Faults",
    "Function",
    "Invocation",
    "LambdaFront",
    "LambdaSimulator",
    "ProcessExecutor",
    "Run",
    "ScriptedExecutor",
    "Task",
]

"""The functions, the REST API and the rule of the deployed template, on loopback: what runs here is what is deployed.

Handlers, environments, time limits, memory, retries, paths and the states of jobs that are told of all come from the
template; this module knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from mediabroker_aws.deploy.template import Template
from mediabroker_aws.simulator.functions.front import LambdaFront
from mediabroker_aws.simulator.functions.function import Function

__all__ = ["PARAMETERS", "Stack"]

PARAMETERS = {
    "FunctionImage": "function",
    "WorkerImage": "worker",
    "VpcId": "vpc-simulated",
    "SubnetIds": "subnet-simulated",
    "Accelerator": "cpu",
}


class _Path(NamedTuple):
    method: str
    path: str
    function: str


class Stack:
    """The template with the names that things have here.

    Args:
        name: of the stack; the names of functions, job queues and the job definition begin with it.
        bucket: name of the bucket.
        queue_url: URL of the queue of events.
        region, account: as everywhere in the simulated account.
    """

    def __init__(self, name: str, *, bucket: str, queue_url: str, region: str, account: str) -> None:
        pseudo = {"AWS::StackName": name, "AWS::Region": region, "AWS::AccountId": account}
        self._references = {"Bucket": bucket, "Events": queue_url}
        self._template = Template(PARAMETERS, pseudo=pseudo, lookup=self._look_up)
        for kind, own_name in (("Batch::JobQueue", "JobQueueName"), ("Lambda::Function", "FunctionName")):
            for each in self._of_type(kind):
                self._references[each] = self._property(each, own_name)
        self.queues = {
            "spot": self._references["SpotQueue"],
            "on_demand": self._references["OnDemandQueue"],
        }
        self.transcoder = self._references["TranscodeFunction"]
        self.job_definition: str = self._property("Worker", "JobDefinitionName")
        self.told_statuses = frozenset[str](self._property("JobChanges", "EventPattern")["detail"]["status"])

    def functions(
        self,
        environment: Mapping[str, str],
        tell_queue: Callable[[dict[str, Any]], None],
        tell_function: Callable[[str, dict[str, Any]], None],
    ) -> Iterator[Function]:
        """The functions. `environment` is what Lambda itself puts into theirs; the others take the records of failures
        whose destination is the queue, or a function of a name."""
        configured = {
            self._references[each["FunctionName"]["Ref"]]: each
            for each in (self._raw(name) for name in self._of_type("Lambda::EventInvokeConfig"))
        }
        for logical in self._of_type("Lambda::Function"):
            own = self._template.properties(logical)
            retries = configured.get(own["FunctionName"])
            yield Function(
                name=own["FunctionName"],
                handler=own["ImageConfig"]["Command"][0],
                environment={**environment, **own["Environment"]["Variables"]},
                timeout_s=own["Timeout"],
                memory_mb=own["MemorySize"],
                concurrency=own.get("ReservedConcurrentExecutions"),
                retries=retries["MaximumRetryAttempts"] if retries else 2,
                on_failure=self._destination(retries, tell_queue, tell_function) if retries else None,
            )

    def _destination(
        self,
        retries: Mapping[str, Any],
        tell_queue: Callable[[dict[str, Any]], None],
        tell_function: Callable[[str, dict[str, Any]], None],
    ) -> Callable[[dict[str, Any]], None]:
        told = self._template.evaluate(retries["DestinationConfig"]["OnFailure"]["Destination"])
        for function in self._of_type("Lambda::Function"):
            if told == self._look_up(function, "Arn"):
                return partial(tell_function, self._references[function])
        return tell_queue

    def add_routes(self, front: LambdaFront) -> str:
        """Serve the paths of the REST API, with the key that the template asks for by default; the stage's URL."""
        (stage,) = (self._property(each, "StageName") for each in self._of_type("ApiGateway::Stage"))
        for method, path, function in self._paths():
            front.add_route(method, f"/{stage}{path}", function)
        return f"{front.url}/{stage}"

    def _paths(self) -> Iterator[_Path]:
        for name in self._of_type("ApiGateway::Method"):
            raw = self._raw(name)
            uri = raw["Integration"]["Uri"]["Fn::Sub"]
            (function,) = (each for each in self._of_type("Lambda::Function") if f"${{{each}.Arn}}" in uri)
            yield _Path(raw["HttpMethod"], self._path(raw["ResourceId"]) or "/", self._references[function])

    def _path(self, resource: Mapping[str, Any]) -> str:
        if "Ref" not in resource:  # the root, an attribute of the API
            return ""
        raw = self._raw(resource["Ref"])
        return f"{self._path(raw['ParentId'])}/{raw['PathPart']}"

    def _of_type(self, kind: str) -> list[str]:
        return [name for name, each in self._template.resources().items() if each["Type"] == f"AWS::{kind}"]

    def _raw(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = self._template.content["Resources"][name]["Properties"]
        return properties

    def _property(self, name: str, which: str) -> Any:
        return self._template.evaluate(self._raw(name)[which])

    def _look_up(self, name: str, attribute: str | None) -> Any:
        """A name that has none here is a word that no handler could use, so that a handler which needs it fails."""
        return self._references.get(name, f"<{name}>") if attribute is None else f"<{name}.{attribute}>"

"""What Batch refuses and the service's model does not say. Source: AWS Batch API Reference and User Guide, "Quotas"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mediabroker_aws.simulator.batch.wire import WireError

__all__ = ["check_array_dependencies", "check_submit", "is_retried", "refuse"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_REASON_PATTERN = re.compile(r"[A-Za-z0-9.:\s]*\*?")
_EXIT_PATTERN = re.compile(r"[0-9]*\*?")
_PATTERN_LIMIT = 512
_PAYLOAD_LIMIT_BYTES = 30 * 1024
_RESERVED = "AWS_BATCH"


def refuse(message: str) -> WireError:
    """Batch's one error for everything that the caller did wrong."""
    return WireError(400, "ClientException", message)


def check_submit(params: Mapping[str, Any]) -> None:
    """Refuse what a `SubmitJob` may not say.

    Raises:
        WireError: `ClientException`, names the parameter.
    """
    if not _NAME.fullmatch(params["jobName"]):
        raise refuse(f"jobName {params['jobName']!r}: up to 128 letters, digits, hyphens and underscores")
    if len(json.dumps(params)) > _PAYLOAD_LIMIT_BYTES:
        raise refuse("the request exceeds 30 KiB")
    size = params.get("arrayProperties", {}).get("size")
    if size is not None and not 2 <= size <= 10_000:
        raise refuse(f"arrayProperties.size {size}: between 2 and 10000")
    if len(params.get("dependsOn", ())) > 20:
        raise refuse("dependsOn: at most 20 dependencies")
    if params.get("timeout", {}).get("attemptDurationSeconds", 60) < 60:
        raise refuse("timeout.attemptDurationSeconds: at least 60")
    if len(params.get("tags", ())) > 50:
        raise refuse("tags: at most 50")
    for each in params.get("containerOverrides", {}).get("environment", ()):
        if each.get("name", "").startswith(_RESERVED):
            raise refuse(f"environment {each['name']}: names that begin with {_RESERVED} are reserved")
    if "" in params.get("containerOverrides", {}).get("command", ()):
        raise refuse("command: no empty string")
    _check_retry(params.get("retryStrategy", {}))


def _check_retry(retry: Mapping[str, Any]) -> None:
    if not 1 <= retry.get("attempts", 1) <= 10:
        raise refuse("retryStrategy.attempts: between 1 and 10")
    rules = retry.get("evaluateOnExit", ())
    if len(rules) > 5:
        raise refuse("retryStrategy.evaluateOnExit: at most 5 rules")
    for rule in rules:
        if rule["action"].upper() not in ("RETRY", "EXIT"):
            raise refuse(f"evaluateOnExit.action {rule['action']!r}: RETRY or EXIT")
        for name, form in (
            ("onReason", _REASON_PATTERN),
            ("onStatusReason", _REASON_PATTERN),
            ("onExitCode", _EXIT_PATTERN),
        ):
            pattern = rule.get(name, "")
            if len(pattern) > _PATTERN_LIMIT or not form.fullmatch(pattern):
                raise refuse(f"evaluateOnExit.{name} {pattern!r}: malformed")


def check_array_dependencies(size: int | None, dependency: Mapping[str, str], other_size: int | None) -> None:
    """Refuse a dependency whose type does not fit the arrays on its two ends."""
    kind = dependency.get("type")
    if kind == "N_TO_N" and (size is None or size != other_size):
        raise refuse("dependsOn: N_TO_N needs two arrays of the same size")
    if kind == "SEQUENTIAL" and "jobId" not in dependency and size is None:
        raise refuse("dependsOn: SEQUENTIAL without a job needs an array")
    if kind is None and "jobId" not in dependency:
        raise refuse("dependsOn: a jobId is missing")


def is_retried(rules: Sequence[Mapping[str, str]], status_reason: str, reason: str | None, code: int | None) -> bool:
    """Whether a failed attempt is tried again: the first rule that matches decides, and without one it is."""
    texts = {"onStatusReason": status_reason, "onReason": reason or "", "onExitCode": str(code)}
    for rule in rules:
        given = {name: rule[name] for name in texts if name in rule}
        if "onExitCode" in given and code is None:
            continue
        if all(_matches(texts[name], pattern) for name, pattern in given.items()):
            return rule["action"].upper() == "RETRY"
    return True


def _matches(text: str, pattern: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern

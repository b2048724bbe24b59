"""Which AWS operations code can call, read off its source, and what rights they take.

All calls go through `AwsClient.call` and `AwsClient.create`, with the operation as a constant, or through the `Call`s
of a flow, with service and operation as constants.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import botocore.session
import grimp
from botocore import xform_name

_GATEWAY = "execute-api"
"""The service that requests to a REST API are signed for."""
_METHODS = ("call", "create")
SERVICES = ("batch", "lambda", "s3", "sqs")

_ACTIONS = {
    "s3:HeadObject": {"s3:GetObject"},
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:ListObjects": {"s3:ListBucket"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:CreateMultipartUpload": {"s3:PutObject"},
    "s3:UploadPart": {"s3:PutObject"},
    "s3:CompleteMultipartUpload": {"s3:PutObject"},
    "s3:ListMultipartUploads": {"s3:ListBucketMultipartUploads"},
    "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"},
    "sqs:ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility"},
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
    "lambda:Invoke": {"lambda:InvokeFunction"},
    "batch:SubmitJob": {"batch:SubmitJob", "batch:TagResource"},  # jobs bear tags
}
"""Where an operation's right has another name. Source: AWS Service Authorization Reference, 2026."""


def actions_of(operations: Iterable[str]) -> set[str]:
    """The rights that operations, as `s3:HeadObject`, take."""
    return set().union(*(_ACTIONS.get(each, {each}) for each in operations))


def reachable(*entries: str) -> set[str]:
    """The modules of this vendor that code in `entries` can come to, themselves included."""
    graph = _graph()
    found = set(entries).union(*(graph.find_upstream_modules(each) for each in entries))
    return {each for each in found if each.startswith("mediabroker_aws")}


@cache
def _graph() -> grimp.ImportGraph:
    names = ("mediabroker", "mediabroker_aws", "neuron_worker")
    return grimp.build_graph(*names, exclude_type_checking_imports=True, cache_dir=None)


def modules_below(package: str) -> set[str]:
    """All modules of a package."""
    return _graph().find_descendants(package)


def operations_in(modules: Iterable[str]) -> set[str]:
    """The operations whose names stand in the source of modules, as `s3:HeadObject`."""
    return {each for module in modules for each in _operations(module)}


@cache
def _operations(module: str) -> frozenset[str]:
    called = {each for call in _calls(module) for each in _named(call)}
    signs = any(isinstance(each, ast.Constant) and each.value == _GATEWAY for each in ast.walk(_tree(module)))
    return frozenset(called | {f"{_GATEWAY}:Invoke"} if signs else called)


def unnamed_calls(modules: Iterable[str]) -> set[str]:
    """The modules that call an operation which is no constant, so that nobody can read it off."""
    return {module for module in modules if _client_methods(module) != _constant_calls(module)}


def _client_methods(module: str) -> int:
    """How often `.call` or `.create` is mentioned, called or handed on."""
    return sum(isinstance(each, ast.Attribute) and each.attr in _METHODS for each in ast.walk(_tree(module)))


def _constant_calls(module: str) -> int:
    return sum(_is_client_call(each) and isinstance(each.args[0], ast.Constant) for each in _calls(module))


@cache
def _tree(module: str) -> ast.Module:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text())


def _calls(module: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(_tree(module)) if isinstance(node, ast.Call) and node.args)


def _is_client_call(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS


def _named(call: ast.Call) -> Iterator[str]:
    words = [each.value for each in call.args[:2] if isinstance(each, ast.Constant)]
    called = call.func.value if isinstance(call.func, ast.Subscript) else call.func  # Call[Reply](...)
    if _is_client_call(call) and words:
        owners = [(service, _names(service)[words[0]]) for service in SERVICES if words[0] in _names(service)]
        assert len(owners) == 1, f"{words[0]} is an operation of {owners or 'no service'}"
        yield ":".join(owners[0])
    elif isinstance(called, ast.Name) and called.id == "Call" and len(words) == 2 and words[0] in SERVICES:
        service, operation = words
        if operation in _names(service).values():
            yield f"{service}:{operation}"


@cache
def _names(service: str) -> dict[str, str]:
    """Operations by boto3's name of them."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(each): each for each in model.operation_names}

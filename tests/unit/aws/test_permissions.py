"""What the code can call, and what the template's roles allow: the same, role by role."""

from __future__ import annotations

import pytest

from mediabroker_aws.deploy.template import Template
from tests.unit.aws.calls import actions_of, modules_below, operations_in, reachable, unnamed_calls
from tests.unit.aws.stack import allowed_actions, make_template, of_type

_ELSEWHERE = ("contract_rig", "deploy", "functions", "simulator")
"""Parts of the vendor's package that no program of a client's runs."""
_THROUGH_FLOWS = {"mediabroker_aws.batch.transports", "mediabroker_aws.functions.upscale.vendor"}
"""Where operations have no name of their own: those of the `Call`s that flows yield."""
_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
_TELLS_MISSING_FROM_FORBIDDEN = {"s3:ListBucket"}


@pytest.fixture(scope="module")
def template() -> Template:
    return make_template()


def _client_modules() -> set[str]:
    own = modules_below("mediabroker_aws")
    return {each for each in own if not each.removeprefix("mediabroker_aws.").startswith(_ELSEWHERE)}


def test_every_operation_of_a_client_is_a_constant_that_can_be_read_off() -> None:
    everything = _client_modules() | modules_below("mediabroker_aws.functions")
    assert unnamed_calls(everything) == _THROUGH_FLOWS


def test_the_reading_sees_calls_of_each_kind() -> None:
    assert operations_in(["mediabroker_aws.sqs"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessageBatch",
        "sqs:ChangeMessageVisibilityBatch",
        "sqs:GetQueueUrl",
    }
    assert "batch:SubmitJob" in operations_in(["mediabroker_aws.batch.requests"])
    assert {"s3:UploadPart", "s3:DeleteObject"} <= operations_in(
        ["mediabroker_aws.s3.store", "mediabroker_aws.s3.upload"]
    )


def test_clients_may_do_what_their_code_can_call_and_nothing_else(template: Template) -> None:
    needed = actions_of(operations_in(_client_modules())) | _TELLS_MISSING_FROM_FORBIDDEN
    assert allowed_actions(template)["ClientPolicy"] == needed


def test_workers_may_do_what_their_code_can_call_and_nothing_else(template: Template) -> None:
    needed = actions_of(operations_in(reachable("mediabroker_aws.s3.store"))) | _TELLS_MISSING_FROM_FORBIDDEN
    assert allowed_actions(template)["WorkerRole"] == needed


_SMALL_RECORDS = {"s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"}
_NEVER = {
    "UpscaleFunction": _SMALL_RECORDS,
    "TranscodeFunction": _SMALL_RECORDS,
}
"""What the object store's code can do and these functions do not ask of it: they write records of one part each."""


@pytest.mark.parametrize("function", ["UpscaleFunction", "TranscodeFunction", "TranscodeWorker"])
def test_functions_may_do_what_their_code_can_call_and_nothing_else(template: Template, function: str) -> None:
    properties = template.properties(function)
    module = properties["ImageConfig"]["Command"][0].rpartition(".")[0]
    needed = actions_of(operations_in(reachable(module))) - _NEVER.get(function, set())
    needed |= _LOGS | _TELLS_MISSING_FROM_FORBIDDEN
    for each in of_type(template, "AWS::Lambda::EventInvokeConfig").values():
        if each["FunctionName"] == f"<{function}>":  # Lambda tells the destination with the function's own role
            to_queue = each["DestinationConfig"]["OnFailure"]["Destination"] == "<Events.Arn>"
            needed.add("sqs:SendMessage" if to_queue else "lambda:InvokeFunction")
    (role,) = (name for name in of_type(template, "AWS::IAM::Role") if properties["Role"] == f"<{name}.Arn>")
    assert allowed_actions(template)[role] == needed


def test_every_role_is_held_to_code_or_is_awss_own(template: Template) -> None:
    assert set(allowed_actions(template)) == {
        "ClientPolicy",
        "TranscodeRole",
        "TranscodeWorkerRole",
        "UpscaleRole",
        "WorkerRole",
    }
    assert template.properties("MachineRole")["ManagedPolicyArns"] == [
        "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
    ]

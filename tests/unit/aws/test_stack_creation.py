"""The whole template made into a stack by moto's CloudFormation, as far as moto knows the resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from mediabroker_aws.deploy.template import load_template, template_text
from mediabroker_aws.simulator.moto import MotoServer
from tests.unit.aws.stack import GIVEN

_NOT_IN_MOTO = {
    "AWS::ApiGateway::ApiKey",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGateway::UsagePlan",
    "AWS::ApiGateway::UsagePlanKey",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
}

_WITHOUT_ID = {"AWS::ApiGateway::Method", "AWS::ApiGateway::Deployment", "AWS::Lambda::Permission"}
"""moto makes them and tells no name."""


@pytest.fixture(scope="module")
def account() -> Iterator[Any]:
    """Clients of an account in moto."""
    session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="us-west-2")
    with MotoServer() as moto:
        clients: dict[str, Any] = {}

        def client(service: str) -> Any:
            return clients.setdefault(service, session.client(service, endpoint_url=moto.url))

        yield client
        for each in clients.values():
            each.close()


@pytest.fixture(scope="module")
def stack(account: Any) -> dict[str, str]:
    """The stack's outputs."""
    (vpc, *_) = account("ec2").describe_vpcs()["Vpcs"]
    subnets = [each["SubnetId"] for each in account("ec2").describe_subnets()["Subnets"]]
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = account("iam").create_role(RoleName="batch", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    own = {"VpcId": vpc["VpcId"], "SubnetIds": ",".join(subnets[:2]), "BatchServiceRole": role}  # moto wants a role
    account("cloudformation").create_stack(
        StackName="studio",
        TemplateBody=template_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in {**GIVEN, **own}.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (made,) = account("cloudformation").describe_stacks(StackName="studio")["Stacks"]
    assert made["StackStatus"] == "CREATE_COMPLETE"
    return {each["OutputKey"]: each["OutputValue"] for each in made["Outputs"]}


@pytest.mark.usefixtures("stack")
def test_every_resource_that_moto_knows_is_there(account: Any) -> None:
    listed = account("cloudformation").list_stack_resources(StackName="studio")["StackResourceSummaries"]
    declared = load_template()["Resources"]
    made = {each["LogicalResourceId"] for each in listed if each.get("PhysicalResourceId", "").strip()}
    expected = {name for name, each in declared.items() if "Condition" not in each and each["Type"] not in _NOT_IN_MOTO}
    without_id = {name for name in expected if declared[name]["Type"] in _WITHOUT_ID}
    assert made >= expected - without_id


def test_outputs_name_what_a_configuration_needs(account: Any, stack: dict[str, str]) -> None:
    queues = account("batch").describe_job_queues(jobQueues=[stack["SpotJobQueue"], stack["OnDemandJobQueue"]])
    assert len(queues["jobQueues"]) == 2
    (definition,) = account("batch").describe_job_definitions(jobDefinitionName=stack["JobDefinition"])[
        "jobDefinitions"
    ]
    assert definition["containerProperties"]["linuxParameters"]["devices"][0]["hostPath"] == "/dev/neuron0"
    assert account("sqs").get_queue_url(QueueName=stack["EventsQueue"])["QueueUrl"]
    account("s3").head_bucket(Bucket=stack["BucketName"])
    assert account("iam").get_policy(PolicyArn=stack["ClientPolicyArn"])["Policy"]["AttachmentCount"] == 0


@pytest.mark.usefixtures("stack")
def test_what_batch_tells_reaches_the_queue_through_the_rule(account: Any, stack: dict[str, str]) -> None:
    queue = account("sqs").get_queue_url(QueueName=stack["EventsQueue"])["QueueUrl"]
    arn = account("batch").describe_job_queues(jobQueues=[stack["SpotJobQueue"]])["jobQueues"][0]["jobQueueArn"]
    for status, queue_arn in (("RUNNING", arn), ("RUNNABLE", arn), ("SUCCEEDED", f"{arn}-of-somebody-else")):
        detail = json.dumps({"jobQueue": queue_arn, "status": status})
        entry = {"Source": "aws.batch", "DetailType": "Batch Job State Change", "Detail": detail}
        account("events").put_events(Entries=[entry])
    received = account("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)["Messages"]
    assert [json.loads(each["Body"])["detail"] for each in received] == [{"jobQueue": arn, "status": "RUNNING"}]

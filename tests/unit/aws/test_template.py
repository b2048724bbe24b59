"""The stack's template: what the linter says, and what it cannot know."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint

from mediabroker import ConfigurationError
from mediabroker.config import BrokerSettings
from mediabroker_aws.batch import requests
from mediabroker_aws.deploy.template import Template, load_template, template_text
from mediabroker_aws.settings import BatchSettings
from neuron_worker.fleet.scratch import Scratch
from tests.unit.aws.stack import GIVEN, as_list, canonical, make_template, of_type, statements

_FREE_WHILE_IDLE = {
    "AWS::ApiGateway": "billed by the request",
    "AWS::Batch": "free; its machines are instances, of which there are none at MinvCpus 0",
    "AWS::EC2": "a security group and a launch template",
    "AWS::Events": "rules on the default bus are free",
    "AWS::IAM": "free",
    "AWS::Lambda": "billed by the invocation",
    "AWS::Logs": "storage",
    "AWS::S3": "storage",
    "AWS::SQS": "billed by the request",
}
_EVERY_PATH = ("SubmitMethod", "FindMethod", "QueryMethod", "CancelMethod", "TranscodeMethod")


@pytest.fixture(scope="module")
def template() -> Template:
    return make_template()


def _findings(text: str) -> list[str]:
    return [f"{each.rule.id} line {each.linenumber}: {each.message}" for each in lint(text, regions=["us-west-2"])]


def test_the_linter_finds_nothing() -> None:
    assert _findings(template_text()) == []


def test_the_linter_would_find_a_wrong_property() -> None:
    assert _findings(template_text().replace("MemorySize:", "MemorySise:")) != []


def test_it_fits_into_a_call_of_cloudformation() -> None:
    assert len(template_text().encode()) <= 51_200


def test_deployment_is_named_after_the_paths_and_methods_it_serves() -> None:
    """CloudFormation makes a new deployment only under a new name; without one, a changed API is not served."""
    resources = load_template()["Resources"]
    kinds = ("AWS::ApiGateway::Resource", "AWS::ApiGateway::Method")
    served = {name: each for name, each in resources.items() if each["Type"] in kinds}
    expected = f"Deployment{hashlib.sha256(canonical(served).encode()).hexdigest()[:8]}"
    (deployment,) = (name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Deployment")
    assert deployment == expected
    assert sorted(resources[deployment]["DependsOn"]) == sorted(name for name in served if name.endswith("Method"))


def test_what_it_makes_costs_nothing_but_storage_while_no_job_runs(template: Template) -> None:
    resources = template.resources()
    assert {each["Type"].rpartition("::")[0] for each in resources.values()} <= set(_FREE_WHILE_IDLE)
    assert {name for name, each in resources.items() if each["Type"].startswith("AWS::EC2")} == {
        "WorkerMachine",
        "WorkerSecurityGroup",
    }
    for machines in of_type(template, "AWS::Batch::ComputeEnvironment").values():
        assert machines["ComputeResources"]["MinvCpus"] == 0
    assert set(make_template(AlarmTopic="arn:aws:sns:us-west-2:123456789012:ops").resources()) - set(resources) == {
        "LettersAreDead",
        "NobodyFetchesEvents",
    }


def test_callers_need_a_key_unless_somebody_says_otherwise_in_so_many_words() -> None:
    def access(**given: str) -> set[tuple[str, bool]]:
        methods = of_type(make_template(**given), "AWS::ApiGateway::Method")
        assert set(methods) == set(_EVERY_PATH)
        return {(each["AuthorizationType"], each["ApiKeyRequired"]) for each in methods.values()}

    assert access() == {("NONE", True)}
    assert access(ApiAccess="IAM") == {("AWS_IAM", False)}
    assert access(ApiAccess="ANONYMOUS") == {("NONE", False)}
    assert {"Key", "Plan", "PlanKey"} <= set(make_template().resources())
    assert not {"Key", "Plan", "PlanKey"} & set(make_template(ApiAccess="IAM").resources())


def test_everything_that_holds_data_is_encrypted_and_closed(template: Template) -> None:
    bucket = template.properties("Bucket")
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    for queue in of_type(template, "AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
    for machine in of_type(template, "AWS::EC2::LaunchTemplate").values():
        data = machine["LaunchTemplateData"]
        assert all(each["Ebs"]["Encrypted"] is True for each in data["BlockDeviceMappings"])
        assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert "SecurityGroupIngress" not in template.properties("WorkerSecurityGroup")


@pytest.mark.parametrize(
    ("policy", "owner", "kind"),
    [
        ("BucketPolicy", "Bucket", "AWS::S3::Bucket"),
        ("EventsPolicy", "Events", "AWS::SQS::Queue"),
        ("DeadLettersPolicy", "DeadLetters", "AWS::SQS::Queue"),
    ],
)
def test_connections_without_tls_are_refused(template: Template, policy: str, owner: str, kind: str) -> None:
    assert load_template()["Resources"][owner]["Type"] == kind
    (denied,) = (
        each for each in template.properties(policy)["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"
    )
    assert denied["Principal"] == "*"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert f"<{owner}.Arn>" in as_list(denied["Resource"])


def test_bucket_and_queue_policies_name_every_bucket_and_queue(template: Template) -> None:
    covered = {
        each for kind in ("AWS::SQS::QueuePolicy",) for p in of_type(template, kind).values() for each in p["Queues"]
    }
    assert covered == {f"<{name}>" for name in of_type(template, "AWS::SQS::Queue")}


def test_only_the_rule_may_put_events_into_the_queues(template: Template) -> None:
    for policy in of_type(template, "AWS::SQS::QueuePolicy").values():
        (allowed,) = (each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow")
        assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
        assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": "<JobChanges.Arn>"}}
    (target,) = template.properties("JobChanges")["Targets"]
    assert set(target) == {"Id", "Arn", "DeadLetterConfig"}  # a RoleArn would break delivery to SQS


def test_intermediates_and_unfinished_uploads_go_away_by_themselves(template: Template) -> None:
    rules = {each["Id"]: each for each in template.properties("Bucket")["LifecycleConfiguration"]["Rules"]}
    work = template.properties("UpscaleFunction")["Environment"]["Variables"]["MEDIABROKER_UPSCALE_WORK_PREFIX"]
    assert rules["intermediates"]["Prefix"] == f"{work}/"
    assert rules["intermediates"]["ExpirationInDays"] == 7
    with pytest.raises(ConfigurationError, match="WorkRetentionDays is '6'"):
        make_template(WorkRetentionDays="6")
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 1
    assert "Prefix" not in rules["unfinished-uploads"]
    assert load_template()["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"


def test_poison_reaches_the_brokers_quarantine_before_the_dead_letters(template: Template) -> None:
    redrive = template.properties("Events")["RedrivePolicy"]
    assert redrive["maxReceiveCount"] > BrokerSettings().quarantine_after
    kept_s = template.properties("DeadLetters")["MessageRetentionPeriod"]
    assert kept_s > template.properties("Events")["MessageRetentionPeriod"]


def test_messages_stay_hidden_six_times_as_long_as_a_function_behind_the_gateway_may_take(template: Template) -> None:
    assert template.properties("Events")["VisibilityTimeout"] >= 6 * 29


def test_functions_have_the_time_memory_and_disk_that_their_work_takes(template: Template) -> None:
    functions = of_type(template, "AWS::Lambda::Function")
    sizes = {
        name: (each["Timeout"], each["MemorySize"], each.get("EphemeralStorage", {"Size": 512})["Size"])
        for name, each in functions.items()
    }
    assert sizes == {
        "UpscaleFunction": (29, 1024, 512),
        "TranscodeFunction": (900, 1024, 512),
        "TranscodeWorker": (900, 3008, 10_240),
    }
    environment = functions["TranscodeFunction"]["Environment"]["Variables"]
    worker = functions["TranscodeWorker"]
    assert int(environment["MEDIABROKER_TRANSCODE_WORKER_TIMEOUT_S"]) == worker["Timeout"]
    assert int(environment["MEDIABROKER_TRANSCODE_WORKER_TMP_BYTES"]) == worker["EphemeralStorage"]["Size"] << 20
    for method in of_type(template, "AWS::ApiGateway::Method").values():
        assert method["Integration"]["TimeoutInMillis"] == 29_000


def test_failed_invocations_are_told_to_the_queue_and_those_of_workers_to_who_can_end_their_work(
    template: Template,
) -> None:
    configured = of_type(template, "AWS::Lambda::EventInvokeConfig").values()
    told = {each["FunctionName"]: each["DestinationConfig"]["OnFailure"]["Destination"] for each in configured}
    assert told == {"<TranscodeFunction>": "<Events.Arn>", "<TranscodeWorker>": "<TranscodeFunction.Arn>"}
    for each in configured:
        assert 0 <= each["MaximumRetryAttempts"] <= 2
        assert 60 <= each["MaximumEventAgeInSeconds"] <= 21_600


def test_every_log_is_kept_for_a_limited_time(template: Template) -> None:
    groups = of_type(template, "AWS::Logs::LogGroup")
    assert all(each["RetentionInDays"] == 30 for each in groups.values())
    written = {each["LoggingConfig"]["LogGroup"] for each in of_type(template, "AWS::Lambda::Function").values()}
    written.add(template.properties("Worker")["ContainerProperties"]["LogConfiguration"]["Options"]["awslogs-group"])
    assert written == {f"<{name}>" for name in groups}


def test_the_job_definition_retries_as_the_provider_asks(template: Template) -> None:
    settings = BatchSettings.model_validate({"queues": {"spot": "s"}, "job_definition": "d", "work": "s3://bucket/wip"})
    definition = template.properties("Worker")
    sent = [{k[0].upper() + k[1:]: v for k, v in rule.items()} for rule in requests.RETRIES]
    assert definition["RetryStrategy"]["EvaluateOnExit"] == sent
    assert 1 <= definition["RetryStrategy"]["Attempts"] <= 10
    assert definition["Timeout"]["AttemptDurationSeconds"] == settings.attempt_timeout_s


def test_one_job_fills_an_inf1_machine_and_has_its_chip(template: Template) -> None:
    container = template.properties("Worker")["ContainerProperties"]
    assert container["ResourceRequirements"] == [{"Type": "VCPU", "Value": "4"}, {"Type": "MEMORY", "Value": "7000"}]
    chip = {"HostPath": "/dev/neuron0", "ContainerPath": "/dev/neuron0", "Permissions": ["READ", "WRITE"]}
    assert container["LinuxParameters"] == {"InitProcessEnabled": True, "Devices": [chip]}
    for machines in of_type(template, "AWS::Batch::ComputeEnvironment").values():
        resources = machines["ComputeResources"]
        assert resources["InstanceTypes"] == ["inf1.xlarge"]
        assert resources["Ec2Configuration"] == [{"ImageType": "ECS_AL2023", "ImageIdOverride": GIVEN["NeuronAmi"]}]


def test_the_workers_of_a_machine_share_a_folder_that_each_of_them_may_make(template: Template, tmp_path: Path) -> None:
    container = template.properties("Worker")["ContainerProperties"]
    (volume,), (mount,) = container["Volumes"], container["MountPoints"]
    assert (volume["Name"], mount["ReadOnly"]) == (mount["SourceVolume"], False)
    assert volume["Host"]["SourcePath"] == "/var/tmp", "its mode is 1777 on every Linux"
    environment = {each["Name"]: each["Value"] for each in container["Environment"]}
    inside = Path(environment["MEDIABROKER_SCRATCH"]).relative_to(mount["ContainerPath"])
    tmp_path.chmod(0o1777)
    for _ in range(2):
        Scratch(tmp_path / inside)
    with pytest.raises(ConfigurationError, match="open to others"):
        Scratch(tmp_path)


def test_a_machine_soon_forgets_its_stopped_containers(template: Template, tmp_path: Path) -> None:
    data = template.properties("WorkerMachine")["LaunchTemplateData"]
    user_data = message_from_bytes(base64.b64decode(data["UserData"]))
    (part,) = user_data.get_payload()
    assert (user_data.get_content_type(), part.get_content_type()) == ("multipart/mixed", "text/x-shellscript")
    config = tmp_path / "ecs.config"
    config.write_text("ECS_CLUSTER=batch\n")
    script = part.get_payload().replace("/etc/ecs/ecs.config", str(config))
    subprocess.run(["/bin/bash", "-eu"], input=script, text=True, check=True, timeout=60)
    assert config.read_text() == "ECS_CLUSTER=batch\nECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=1m\n"


def test_without_inf1_workers_run_on_ordinary_machines() -> None:
    template = make_template(Accelerator="cpu", NeuronAmi="")
    assert template.properties("Worker")["ContainerProperties"]["LinuxParameters"] == {"InitProcessEnabled": True}
    for machines in of_type(template, "AWS::Batch::ComputeEnvironment").values():
        assert machines["ComputeResources"]["InstanceTypes"] == ["c6i.xlarge"]
        assert machines["ComputeResources"]["Ec2Configuration"] == [{"ImageType": "ECS_AL2023"}]


def test_jobs_that_nothing_can_run_do_not_wait_for_ever(template: Template) -> None:
    for queue in of_type(template, "AWS::Batch::JobQueue").values():
        limits = {each["Reason"]: each for each in queue["JobStateTimeLimitActions"]}
        assert any(reason.startswith("CAPACITY:") for reason in limits)
        assert any(reason.startswith("MISCONFIGURATION:") for reason in limits)
        for each in limits.values():
            assert (each["State"], each["Action"]) == ("RUNNABLE", "CANCEL")
            assert 600 <= each["MaxTimeSeconds"] <= 86_400


def test_rights_name_their_resources_where_aws_lets_them(template: Template) -> None:
    for name, statement in statements(template):
        if "*" in as_list(statement["Resource"]):
            assert set(as_list(statement["Action"])) <= {"batch:DescribeJobs", "batch:ListJobs"}, name
        assert not any("*" in action for action in as_list(statement["Action"])), name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"NeuronAmi": ""}, "Accelerator inf1 needs NeuronAmi"),
        ({"NeuronAmi": "ubuntu"}, "parameter NeuronAmi is 'ubuntu'"),
        ({"Accelerator": "inf2"}, "parameter Accelerator is 'inf2'; it may be inf1, cpu"),
        ({"MaxVcpus": "2"}, "parameter MaxVcpus is '2'; it must be a number from 4 to 10000"),
        ({"Colour": "red"}, "no parameter 'Colour'"),
        ({"ApiAccess": "none"}, "it may be API_KEY, IAM, ANONYMOUS"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_would_do(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make_template(**given)


def test_a_parameter_without_a_default_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="parameter VpcId is needed: Where workers run"):
        Template({name: value for name, value in GIVEN.items() if name != "VpcId"})

"""The tour of examples/demo_aws with a tiny clip, and what it shows of rights: each call is one its role allows."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mediabroker_aws.deploy.template import Template
from mediabroker_aws.simulator.rigs.batch import make_clip
from tests.unit.aws.calls import actions_of
from tests.unit.aws.recorder import RECORDER
from tests.unit.aws.stack import GIVEN, as_list, statements

_ROOT = Path(__file__).parents[3]
_DEMO = _ROOT / "examples" / "demo_aws" / "demo.py"
_PSEUDO = {"AWS::Region": "us-west-2", "AWS::AccountId": "123456789012", "AWS::StackName": "mediabroker"}
_ROLES = {"UpscaleRole", "TranscodeRole", "TranscodeWorkerRole", "WorkerRole"}


class Tour:
    """One run of the demo: what it printed, and every AWS call of every process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        site, log = folder / "site", folder / "calls.jsonl"
        for each in (site, self.folder):
            each.mkdir()
        (site / "sitecustomize.py").write_text(RECORDER.format(log=str(log)))
        clip = make_clip(folder / "clip.mp4")
        path = os.pathsep.join((str(site), str(_ROOT), str(_ROOT / "providers")))
        environment = {**os.environ, "PYTHONPATH": path, "MEDIABROKER_DATA_DIR": str(folder / "data")}
        command = [sys.executable, str(_DEMO), str(clip), str(self.folder)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        self.out, self.err = run.stdout, run.stderr
        self.calls = [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    return Tour(tmp_path_factory.mktemp("tour"))


@pytest.mark.limit_s(600)
def test_the_tour_ends_with_a_result_in_hand(tour: Tour) -> None:
    assert (tour.folder / "clip-x2.mp4").stat().st_size > 0
    assert "job_succeeded" in tour.out
    assert "64 x 48, 24 frames" in tour.out
    assert "Traceback" not in tour.err  # a connection that the simulated queue drops is told of, and made again


@pytest.mark.limit_s(600)
def test_the_answer_for_a_folder_has_the_originals_form(tour: Tour) -> None:
    _, _, after = tour.out.rpartition("/videoTranscode")
    answer, _ = json.JSONDecoder().raw_decode(after[after.index("\n200 ") + 5 :])
    first, notes, second = answer["videos"]
    assert set(first) == set(second) == {"src", "dst", "status", "output_key", "keyoutpath", "error"}
    assert (first["status"], first["error"]) == ("exist", "exist")
    assert notes == {"error": "not .mp4"}
    assert (second["status"], second["error"]) == ("transcode", "no")


@pytest.mark.limit_s(600)
def test_every_call_of_the_tour_is_allowed_to_its_role_on_that_very_resource(tour: Tour) -> None:
    rights = _rights()
    assert {each["who"] for each in tour.calls} == _ROLES
    refused = {
        f"{each['who']} may not {action} on {resource}"
        for each in tour.calls
        for action in actions_of([each["operation"]])
        for resource in _resources(each, action)
        if not any(action in actions and fnmatch.fnmatchcase(resource, form) for actions, form in rights[each["who"]])
    }
    assert refused == set()


def _rights() -> dict[str, list[tuple[set[str], str]]]:
    """By role, which actions it has on which resources, with the names of the sandbox."""
    template = Template(GIVEN, pseudo=_PSEUDO, lookup=_look_up)
    rights: dict[str, list[tuple[set[str], str]]] = {}
    for role, statement in statements(template):
        actions = set(as_list(statement["Action"]))
        rights.setdefault(role, []).extend((actions, form) for form in as_list(statement["Resource"]))
    return rights


def _look_up(name: str, attribute: str | None) -> str:
    known = {
        ("Bucket", "Arn"): "arn:aws:s3:::media",
        ("Events", "Arn"): "arn:aws:sqs:us-west-2:123456789012:media-events",
        ("TranscodeWorker", "Arn"): "arn:aws:lambda:us-west-2:123456789012:function:mediabroker-transcode-file",
        ("SpotQueue", None): "arn:aws:batch:us-west-2:123456789012:job-queue/mediabroker-spot",
        ("OnDemandQueue", None): "arn:aws:batch:us-west-2:123456789012:job-queue/mediabroker-on-demand",
    }
    return known.get((name, attribute), f"<{name}.{attribute}>")


def _resources(call: dict[str, Any], action: str) -> list[str]:
    """The ARNs that a call acts on."""
    where = call["where"]
    service = action.partition(":")[0]
    here = f"arn:aws:{service}:us-west-2:123456789012"
    if service == "s3":
        bucket = f"arn:aws:s3:::{where['Bucket']}"
        return [bucket if action.startswith("s3:ListBucket") else f"{bucket}/{where['Key']}"]
    if service == "sqs":
        return [f"{here}:{where['QueueUrl'].rpartition('/')[2]}"]
    if service == "lambda":
        return [f"{here}:function:{where['FunctionName'].rpartition(':')[2]}"]
    if action == "batch:SubmitJob":
        return [f"{here}:job-queue/{where['jobQueue']}", f"{here}:job-definition/mediabroker-upscale"]
    return [f"{here}:job/7a362e4a-545a-4e0a-91c7-8573ad314073"]

"""What goes wrong ends in one sentence on stderr, or one JSON object on stdout, and its documented exit code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import mediabroker.cli
from mediabroker.cli.failures import EXIT_CODES, INTERNAL, Interrupted, describe_failure, exit_code_of
from mediabroker.errors import (
    ConfigurationError,
    ErrorCode,
    IdempotencyConflictError,
    InvalidJobError,
    JobError,
    JobFailedError,
    JobNotFoundError,
    MediaError,
    MissingDependencyError,
    StoreBusyError,
    ThrottledError,
    UnsupportedError,
)
from tests.clips import make_text
from tests.unit.cli.conftest import Cli

FAILED = JobFailedError(JobError.of(ErrorCode.MEDIA_CORRUPT, "it is damaged"), ref="job:1/local/transcode/x")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FAILED, 1),
        (MediaError(ErrorCode.OUTPUT_DENIED, "no"), 1),
        (FileNotFoundError(2, "No such file", "x.html"), 1),
        (InvalidJobError("no"), 2),
        (UnsupportedError("no"), 2),
        (IdempotencyConflictError("no"), 2),
        (ConfigurationError("no"), 3),
        (MissingDependencyError("no"), 3),
        (JobNotFoundError("no"), 4),
        (ThrottledError("no"), 5),
        (StoreBusyError("no"), 6),
        (TimeoutError("no"), 7),
        (ZeroDivisionError("no"), INTERNAL),
        (Interrupted("left"), 130),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_exit_code_of_each_class(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_the_table_in_the_docstring_is_the_table_in_use() -> None:
    listed = {int(code) for code in re.findall(r"^    (\d+) ", mediabroker.cli.__doc__ or "", re.MULTILINE)}
    assert listed == {0, INTERNAL, *(code for _, code in EXIT_CODES)}


def test_a_failed_job_is_described_with_its_code_blame_and_reference() -> None:
    described = describe_failure(FAILED)
    assert described["message"] == "it is damaged (MEDIA_CORRUPT)"
    assert (described["code"], described["blame"], described["retryable"]) == ("MEDIA_CORRUPT", "media", False)
    assert described["ref"] == "job:1/local/transcode/x"


def test_a_refused_call_is_described_with_the_vendors_own_words() -> None:
    described = describe_failure(ThrottledError("slow", provider="p", provider_code="E42", retry_after_s=2.0))
    assert (described["provider_code"], described["retryable"], described["retry_after_s"]) == ("E42", True, 2.0)


def test_a_missing_input_is_one_sentence_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    failed = cli("transcode", tmp_path / "none.mp4", tmp_path / "out.mp4")
    assert failed.code == 2
    assert failed.out == ""
    assert "none.mp4 does not exist" in failed.err.splitlines()[-1]
    assert "Traceback" not in failed.err
    assert not (tmp_path / "out.mp4").exists()


def test_debug_adds_the_traceback(cli: Cli, tmp_path: Path) -> None:
    assert "Traceback" in cli("get", "nothing", "--debug").err


def test_text_named_mp4_fails_as_json_with_the_jobs_code(cli: Cli, tmp_path: Path) -> None:
    failed = cli("info", make_text(tmp_path / "a.mp4"), "--json")
    assert failed.code == 1
    assert failed.data["error"]["blame"] == "media"
    assert failed.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["upscale", "a.mp4"], 2, "OUT"),
        (["upscale", "a.mp4", "b.mp4", "--scale", "3"], 2, "scale"),
        (["upscale", "a.mp4", "b.mp4", "--scael", "2"], 2, "--scael"),
        (["upscale", "a.mp4", "a.mp4"], 2, "also the input"),
        (["upscale", "a.mp4", "b.mp4", "--option", "local.thread=1"], 2, "threads"),
        (["upscale", "a.mp4", "s3://bucket/b.mp4", "--compare", "c.html"], 2, "local files"),
        (["upscale", "a.mp4", "b.mp4", "--compare", "c.txt"], 2, ".html"),
        (["upscale", "a.mp4", "b.mp4", "--compare", "c.html", "--detach"], 2, "--detach"),
        (["upscale", "a.mp4", "b.mp4", "--provider", "nobody"], 3, "nobody"),
        (["transcode", "a.mp4", "b.mp4", "--rendition", "tall"], 2, "720:2500k"),
        (["upscal", "a", "b"], 2, "upscale"),
        (["list", "--config", "none.toml"], 3, "none.toml"),
        (["list", "--label", "x"], 2, "name=value"),
        (["list", "--state", "done"], 2, "succeeded"),
        (["list", "--limit", "0"], 2, "given: 0"),
        (["info", "a.mp4", "--timeout", "-1"], 2, "-1"),
        (["compare", "a.mp4", "b.mp4", "--every", "0"], 2, "given: 0"),
        (["list", "--kind", "foo"], 2, "super_resolution"),
        (["list", "--provider", "foo"], 2, "local"),
        (["plan", "nope", "a", "b"], 2, "one of upscale, transcode"),
        (["compare", "s3://bucket/a.mp4", "b.mp4"], 2, "s3://bucket/a.mp4: compare reads local files only"),
        (["compare", "a.mp4", "b.mp4", "--reference", "s3://bucket/c.mp4"], 2, "local files only"),
        (["deploy", "aws", "-p", "Nope=1"], 2, "Nope"),
        (["deploy", "aws", "-p", "Nope"], 2, "NAME=VALUE"),
        (["consume", "nourl"], 2, "sqs://queue-name"),
        (["consume", "sqs://"], 2, "sqs://queue-name"),
        (["serve", "nowhere://x"], 2, "nowhere"),
        (["prune", "--older-than", "soon"], 2, "30d"),
        (["get", "nothing"], 4, "nothing"),
        (["get", "job:2/x"], 2, "job:2/x"),
        (["submit", "none.json"], 2, "none.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_says_what_is_wrong(cli: Cli, arguments: list[str], code: int, says: str) -> None:
    failed = cli(*arguments)
    assert failed.code == code
    assert says in failed.err
    assert len(failed.err.strip().splitlines()) == 1
    as_json = cli(*arguments, "--json")
    assert as_json.code == as_json.data["error"]["exit_code"] == code
    assert says in as_json.data["error"]["message"]


def test_yaml_without_pyyaml_names_the_command_that_installs_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.yaml").write_text("kind: media_info\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    failed = cli("submit", tmp_path / "job.yaml")
    assert failed.code == 3
    assert "pip install pyyaml" in failed.err


def test_a_job_that_takes_too_long_is_left_alone(cli: Cli, clip: Path) -> None:
    late = cli("info", clip, "--timeout", "0.001", "--json")
    assert late.code == 7
    assert "goes on" in late.data["error"]["message"]
    job = cli("list", "--json").data[0]
    assert cli("watch", job["id"]).code == 0


@pytest.mark.parametrize("plan", [(), ("--plan",)], ids=["run", "plan"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("upscale", "nope.mp4", "x.mp4"), "input: .*nope.mp4 does not exist"),
        (("upscale", "{clip}", "x.avi"), "output: the output .*x.avi ends in '.avi'; use one of .mp4"),
        (("upscale", "{clip}", "x.mp4", "--model", "beautiful"), "model: there is no model 'beautiful' for scale 2"),
    ],
)
def test_what_cannot_be_is_refused_alike_by_plan_and_run_before_anything_starts(
    cli: Cli, clip: Path, plan: tuple[str, ...], arguments: tuple[str, ...], said: str
) -> None:
    outcome = cli(*(each.replace("{clip}", str(clip)) for each in arguments), *plan)
    assert outcome.code == 2
    assert re.search(said, outcome.err)
    assert cli("list", "--json").data == []

"""What workers leave for whoever asks: believed when it is of this attempt, done without when it is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mediabroker.errors import AuthenticationError, ErrorCode, JobError, ProviderError, UnavailableError
from mediabroker.flows import Call, Reply, drive
from mediabroker.refs import MediaURI
from mediabroker_aws.batch.records import read_failure, read_result

_OUTPUT = MediaURI("s3://media/out.mp4")
_CHANGED = JobError.of(ErrorCode.INPUT_CHANGED, "s3://media/in.mp4 was replaced")
_FAILURE = {"holder": "j:3", "attempt": 2, "exit_code": 65, "error": _CHANGED.model_dump(mode="json")}


def detail(task: str = "slice", index: int | None = 3, exit_code: int | None = 65) -> dict[str, Any]:
    return {
        "jobId": "j",
        "attempts": [{}, {}],
        "arrayProperties": {} if index is None else {"index": index},
        "container": {
            "exitCode": exit_code,
            "environment": [
                {"name": "MEDIABROKER_TASK", "value": task},
                {"name": "MEDIABROKER_MANIFEST", "value": "s3://media/wip/t/manifest.json"},
            ],
        },
    }


class Folder:
    """A job's folder that holds one record, or does not let anybody look."""

    def __init__(self, content: Any, *, refusal: ProviderError | None = None) -> None:
        self.body = content if isinstance(content, str) or content is None else json.dumps(content)
        self.refusal, self.asked = refusal, list[str]()

    def answer(self, call: Call[Any]) -> Reply:
        self.asked.append(str(call.params["uri"]))
        if self.refusal is not None:
            raise self.refusal
        return {"body": self.body}


@pytest.mark.parametrize(
    ("task", "index", "name"), [("slice", 3, "slice-000003.error.json"), ("merge", None, "merge.error.json")]
)
def test_the_workers_own_words_are_the_error(task: str, index: int | None, name: str) -> None:
    folder = Folder(_FAILURE)
    assert drive(read_failure(detail(task, index)), folder.answer) == _CHANGED
    assert folder.asked == [f"s3://media/wip/t/{name}"]


@pytest.mark.parametrize(
    "content",
    [None, "", "{", {**_FAILURE, "attempt": 1}, {**_FAILURE, "exit_code": 75}, {**_FAILURE, "error": {"code": "NO"}}],
    ids=["none", "empty", "broken", "earlier attempt", "another exit code", "unknown code"],
)
def test_what_is_not_of_this_attempt_is_not_believed(content: Any) -> None:
    assert drive(read_failure(detail()), Folder(content).answer) is None


def test_of_a_worker_that_was_told_to_stop_batch_knows_better_why() -> None:
    stopped = JobError.of(ErrorCode.PREEMPTED, "told to stop").model_dump(mode="json")
    folder = Folder({**_FAILURE, "exit_code": 75, "error": stopped})
    assert drive(read_failure(detail(exit_code=75)), folder.answer) is None


def test_a_worker_that_had_no_last_word_is_not_asked_for_one() -> None:
    folder = Folder(_FAILURE)
    assert drive(read_failure(detail(exit_code=None)), folder.answer) is None
    assert folder.asked == []


def test_a_folder_that_may_not_be_looked_into_is_done_without() -> None:
    folder = Folder(None, refusal=AuthenticationError("denied"))
    assert drive(read_failure(detail()), folder.answer) is None
    assert drive(read_result(detail(), _OUTPUT), folder.answer) is None


def test_a_store_that_cannot_be_asked_now_is_asked_again_later() -> None:
    with pytest.raises(UnavailableError):
        drive(read_failure(detail()), Folder(None, refusal=UnavailableError("not now")).answer)


def published(**changes: Any) -> dict[str, Any]:
    result = {"outputs": [{"uri": str(_OUTPUT), "size_bytes": 5}], "frame_count": 30, **changes}
    return {"version": 1, "token": "t", "result": result}


def test_the_result_is_what_was_published() -> None:
    folder = Folder(published())
    found = drive(read_result(detail("merge", None), _OUTPUT), folder.answer)
    assert found is not None
    assert (found.frame_count, found.outputs[0].size_bytes) == (30, 5)
    assert folder.asked == ["s3://media/wip/t/result.json"]


@pytest.mark.parametrize("content", [None, "{}", published(outputs=[]), published(frames=3)])
def test_a_result_of_something_else_is_none(content: Any) -> None:
    assert drive(read_result(detail("merge", None), _OUTPUT), Folder(content).answer) is None

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.errors import ErrorCode, JobError, ProviderError, SubmissionUnknownError, UnsupportedError
from mediabroker.jobs import JobSpec, MediaInfo, SuperResolution
from mediabroker.refs import MediaURI
from mediabroker.results import Frames, Item, JobResult, Output, VideoResult
from mediabroker.spi import (
    Call,
    Capabilities,
    Flow,
    Member,
    MemberStatus,
    Observation,
    Provider,
    Reply,
    SubmitContext,
    ask,
    drive,
    fold_members,
)
from mediabroker.states import JobState, fold_states
from mediabroker.testing.driver import Driver, Exchange, ReplayDivergedError, new_context, replay

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PARAMS = st.dictionaries(st.text(), JSON, max_size=4)
PROBE: Call[Any] = Call("farm", "Probe", {"uri": "s3://bucket/a"}, read=lambda reply: reply["frames"])
RUN: Call[Any] = Call("farm", "Run", {"token": "t-run"}, "create", "run", lambda reply: reply["id"], {"id": "<run.id>"})


def conversation() -> Flow[tuple[Any, Any]]:
    frames = yield from ask(PROBE)
    native_id = yield from ask(RUN)
    return frames, native_id


def obliging(call: Call[Any]) -> Reply:
    return {"frames": 12} if call.operation == "Probe" else {"id": "j-1"}


@given(PARAMS)
def test_a_digest_depends_on_what_is_asked_and_not_on_the_order_of_the_keys(params: dict[str, Any]) -> None:
    turned = dict(reversed(params.items()))
    assert Call("farm", "Run", params).digest == Call("farm", "Run", turned).digest


@pytest.mark.parametrize(
    "other",
    [
        Call("other", "Run", {"a": 1}),
        Call("farm", "Other", {"a": 1}),
        Call("farm", "Run", {"a": 2}),
        Call("farm", "Run", {"a": "1"}),
        Call("farm", "Run", {"a": 1}, "cancel"),
        Call("farm", "Run", {"a": 1}, "create", "one"),
        Call("farm", "Run", {"a": 1}, "create", "two"),
    ],
)
def test_a_digest_changes_with_every_part_of_the_call(other: Call[Any]) -> None:
    assert other.digest != Call("farm", "Run", {"a": 1}).digest


def test_a_create_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="step"):
        Call("farm", "Run", {}, "create")


def test_a_flow_is_an_ordinary_conversation() -> None:
    assert drive(conversation(), obliging) == (12, "j-1")


def test_a_refusal_is_thrown_into_the_flow_which_may_undo_and_raise_again() -> None:
    asked = []

    def careful() -> Flow[None]:
        try:
            yield from ask(RUN)
        except ProviderError:
            yield from ask(Call("farm", "Undo", {}, "cancel"))
            raise

    def refusing(call: Call[Any]) -> Reply:
        asked.append(call.operation)
        if call is RUN:
            raise ProviderError("quota", provider_code="Quota")
        return {}

    with pytest.raises(ProviderError, match="quota"):
        drive(careful(), refusing)
    assert asked == ["Run", "Undo"]


def test_an_unknown_outcome_never_enters_the_flow() -> None:
    entered = []

    def nosy() -> Flow[None]:
        try:
            yield from ask(RUN)
        except Exception as error:
            entered.append(error)
            raise

    def lost(call: Call[Any]) -> Reply:
        raise SubmissionUnknownError("the connection broke")

    with pytest.raises(SubmissionUnknownError):
        drive(nosy(), lost)
    assert entered == []


def test_a_replay_over_the_record_reaches_the_same_end() -> None:
    record = [Exchange(PROBE, {"frames": 3}), Exchange(RUN, {"id": "j-9"})]
    assert replay(conversation(), record) == (3, "j-9")


@pytest.mark.parametrize(
    "record",
    [
        [],
        [Exchange(PROBE, {"frames": 3})],
        [Exchange(RUN, {"id": "j"}), Exchange(PROBE, {"frames": 3})],
        [Exchange(PROBE, {"frames": 3}), Exchange(RUN, {"id": "j"}), Exchange(RUN, {"id": "k"})],
    ],
)
def test_a_replay_that_differs_from_its_record_is_told(record: list[Exchange]) -> None:
    with pytest.raises(ReplayDivergedError):
        replay(conversation(), record)


def test_a_recorded_refusal_is_replayed_as_a_refusal() -> None:
    with pytest.raises(ProviderError, match="no"):
        replay(conversation(), [Exchange(PROBE, refusal=ProviderError("no"))])


class Farm(Provider):
    """A provider in name only, for what the base class does by itself."""

    type = "farm"

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=("media_info",), input_schemes=frozenset({"s3"}), output_schemes=frozenset({"s3", "oss"})
        )

    def connect(self, service: str) -> FarmTransport:
        return FarmTransport()

    def submit(self, spec: JobSpec[Any], options: object, ctx: SubmitContext) -> Any:
        return conversation()

    def query(self, members: object) -> Any:
        raise NotImplementedError

    def cancel(self, members: object) -> Any:
        raise NotImplementedError

    def classify(self, failure: ProviderError) -> JobError:
        return JobError.of(ErrorCode.UNKNOWN, str(failure))


class FarmTransport:
    def perform(self, call: Call[Any]) -> Reply:
        return obliging(call)

    def close(self) -> None:
        pass


class Sculpture(JobSpec[JobResult], frozen=True):
    kind: Literal["test_sculpture"] = "test_sculpture"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (Sculpture(input="s3://bucket/a"), "test_sculpture.*media_info"),
        (MediaInfo(input="/tmp/a.mp4"), "file://"),
        (MediaInfo(input="s3://bucket/a", output="/tmp/a.json"), "file://"),
    ],
)
def test_what_a_provider_cannot_express_is_refused_with_the_reason(spec: JobSpec[Any], complaint: str) -> None:
    with pytest.raises(UnsupportedError, match=complaint):
        Farm("mine", {}).check(spec, None)


def test_what_a_provider_can_express_passes_the_check() -> None:
    Farm("mine", {}).check(MediaInfo(input="s3://bucket/a", output="oss://bucket/b"), None)


def test_the_driver_plans_without_performing_a_create() -> None:
    with Driver(Farm("mine", {})) as driver:
        assert driver.plan(conversation()) == (12, "<run.id>")
        assert [call.operation for call in driver.calls()] == ["Probe"]
        assert driver.run(conversation()) == (12, "j-1")
        assert [call.operation for call in driver.calls("create")] == ["Run"]


def test_find_must_be_written_by_who_declares_a_settle_time() -> None:
    farm = Farm("mine", {})
    with pytest.raises(NotImplementedError, match="mine"):
        farm.find(new_context(MediaInfo(input="s3://bucket/a")), RUN)


def test_a_provider_without_callbacks_takes_no_message_for_its_own() -> None:
    assert Farm("mine", {}).parse({"anything": 1}) is None


def test_each_create_of_an_attempt_has_its_own_token() -> None:
    ctx = new_context(SuperResolution(input="s3://bucket/a", output="s3://bucket/b"))
    assert ctx.token_of("split") != ctx.token_of("merge")
    assert all(ctx.token in ctx.token_of(step) for step in ("split", "merge"))
    assert ctx.token == ctx.token.lower()


def status(state: JobState, native_id: str = "n", **fields: Any) -> MemberStatus:
    required = fields.pop("required", True)
    return MemberStatus(member=Member(role="run", native_id=native_id, required=required), state=state, **fields)


def output(name: str) -> Output:
    return Output(uri=MediaURI(f"s3://bucket/{name}"), size_bytes=1)


def test_fold_joins_outputs_and_items_in_order_and_keeps_the_results_type() -> None:
    item = Item(source="s3://bucket/a", outcome="ok")
    folded = fold_members(
        [
            status(JobState.SUCCEEDED, "n1", result=VideoResult(outputs=(output("1"),), items=(item,))),
            status(JobState.SUCCEEDED, "n2", result=VideoResult(outputs=(output("2"),), width_px=64)),
        ]
    )
    assert isinstance(folded.result, VideoResult)
    assert [each.uri.name for each in folded.result.outputs] == ["1", "2"]
    assert folded.result.items == (item,)


def test_fold_blames_the_first_required_failure() -> None:
    first, second = (JobError.of(ErrorCode.LOST, text) for text in ("first", "second"))
    folded = fold_members(
        [
            status(JobState.FAILED, required=False, error=second),
            status(JobState.FAILED, error=first, raw={"r": 1}),
            status(JobState.FAILED, error=second),
        ]
    )
    assert (folded.state, folded.error, folded.raw) == (JobState.FAILED, first, {"r": 1})


def test_fold_takes_the_mean_progress_and_the_busiest_phase() -> None:
    folded = fold_members(
        [
            status(JobState.RUNNING, progress=0.5, phase="upscaling", frames=Frames(done=6)),
            status(JobState.QUEUED, progress=0.0, phase="waiting"),
        ]
    )
    assert (folded.progress, folded.phase, folded.frames) == (0.25, "upscaling", Frames(done=6))


@given(st.lists(st.sampled_from(JobState), max_size=5))
def test_fold_of_members_agrees_with_the_fold_of_states_and_is_pure(states: list[JobState]) -> None:
    members = [status(state, str(index)) for index, state in enumerate(states)]
    assert fold_members(members).state is fold_states(members)
    assert fold_members(members) == fold_members(list(members))


def test_no_members_fold_to_nothing_known() -> None:
    assert fold_members([]) == Observation(native_id="", state=JobState.SUBMITTING)


@given(PARAMS)
def test_an_observation_reads_back_from_its_json_with_the_vendors_payload(raw: Mapping[str, Any]) -> None:
    seen = Observation(native_id="n", state=JobState.RUNNING, progress=0.5, raw=dict(raw))
    assert Observation.model_validate_json(seen.model_dump_json()) == seen


def test_an_observation_keeps_its_results_own_fields_in_json() -> None:
    seen = Observation(native_id="n", result=VideoResult(width_px=64))
    assert seen.model_dump(mode="json")["result"]["width_px"] == 64
    assert pickle.loads(pickle.dumps(seen)) == seen

"""What a provider reads and says: callbacks, refusals, folds; and that no secret is in any of it."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    JobError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.spi import Member, MemberStatus, Observation
from mediabroker.states import JobState
from mediabroker.testing.checks.observing import arrange
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, start

__all__ = ["SpeakingChecks"]

_REFUSALS = [
    ProviderError("no"),
    ProviderError("no", provider_code="A.Code.Nobody.Lists", retryable=True),
    ProviderError("", provider_code="", request_id="", raw=[None]),
    AuthenticationError("who are you?"),
    ThrottledError("slow down", retry_after_s=3),
    UnavailableError("closed"),
    SubmissionUnknownError("no answer"),
]
_ODD: list[Any] = [None, True, 0, -1, 1e308, 10**30, "", "\x00", "\ud800", "x" * 70_000, [], [[]], {}, {"": {}}]


class SpeakingChecks:
    """Texts and messages."""

    @pytest.mark.parametrize("failure", _REFUSALS, ids=lambda failure: f"{type(failure).__name__}-{failure}")
    def test_classify_has_an_answer_to_every_refusal(self, driver: Driver, failure: ProviderError) -> None:
        error = driver.provider.classify(failure)
        assert isinstance(error, JobError)
        assert pickle.loads(pickle.dumps(error)) == error

    def test_classify_tells_what_may_be_tried_again(self, rig: Rig, driver: Driver) -> None:
        assert driver.provider.classify(ThrottledError("slow down")).retryable
        assert driver.provider.classify(UnavailableError("closed")).retryable
        if rig.secret is not None:
            assert not driver.provider.classify(AuthenticationError("who are you?")).retryable

    def test_a_real_refusal_is_a_provider_error_that_survives_pickling(self, rig: Rig, driver: Driver) -> None:
        for error in _refused(rig, driver):
            assert error.provider, f"{error!r} does not name its provider"
            assert error.operation, f"{error!r} does not name its operation"
            twin = pickle.loads(pickle.dumps(error))
            assert (type(twin), twin.args, vars(twin)) == (type(error), error.args, vars(error))
            assert isinstance(driver.provider.classify(error), JobError)

    def test_no_secret_is_in_any_text(self, rig: Rig, driver: Driver) -> None:
        if rig.secret is None:
            pytest.skip("this provider has no credentials")
        started = start(driver, rig.spec(rig.kind))
        seen = driver.run(driver.provider.query(started.members))
        errors = [text for error in _refused(rig, driver) for text in _texts_of(error)]
        calls = [text for each in driver.exchanges for text in (repr(each), str(each), json.dumps(each.call.params))]
        shown = [repr(driver.provider), str(driver.provider), repr(driver.provider.capabilities()), repr(seen)]
        for text in [*errors, *calls, *shown, *(each.model_dump_json() for each in seen)]:
            assert rig.secret not in text, f"a secret is in {text.replace(rig.secret, '***')[:200]}"

    def test_no_message_makes_parse_raise(self, rig: Rig, driver: Driver) -> None:
        genuine = rig.messages(start(driver, rig.spec(rig.kind))) if rig.has_callbacks else ()
        for odd in _ODD:
            spoilt = [each for message in genuine for each in _spoilt(message, odd)]
            for message in [{"": odd}, {"id": odd, "status": odd}, *spoilt]:
                parsed = driver.provider.parse(message)
                assert parsed is None or all(isinstance(each, Observation) for each in parsed), f"{message}: {parsed}"

    def test_a_strangers_message_is_not_taken_for_its_own(self, driver: Driver) -> None:
        assert driver.provider.parse({}) is None
        assert driver.provider.parse({"source": "a.stranger", "detail": {"jobId": "1", "status": "SUCCEEDED"}}) is None

    def test_its_own_messages_are_read_the_same_every_time(self, rig: Rig, driver: Driver) -> None:
        if not rig.has_callbacks:
            pytest.skip("this vendor sends no callbacks")
        started = arrange(rig, driver, JobState.SUCCEEDED)
        messages = rig.messages(started)
        assert messages, "the rig shows no message of a vendor that sends them"
        for message in messages:
            first, second = driver.provider.parse(message), driver.provider.parse(message)
            assert first, f"its own message is not read: {message}"
            assert first == second, "parse is not pure"
            assert {each.native_id for each in first} <= {member.native_id for member in started.members}

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED], ids=str)
    def test_members_that_ended_alike_fold_to_that_end(self, rig: Rig, driver: Driver, state: JobState) -> None:
        members = start(driver, rig.spec(rig.kind)).members
        folded = [driver.provider.fold([_ended(member, state) for member in members]) for _ in range(2)]
        assert folded[0] == folded[1], "fold is not pure"
        assert folded[0].state is state

    def test_a_failed_required_member_fails_the_attempt(self, rig: Rig, driver: Driver) -> None:
        members = start(driver, rig.spec(rig.kind)).members
        for unlucky in [member for member in members if member.required]:
            statuses = [_ended(each, JobState.FAILED if each is unlucky else JobState.SUCCEEDED) for each in members]
            assert driver.provider.fold(statuses).state is JobState.FAILED

    def test_members_survive_the_store(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            for member in start(driver, rig.spec(kind)).members:
                assert Member.model_validate_json(member.model_dump_json()) == member

    def test_transports_close_twice_in_peace(self, rig: Rig, driver: Driver) -> None:
        start(driver, rig.spec(rig.kind))
        transport = driver.provider.connect(driver.exchanges[0].call.service)
        transport.close()
        transport.close()


def _refused(rig: Rig, driver: Driver) -> list[ProviderError]:
    errors = []
    for action in rig.refusals(driver):
        with pytest.raises(ProviderError) as caught:
            action()
        errors.append(caught.value)
    return errors


def _texts_of(error: BaseException) -> Iterator[str]:
    yield "".join(traceback.format_exception(error))
    cause: BaseException | None = error
    while cause is not None:
        yield from (str(cause), repr(cause), repr(cause.args), repr(vars(cause)))
        cause = cause.__cause__ or cause.__context__


def _spoilt(message: Mapping[str, Any], odd: Any) -> Iterator[dict[str, Any]]:
    """The message with each of its fields, at any depth, replaced by something odd, or gone."""
    for name, value in message.items():
        yield {**message, name: odd}
        yield {key: each for key, each in message.items() if key != name}
        if isinstance(value, Mapping):
            yield from ({**message, name: spoilt} for spoilt in _spoilt(value, odd))


def _ended(member: Member, state: JobState) -> MemberStatus:
    error = JobError.of(ErrorCode.UNKNOWN, "for the test") if state is JobState.FAILED else None
    return MemberStatus(member=member, state=state, error=error)

"""Submit: well-formed ids, pure and repeatable flows, and one job per token."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mediabroker.jobs import JobSpec
from mediabroker.spi import Call, Reply, SubmitContext, Submitted, drive
from mediabroker.testing.driver import Driver, Exchange, new_context, replay
from mediabroker.testing.purity import drive_purely
from mediabroker.testing.rig import Rig, Started, start

__all__ = ["SubmittingChecks"]

_DAY_S = 86_400
_UNSEARCHABLE = "this vendor cannot be searched by token; a lost reply becomes a visible hold"
_SIGNED = re.compile(r"(?i)[?&](x-amz-|signature=|expires=|ossaccesskeyid=|security-token=)")


class SubmittingChecks:
    """Every kind that the provider declares is submitted."""

    def test_submit_starts_members_with_well_formed_ids(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            members = start(driver, rig.spec(kind)).members
            ids = [member.native_id for member in members]
            assert ids, f"{kind}: no member"
            assert len(set(ids)) == len(ids), f"{kind}: an id stands for two members: {ids}"
            assert all(each.isprintable() and each == each.strip() for each in ids), f"{kind}: malformed ids {ids}"
            assert not any("<" in each for each in ids), f"{kind}: a placeholder became an id: {ids}"
            assert any(member.required for member in members), f"{kind}: nobody decides how the attempt ends"

    def test_every_create_carries_its_own_token(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            spec, ctx = _request(rig, kind)
            creates = [each.call for each in _record(driver, spec, ctx) if each.call.effect == "create"]
            assert creates, f"{kind}: submit created nothing"
            assert len({call.step for call in creates}) == len(creates), f"{kind}: two creates share a step"
            for call in creates:
                assert ctx.token in _text(call), f"{call.operation} ({call.step}) is sent without its token"

    def test_params_are_plain_json(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            for exchange in _record(driver, *_request(rig, kind)):
                text = json.dumps(exchange.call.params, allow_nan=False)
                assert json.loads(text) == exchange.call.params, f"{exchange.call.operation} changes on the way"

    def test_params_hold_no_clock_value_and_no_signed_url(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            for exchange in _record(driver, *_request(rig, kind)):
                for leaf in _leaves(exchange.call.params):
                    assert not _is_about_now(leaf), f"{exchange.call.operation} holds a clock value: {leaf!r}"
                    assert not _SIGNED.search(str(leaf)), f"{exchange.call.operation} holds a signed URL"

    def test_equal_requests_yield_equal_calls(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            spec, ctx = _request(rig, kind)
            with Driver(rig.open()) as another:
                first, second = _planned(driver, spec, ctx), _planned(another, spec, ctx)
            assert [call.digest for call in first] == [call.digest for call in second], f"{kind}: {first} != {second}"

    def test_replaying_the_recorded_replies_reaches_the_same_end(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            spec, ctx = _request(rig, kind)
            submitted = driver.run(driver.provider.submit(spec, None, ctx))
            again = replay(rig.open().submit(spec, None, ctx), driver.exchanges)
            assert again == submitted, f"{kind}: replayed to {again}"
            driver.exchanges.clear()

    def test_flows_do_no_io_of_their_own(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            spec, ctx = _request(rig, kind)
            submitted = drive_purely(driver.provider.submit(spec, None, ctx), driver.perform)
            drive_purely(driver.provider.query(submitted.members), driver.perform)

    def test_a_plan_reaches_its_end_without_starting_anything(self, rig: Rig, driver: Driver) -> None:
        before = rig.count_jobs()
        for kind in driver.provider.capabilities().kinds:
            spec, ctx = _request(rig, kind)
            planned = driver.plan(driver.provider.submit(spec, None, ctx))
            assert planned.members, f"{kind}: the plan has no member"
            assert not driver.calls("create")
        assert rig.count_jobs() == before

    def test_stand_ins_show_placeholders(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            spec = rig.spec(kind)
            for call in _planned(driver, spec, new_context(spec, token="<token>")):
                if call.effect == "create":
                    assert any("<" in str(leaf) for leaf in _leaves(call.stand_in)), f"{call.operation} plans a real id"

    def test_a_reply_without_an_id_is_no_acceptance(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            for exchange in _record(driver, *_request(rig, kind)):
                if exchange.call.effect == "create":
                    assert not _reads(exchange.call, {}), f"{exchange.call.operation} accepts an empty reply"

    def test_the_same_token_twice_starts_one_job(self, rig: Rig, driver: Driver) -> None:
        spec, ctx = _request(rig, rig.kind)
        first = driver.run(driver.provider.submit(spec, None, ctx))
        held = rig.count_jobs()
        again = drive(driver.provider.submit(spec, None, ctx), lambda call: _sent_again(rig, driver, ctx, call))
        assert again.members == first.members, "the second answer names another job"
        assert rig.count_jobs() == held, "a second job was started"

    def test_two_threads_with_one_token_start_one_job(self, rig: Rig, driver: Driver) -> None:
        if not rig.idempotent_creates:
            pytest.skip("this vendor knows no tokens; the broker's lease keeps two threads apart")
        spec, ctx = _request(rig, rig.kind)

        def submit(_: int) -> Submitted:
            return driver.run(driver.provider.submit(spec, None, ctx))

        before = rig.count_jobs()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(submit, range(4)))
        assert len({answer.model_dump_json() for answer in answers}) == 1, f"answers differ: {answers}"
        assert rig.count_jobs() - before <= len(answers[0].members), "a second job was started"

    def test_find_returns_the_reply_that_the_create_gave(self, rig: Rig, driver: Driver) -> None:
        searched = 0
        for kind in driver.provider.capabilities().kinds:
            spec, ctx = _request(rig, kind)
            for exchange in [each for each in _record(driver, spec, ctx) if each.call.effect == "create"]:
                if driver.provider.settle_time_s(exchange.call) is None:
                    continue
                searched += 1
                found = driver.run(driver.provider.find(ctx, exchange.call))
                assert len(found) == 1, f"{exchange.call.operation}: {len(found)} jobs under one token"
                assert exchange.call.read(found[0]) == exchange.call.read(exchange.reply or {})
        if not searched:
            pytest.skip(_UNSEARCHABLE)

    def test_find_of_an_unknown_token_finds_nothing(self, rig: Rig, driver: Driver) -> None:
        spec, ctx = _request(rig, rig.kind)
        start(driver, rig.spec(spec.kind))
        for call in _planned(driver, spec, ctx):
            if call.effect == "create":
                _skip_unless_searchable(driver, call)
                assert driver.run(driver.provider.find(ctx, call)) == []

    def test_many_threads_share_a_provider(self, rig: Rig, driver: Driver) -> None:
        specs = [rig.spec(rig.kind) for _ in range(4)]

        def submit_and_look(spec: JobSpec[Any]) -> Started:
            started = start(driver, spec)
            seen = driver.run(driver.provider.query(started.members))
            assert {each.native_id for each in seen} == {each.native_id for each in started.members}
            return started

        with ThreadPoolExecutor(len(specs)) as pool:
            jobs = list(pool.map(submit_and_look, specs))
        assert len({job.members[0].native_id for job in jobs}) == len(specs), "two requests got one job"


def _request(rig: Rig, kind: str) -> tuple[JobSpec[Any], SubmitContext]:
    spec = rig.spec(kind)
    return spec, new_context(spec)


def _record(driver: Driver, spec: JobSpec[Any], ctx: SubmitContext) -> list[Exchange]:
    at = len(driver.exchanges)
    driver.run(driver.provider.submit(spec, None, ctx))
    return driver.exchanges[at:]


def _planned(driver: Driver, spec: JobSpec[Any], ctx: SubmitContext) -> list[Call[Any]]:
    calls: list[Call[Any]] = []

    def note(call: Call[Any]) -> Reply:
        calls.append(call)
        return driver.perform(call) if call.effect == "read" else call.stand_in

    drive(driver.provider.submit(spec, None, ctx), note)
    return calls


def _sent_again(rig: Rig, driver: Driver, ctx: SubmitContext, call: Call[Any]) -> Reply:
    """A create whose answer was lost, as the broker settles it: search by the token, send again if nothing is found."""
    if call.effect != "create" or rig.idempotent_creates:
        return driver.perform(call)
    _skip_unless_searchable(driver, call)
    found = driver.run(driver.provider.find(ctx, call))
    return found[0] if found else driver.perform(call)


def _skip_unless_searchable(driver: Driver, call: Call[Any]) -> None:
    if driver.provider.settle_time_s(call) is None:
        pytest.skip(_UNSEARCHABLE)


def _reads(call: Call[Any], reply: Reply) -> bool:
    try:
        call.read(reply)
    except Exception:
        return False
    return True


def _text(call: Call[Any]) -> str:
    return json.dumps(call.params, ensure_ascii=False)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _is_about_now(leaf: Any) -> bool:
    now_s = time.time()
    if isinstance(leaf, int | float):
        return any(abs(leaf / unit - now_s) < _DAY_S for unit in (1, 1e3, 1e6, 1e9))
    today = datetime.now(timezone.utc)
    days = (today + timedelta(days=delta) for delta in (-1, 0, 1))
    return isinstance(leaf, str) and any(f"{day:%Y-%m-%d}T" in leaf or f"{day:%Y%m%d}T" in leaf for day in days)

"""The simulator's clock, tenants, nonces and ledger."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from threading import Event, Thread

import pytest

from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.ledger import Accepted
from mediabroker_alibaba.simulator.nonces import NonceMemory
from mediabroker_alibaba.simulator.seams import InMemoryQueues, PostRefusedError
from mediabroker_alibaba.simulator.world import World

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def test_frozen_clock_moves_when_told_and_tells_its_listeners() -> None:
    clock, told = SimulatedClock(AT, frozen=True), []
    clock.on_advance(lambda: told.append(clock.now()))
    clock.advance(90)
    assert clock.now() == AT + timedelta(seconds=90)
    assert told == [clock.now()]
    with pytest.raises(ValueError, match="only moves forward"):
        clock.advance(-1)


def test_jump_ends_a_wait() -> None:
    clock, answers = SimulatedClock(AT, frozen=True), []
    waiting = Thread(target=lambda: answers.append(clock.wait(Event(), 3600)))
    waiting.start()
    clock.advance(3601)
    waiting.join(60)
    assert answers == [False]


def test_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        SimulatedClock(datetime(2026, 1, 1))  # noqa: DTZ001


def test_accounts_have_keys_of_their_own() -> None:
    world = World()
    one, two = world.tenants.add_account("1234"), world.tenants.add_account()
    assert world.tenants.find(one.key.access_key_id) == (one, one.key)
    assert world.tenants.find("nobody") is None
    assert world.tenants.accounts() == [one, two]
    assert one.key.access_key_secret not in repr(one) + repr(one.key)
    with pytest.raises(ValueError, match="exists already"):
        world.tenants.add_account("1234")
    with pytest.raises(ValueError, match="digits"):
        world.tenants.add_account("acme")


def test_temporary_keys_end_by_the_simulated_clock() -> None:
    world = World(SimulatedClock(AT, frozen=True))
    account = world.tenants.add_account()
    pair = world.tenants.add_temporary_key(account, expires_in_s=60)
    assert pair.token
    assert not world.tenants.is_expired(pair)
    world.clock.advance(60)
    assert world.tenants.is_expired(pair)
    assert not world.tenants.is_expired(account.key)


def test_nonces_work_once_for_each_key_and_are_forgotten_after_the_window() -> None:
    clock = SimulatedClock(AT, frozen=True)
    nonces = NonceMemory(clock)
    assert nonces.use("a", "1")
    assert nonces.use("b", "1")
    assert not nonces.use("a", "1")
    clock.advance(31 * 60)
    assert nonces.use("a", "1")


def test_ledger_keeps_the_order() -> None:
    ledger = World().ledger
    for action in ("SubmitJobs", "SubmitIProductionJob"):
        ledger.append(Accepted(AT, "1", "cn-shanghai", action, "a" * 32, {}))
    assert [each.action for each in ledger.entries()] == ["SubmitJobs", "SubmitIProductionJob"]
    assert len(ledger.entries("SubmitJobs")) == 1


def test_queues_in_memory_take_messages_for_queues_that_exist() -> None:
    queues = InMemoryQueues()
    queues.create("1", "cn-shanghai", "done")
    assert queues.post("1", "cn-shanghai", "done", "e30=")
    assert queues.posted["1", "cn-shanghai", "done"] == ["e30="]
    with pytest.raises(PostRefusedError, match="QueueNotExist"):
        queues.post("2", "cn-shanghai", "done", "e30=")

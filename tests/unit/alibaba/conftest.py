"""Alibaba Cloud on loopback, spoken to over HTTP by whatever is under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mediabroker_alibaba.simulator.mns import MnsService
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World

REGION = "cn-shanghai"
ACCOUNT = "1234567890123456"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The tenant whose credentials lie in the environment."""
    account = world.tenants.add_account(ACCOUNT, access_key_id="LTAI-canary", access_key_secret="secret-canary")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI-canary")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret-canary")
    return account


@pytest.fixture
def mns(world: World) -> MnsService:
    return MnsService(world, REGION)


@pytest.fixture
def mns_url(world: World, mns: MnsService) -> Iterator[str]:
    with LoopbackServer(mns.answer, clock=world.clock) as server:
        yield server.url
        world.stopping.set()

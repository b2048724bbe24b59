"""Alibaba Cloud on loopback, spoken to over HTTP by whatever is under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oss2
import pytest

from mediabroker_alibaba.oss.client import DrainingSession
from mediabroker_alibaba.simulator.mns import MnsService
from mediabroker_alibaba.simulator.oss import OssService, OssState
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World

REGION = "cn-shanghai"
ACCOUNT = "1234567890123456"
BUCKET = "media"


def connect(url: str, account: Account, *, signature: str = "v4", bucket: str = BUCKET, region: str = REGION) -> Any:
    """A bucket as others see it: oss2 as it is, but for error answers, which it leaves half read."""
    auth = oss2.make_auth(account.key.access_key_id, account.key.access_key_secret, signature)
    return oss2.Bucket(auth, url, bucket, region=region, session=DrainingSession())


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


@pytest.fixture
def oss_state(world: World, account: Account, tmp_path: Path) -> OssState:
    """All buckets of the cloud; `BUCKET` is there."""
    state = OssState(world, tmp_path / "oss")
    state.create_bucket(account.id, BUCKET, REGION)
    return state


@pytest.fixture
def oss_url(world: World, oss_state: OssState) -> Iterator[str]:
    with LoopbackServer(OssService(oss_state, REGION).answer, clock=world.clock) as server:
        yield server.url
        world.stopping.set()

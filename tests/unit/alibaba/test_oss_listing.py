"""A folder of OSS objects, listed in pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediabroker.objects import UnnameableError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from mediabroker_alibaba import OssStore
from mediabroker_alibaba.simulator.oss import OssService, OssState
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World
from tests.unit.alibaba.conftest import REGION


def test_a_folder_is_listed_page_by_page_and_cleared_without_its_neighbours(
    world: World, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = OssState(world, tmp_path / "oss")
    state.create_bucket(account.id, "media-lists", REGION)
    with LoopbackServer(OssService(state, REGION).answer, clock=world.clock) as server:
        stores = Stores({"oss": {"endpoint_url": server.url, "region": REGION}})
        inside = {MediaURI(f"oss://media-lists/t/{name}") for name in ("in/a", "out/b c.ts", "out/d#%41")}
        beside = MediaURI("oss://media-lists/t2/e")
        store = stores.of(beside)
        assert isinstance(store, OssStore)
        for uri in (*inside, beside):
            store.write(uri, iter([b"x"]))
        whole: Any = store._client.call
        paged: dict[str, dict[str, Any]] = {"list_objects_v2": {"max_keys": 2}}

        def in_pages_of_two(uri: MediaURI, name: str, *given: Any, **named: Any) -> Any:
            return whole(uri, name, *given, **named, **paged.get(name, {}))

        monkeypatch.setattr(store._client, "call", in_pages_of_two)
        folder = MediaURI("oss://media-lists/t/")
        assert set(store.list(folder)) == inside
        stores.clear(folder)
        assert list(store.list(folder)) == []
        assert list(store.list(MediaURI("oss://media-lists/t2/"))) == [beside]
        stores.close()


def test_a_key_that_no_uri_can_stand_for_is_said_after_all_others(
    world: World, account: Account, tmp_path: Path
) -> None:
    state = OssState(world, tmp_path / "oss")
    state.create_bucket(account.id, "media-lists", REGION)
    (tmp_path / "x").touch()
    for key in ("t/a.ts", "t/tab\there.ts", "t/z.ts"):
        state.store(account.id, "media-lists", key, tmp_path / "x")
    with LoopbackServer(OssService(state, REGION).answer, clock=world.clock) as server:
        store = OssStore({"endpoint_url": server.url, "region": REGION})
        folder = MediaURI("oss://media-lists/t/")
        listing = store.list(folder)
        assert [next(listing), next(listing)] == [MediaURI(f"{folder}a.ts"), MediaURI(f"{folder}z.ts")]
        with pytest.raises(UnnameableError, match=r"tab\\there"):
            next(listing)
        store.close()

"""Records in an object store: written once, or replaced by exactly one of those that have read the same version."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from mediabroker.errors import AuthenticationError, ErrorCode, MediaError
from mediabroker.models import Value
from mediabroker.objects import ObjectStore, Records
from mediabroker.storage.file import FileStore
from mediabroker.testing.scripted import MemoryStore


class Count(Value, frozen=True):
    """A record of these tests."""

    value: int


@pytest.fixture(params=[FileStore, MemoryStore], ids=["files", "memory"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    make: Callable[[], ObjectStore] = request.param
    return Records(make(), f"file://{tmp_path}/")


def test_the_first_writer_of_a_record_creates_it_and_the_second_is_given_the_firsts(records: Records) -> None:
    assert records.read("a.json", Count) is None
    assert records.keep("a.json", Count(value=1)) == Count(value=1)
    assert records.keep("a.json", Count(value=2)) == Count(value=1)
    assert not records.add("a.json", {"value": 3})
    assert records.read("a.json", Count) == Count(value=1)


def test_a_record_is_replaced_while_it_is_as_it_was_read_and_by_no_version_of_before(records: Records) -> None:
    records.add("a.json", Count(value=1))
    first = records.find("a.json", Count)
    assert first is not None
    second = records.replace("a.json", Count(value=2), if_version=first.version)
    assert second is not None
    assert records.replace("a.json", Count(value=3), if_version=first.version) is None
    assert records.replace("a.json", Count(value=4), if_version=second) is not None
    assert records.read("a.json", Count) == Count(value=4)
    records.delete("a.json")
    assert records.find("a.json", Count) is None
    assert records.replace("a.json", Count(value=5), if_version=second) is None


def test_no_count_is_lost_when_several_writers_count_in_one_record(records: Records) -> None:
    writers, each = 4, 8
    records.add("a.json", Count(value=0))
    start = Barrier(writers)

    def count() -> None:
        start.wait()
        for _ in range(each):
            while True:
                found = records.find("a.json", Count)
                assert found is not None
                more = Count(value=found.record.value + 1)
                if records.replace("a.json", more, if_version=found.version):
                    break

    with ThreadPoolExecutor(writers) as pool:
        for running in [pool.submit(count) for _ in range(writers)]:
            running.result()
    assert records.read("a.json", Count) == Count(value=writers * each)


def test_a_record_of_another_kind_is_no_record_and_no_absence(records: Records) -> None:
    records.add("a.json", {"other": 1})
    with pytest.raises(MediaError, match=r"a\.json is not what this release writes") as caught:
        records.read("a.json", Count)
    assert caught.value.error.code is ErrorCode.WORKER_CRASHED


def test_a_store_that_denies_a_record_blames_the_credentials_and_not_a_job() -> None:
    class Denying(MemoryStore):
        def write(self, *_args: object, **_conditions: object) -> None:  # type: ignore[override]  # it only rejects
            raise MediaError(ErrorCode.OUTPUT_DENIED, "access is denied")

    with pytest.raises(AuthenticationError, match=r"the record a\.json: access is denied"):
        Records(Denying(), "s3://work/jobs").add("a.json", {})

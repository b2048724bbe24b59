"""The whole way through the seam: configuration, entry point, a third party's own kind, its wire, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mediabroker import Broker, ErrorCode, JobFailedError, JobRef, JobState, SuperResolution, UnsupportedError
from tests.acme import installed

THIRD_PARTY = installed()

if TYPE_CHECKING:
    from acme_vault.simulator import Vault


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    from acme_vault.simulator import Vault

    with closing(Vault(eager=True)) as vault:
        yield vault


@pytest.fixture
def config(vault: Vault, tmp_path: Path) -> Path:
    from acme_vault.simulator import API_KEY

    config = tmp_path / "mediabroker.toml"
    config.write_text(
        f'store = "sqlite:///{tmp_path}/jobs.db"\n\n'
        f'[providers.archive]\ntype = "acme-vault"\nendpoint = "{vault.endpoint}"\napi_key = "{API_KEY}"\n'
    )
    return config


@pytest.fixture
def film(tmp_path: Path) -> Path:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"frames")
    return film


def test_a_third_partys_job_runs_from_configuration_to_result(config: Path, vault: Vault, film: Path) -> None:
    from acme_vault import ArchiveCopy

    kept = film.with_suffix(".kept")
    with Broker.from_config(config) as broker:
        job = broker.submit(ArchiveCopy(input=film, output=kept), idempotency_key="film/1")
        result = job.result(timeout=30)
        assert broker.submit(ArchiveCopy(input=film, output=kept), idempotency_key="film/1").ref == job.ref
    assert [each.uri.path for each in result.outputs] == [kept]
    assert kept.read_bytes() == b"frames"
    assert len(vault.copies) == 1
    assert JobRef.parse(str(job.ref)).members[0].native_id in vault.copies


def test_a_third_partys_failure_reaches_the_caller_in_the_common_words(config: Path, film: Path, vault: Vault) -> None:
    from acme_vault import ArchiveCopy

    vault.eager = False
    with Broker.from_config(config) as broker:
        job = broker.submit(ArchiveCopy(input=film, output=film.with_suffix(".kept")))
        film.unlink()
        vault.eager = True
        with pytest.raises(JobFailedError) as caught:
            job.result(timeout=30)
    assert caught.value.error.code is ErrorCode.INPUT_NOT_FOUND
    assert job.state is JobState.FAILED


def test_a_kind_that_it_does_not_run_is_refused_without_a_call(config: Path, vault: Vault, film: Path) -> None:
    with Broker.from_config(config) as broker, pytest.raises(UnsupportedError, match="archive_copy"):
        broker.submit(SuperResolution(input=film, output=film.with_suffix(".x2.mp4")))
    assert vault.copies == {}

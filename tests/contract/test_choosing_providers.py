"""`pytest --pyargs mediabroker.testing.contract --provider NAME`, as somebody who wrote a provider runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediabroker.testing.plugin import make_rig
from tests.acme import installed

THIRD_PARTY = installed()


def run_contract(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(THIRD_PARTY), *filter(None, sys.path)])
    usual = ["--pyargs", "mediabroker.testing.contract", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *usual, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_an_installed_providers_rig_is_found_and_tested(tmp_path: Path) -> None:
    done = run_contract(tmp_path, "--provider", "acme-vault", "-k", "capabilities or unknown_id")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_without_a_choice_the_known_rigs_are_named(tmp_path: Path) -> None:
    done = run_contract(tmp_path)
    assert done.returncode != 0
    assert "--provider" in done.stdout + done.stderr
    assert "acme-vault" in done.stdout + done.stderr


def test_an_unknown_provider_is_answered_with_the_known_rigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    with pytest.raises(pytest.UsageError, match=r"no contract rig for 'nobody'; rigs are there for .*acme-vault"):
        make_rig("nobody", tmp_path)

"""The worker's container files, as far as they can be read without building them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_FOLDER = _ROOT / "providers/mediabroker_aws/deploy/worker"
_IMAGES = ["Dockerfile", "cpu.Dockerfile"]


def lines(image: str, instruction: str) -> list[str]:
    """The arguments of every such instruction, continuation lines joined."""
    text = (_FOLDER / image).read_text().replace("\\\n", " ")
    return re.findall(rf"^{instruction} (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("image", _IMAGES)
def test_what_an_image_starts_is_the_worker_at_its_task(image: str) -> None:
    (entrypoint,), (command,) = lines(image, "ENTRYPOINT"), lines(image, "CMD")
    words: list[str] = json.loads(entrypoint) + json.loads(command)  # no JSON would mean a shell
    assert words[0] == "python"
    done = subprocess.run(
        [sys.executable, *words[1:], "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("image", _IMAGES)
def test_the_worker_runs_as_nobody_in_a_private_folder(image: str) -> None:
    assert lines(image, "USER") == ["worker"]
    assert any("mkdir -m 0700 /scratch && chown worker /scratch" in each for each in lines(image, "RUN"))


def test_the_vendors_index_and_image_have_no_default_and_no_address_stands_in_the_file() -> None:
    assert {"BASE_IMAGE", "NEURON_INDEX", "COMPILED"} == set(lines("Dockerfile", "ARG"))
    assert "://" not in (_FOLDER / "Dockerfile").read_text()
    (install,) = [each for each in lines("Dockerfile", "RUN") if "torch-neuron" in each]
    assert '--index-url "${NEURON_INDEX}" --no-deps "torch-neuron==' in install


def test_what_is_installed_without_dependencies_has_them_all() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {*names(project["dependencies"]), *names(extras["local"]), "boto3"}
    listed = [_ROOT / "neuron_worker/requirements-inf1.txt", _FOLDER / "requirements.txt"]
    assert needed <= {name for path in listed for name in names(path.read_text().splitlines())}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower() for each in requirements if each[:1].isalpha()}

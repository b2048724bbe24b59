"""What machines of one job must agree on: equal bytes for equal frames, and equal arithmetic."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from mediabroker.errors import ConfigurationError
from neuron_worker.document import JobDocument
from neuron_worker.job import Job
from neuron_worker.pipeline import plan_job
from neuron_worker.runtimes.golden import digest_of_golden
from tests import clips

_SLICE = """
import sys
from pathlib import Path
from threading import Event
from neuron_worker import encode
from neuron_worker.document import JobDocument
from neuron_worker.pipeline import make_slice

folder, asm = sys.argv[1:]
plain = encode._x264_options
def slower(height, light):
    options = plain(height, light)
    options["x264-params"] += f":asm={asm}"
    return options
if asm != "default":
    encode._x264_options = slower
document = JobDocument.model_validate_json((Path(folder) / "document.json").read_text())
print(make_slice(document, 0, on_progress=lambda _: None, stop=Event()).sha256)
"""


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_slice_has_the_same_bytes_in_every_process_and_on_every_instruction_set(tmp_path: Path, codec: str) -> None:
    source, whole = clips.make_clip(tmp_path / "in.mp4", frames=24), tmp_path / "job"
    encoder = {"codec": codec, "preset": "medium"}
    document = JobDocument(input=source, output=tmp_path / "out.mp4", work_dir=whole, encoder=encoder, threads=1)
    plan_job(document, Event())  # once for all, for it chooses the arithmetic by a race
    kinds = ("default", "sse2") if codec == "h264" else ("default",)
    digests = set()
    for number, (perturb, asm) in enumerate((perturb, asm) for perturb in (0, 1, 85, 255) for asm in kinds):
        folder = tmp_path / f"run-{number}"
        shutil.copytree(whole, folder)
        (folder / "document.json").write_text(document.model_copy(update={"work_dir": folder}).model_dump_json())
        environment = {**os.environ, "MALLOC_PERTURB_": str(perturb)}
        command = [sys.executable, "-c", _SLICE, str(folder), asm]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120).stdout)
    assert len(digests) == 1


def test_a_machine_whose_int8_arithmetic_differs_is_refused_before_it_makes_a_slice(
    tmp_path: Path, describe: Callable[..., JobDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = describe(clips.make_clip(tmp_path / "in.mp4"))
    plan = plan_job(document, Event())
    if plan.variant != "int8":
        pytest.skip("no int8 network is chosen on this processor")
    job = Job.open(document, Event())
    assert digest_of_golden(job.load_runtime()) == plan.golden
    elsewhere = Job(job.document, job.card, plan.model_copy(update={"golden": "0" * 64}), job.root)
    with pytest.raises(ConfigurationError, match="computes int8 on this processor otherwise"):
        elsewhere.load_runtime()

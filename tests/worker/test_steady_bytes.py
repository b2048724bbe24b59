"""What machines of one job must agree on: equal bytes for equal frames, and equal arithmetic."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from threading import Event

import pytest

from mediabroker.errors import ConfigurationError
from neuron_worker.document import JobDocument
from neuron_worker.failures import Exit
from neuron_worker.runtimes import Choice, load, load_card
from neuron_worker.runtimes.golden import digest_of_golden
from neuron_worker.video.pipeline import plan_job
from tests import clips
from tests.worker.fleet import SharedJob

_SLICE = """
import sys
from pathlib import Path
from threading import Event
from neuron_worker.video import encode
from neuron_worker.document import JobDocument
from neuron_worker.video.pipeline import make_slice

folder, asm = sys.argv[1:]
document = JobDocument.model_validate_json((Path(folder) / "document.json").read_text())
codec = {"h264": "x264", "h265": "x265"}[document.job.encoder.codec]
plain = getattr(encode, f"_{codec}_options")

def elsewhere(height, light):
    options = plain(height, light)
    key = f"{codec}-params"
    return {**options, key: f"{options[key]}:asm={asm}"}

if asm != "default":
    setattr(encode, f"_{codec}_options", elsewhere)
print(make_slice(document, 0, on_progress=lambda _: None, stop=Event()).sha256)
"""


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_slice_has_the_same_bytes_in_every_process_and_on_every_instruction_set(tmp_path: Path, codec: str) -> None:
    # Smaller clips are the same everywhere: too little in them depends on x264's macroblock tree.
    source = clips.make_clip(tmp_path / "in.mp4", width=96, height=64, frames=30)
    whole, encoder = tmp_path / "job", {"codec": codec, "preset": "medium"}
    document = JobDocument(input=source, output=tmp_path / "out.mp4", work_dir=whole, encoder=encoder, threads=1)
    plan_job(document, Event())  # once for all, for it chooses the arithmetic by a race
    digests = set()
    for perturb, asm in product((0, 1, 85, 255), ("default", "sse2")):
        folder = tmp_path / f"{perturb}-{asm}"
        shutil.copytree(whole, folder)
        (folder / "document.json").write_text(document.model_copy(update={"work_dir": folder}).model_dump_json())
        environment = {**os.environ, "MALLOC_PERTURB_": str(perturb)}
        command = [sys.executable, "-c", _SLICE, str(folder), asm]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120).stdout)
    assert len(digests) == 1


def test_a_machine_whose_int8_arithmetic_differs_makes_no_slice_and_says_why(tmp_path: Path) -> None:
    job = SharedJob(tmp_path, clips.make_clip(tmp_path / "in.mp4", frames=30))
    job.run("slice", 0)
    plan = {**job.read("plan.json"), "runtime": "onnx", "variant": "int8"}
    own = digest_of_golden(load(load_card("fast", 2), Choice("onnx", "int8"), workers=1))
    job.write("plan.json", {**plan, "golden": own})
    job.run("slice", 1)
    job.write("plan.json", {**plan, "golden": "0" * 64})
    with pytest.raises(ConfigurationError, match="computes int8 on this processor otherwise"):
        job.run("slice", 2)
    left = job.read("slice-000002.error.json")
    assert (left["exit_code"], left["error"]["code"]) == (Exit.INVALID, "UNSUPPORTED")
    assert not [name for name in job.names() if name.startswith("slice-000002") and name.endswith(".mp4")]


def test_the_plan_of_an_int8_network_carries_the_digest_of_its_golden_tile(
    tmp_path: Path, describe: Callable[..., JobDocument]
) -> None:
    plan = plan_job(describe(clips.make_clip(tmp_path / "in.mp4")), Event())
    card = load_card("fast", 2)
    assert plan.golden == digest_of_golden(load(card, Choice(plan.runtime, plan.variant), workers=1))
    assert (plan.golden is None) == (plan.variant != "int8")
